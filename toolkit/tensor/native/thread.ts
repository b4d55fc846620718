// The engine thread: a Worker that makes one blocking C call at a time, so that timers, interrupts and live plots of
// the main thread go on during a step or a compile; and a thread for a single call beside it. It shares the process's memory: the caller hands over addresses
// and must keep what they point to alive until the promise settles. Not a pool, and not for JavaScript work.

/** A C function that takes pointers and returns a pointer or nothing. */
export interface ThreadCall {
  readonly address: number;
  readonly arguments: readonly (number | bigint)[];
  readonly returns: "void" | "ptr";
}

interface Waiting {
  readonly resolve: (value: bigint) => void;
  readonly reject: (reason: unknown) => void;
  /** Whatever C reads or writes during the call. */
  readonly held: unknown;
}

interface Thread {
  run(call: ThreadCall, held: unknown): Promise<bigint>;
  end(): void;
}

let engineThread: Thread | undefined;
let nextCall = 1;

/** Runs a C call on the engine thread; calls run in the order they were made. `held` stays alive meanwhile. */
export function callOnThread(call: ThreadCall, held: unknown): Promise<bigint> {
  engineThread ??= start(() => {
    engineThread = undefined;
  });
  return engineThread.run(call, held);
}

/** Runs a C call at once, on a thread of its own that ends with it: what may take long beside the engine thread's work. */
export const callBeside: typeof callOnThread = (call, held) => besideEngine((run) => run(call, held));

/** A thread beside the engine thread for as long as `use` makes calls on it. */
export async function besideEngine<T>(use: (run: typeof callOnThread) => Promise<T>): Promise<T> {
  const own = start(() => undefined);
  try {
    return await use(own.run);
  } finally {
    own.end();
  }
}

function start(died: () => void): Thread {
  const waiting = new Map<number, Waiting>();
  const worker = new Worker(new URL("./thread-worker.ts", import.meta.url).href);
  // An idle thread must not keep the process alive.
  worker.unref();
  worker.onmessage = (event: MessageEvent<{ id: number; result?: bigint; error?: string }>) => {
    const { id, result, error } = event.data;
    const call = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
    if (error === undefined) call?.resolve(result ?? 0n);
    else call?.reject(new Error(`the engine thread failed: ${error}`));
  };
  worker.onerror = (event: ErrorEvent) => {
    died();
    for (const call of waiting.values()) call.reject(new Error(`the engine thread died: ${event.message}`));
    waiting.clear();
  };
  return {
    run: (call, held) =>
      new Promise((resolve, reject) => {
        const id = nextCall++;
        waiting.set(id, { resolve, reject, held });
        worker.ref();
        worker.postMessage({ id, ...call });
      }),
    end: () => worker.terminate(),
  };
}
