// The engine thread: a Worker that makes one blocking C call at a time, so that timers, interrupts and live plots of
// the main thread go on during a step or a compile. It shares the process's memory: the caller hands over addresses
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

let worker: Worker | undefined;
const waiting = new Map<number, Waiting>();
let nextCall = 1;

/** Runs a C call on the engine thread; calls run in the order they were made. `held` stays alive meanwhile. */
export function callOnThread(call: ThreadCall, held: unknown): Promise<bigint> {
  worker ??= start();
  const id = nextCall++;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, held });
    worker!.ref();
    worker!.postMessage({ id, ...call });
  });
}

function start(): Worker {
  const made = new Worker(new URL("./thread-worker.ts", import.meta.url).href);
  // An idle engine thread must not keep the process alive.
  made.unref();
  made.onmessage = (event: MessageEvent<{ id: number; result?: bigint; error?: string }>) => {
    const { id, result, error } = event.data;
    const call = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) made.unref();
    if (error === undefined) call?.resolve(result ?? 0n);
    else call?.reject(new Error(`the engine thread failed: ${error}`));
  };
  made.onerror = (event: ErrorEvent) => {
    worker = undefined;
    for (const call of waiting.values()) call.reject(new Error(`the engine thread died: ${event.message}`));
    waiting.clear();
  };
  return made;
}
