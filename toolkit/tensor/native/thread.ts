// The engine thread: a Worker that makes one blocking C call at a time, or a script of them, so that timers, interrupts and
// live plots of the main thread go on during a step or a compile; and a thread for a single call beside it. It shares the
// process's memory: the caller hands over addresses and must keep what they point to alive until the promise settles. Not a
// pool, and not for JavaScript work.

import { ptr } from "bun:ffi";

/** A C function that takes pointers and returns a pointer or nothing. */
export interface ThreadCall {
  readonly address: number;
  readonly arguments: readonly (number | bigint)[];
  readonly returns: "void" | "ptr";
}

/** An argument in a script: itself, what a slot holds when the call is made, or the slot's address. */
export type ScriptArgument = number | bigint | { readonly slot: number } | { readonly addressOf: number };

/** A C call whose arguments may be what earlier ones wrote. */
export interface ScriptCall {
  readonly address: number;
  readonly arguments: readonly ScriptArgument[];
  readonly returns: "void" | "ptr" | "i32";
  /** Slot that takes what it returns. */
  readonly into?: number;
  /** Slot that is 0 from then on: what it named is gone. */
  readonly clears?: number;
  /** Whether the script's check is made after it. */
  readonly isChecked?: boolean;
}

/**
 * C calls one after the other without a way back to the main thread between them, which takes a third of a millisecond.
 * They share slots of 64 bits, of which each run brings its own.
 */
export interface Script {
  readonly calls: readonly ScriptCall[];
  /** What it returns other than 0 ends the script. */
  readonly check: ScriptCall;
}

interface Waiting {
  readonly resolve: (value: bigint) => void;
  readonly reject: (reason: unknown) => void;
  /** Whatever C reads or writes during the call. */
  readonly held: unknown;
}

interface Thread {
  run(call: ThreadCall, held: unknown): Promise<bigint>;
  runScript(script: Script, slots: BigUint64Array, held: unknown): Promise<bigint>;
  forget(script: Script): void;
  end(): void;
}

export type ScriptRunner = Thread["runScript"];

let engineThread: Thread | undefined;
let nextCall = 1;

function engine(): Thread {
  engineThread ??= start(() => {
    engineThread = undefined;
  });
  return engineThread;
}

/** Runs a C call on the engine thread; calls run in the order they were made. `held` stays alive meanwhile. */
export const callOnThread: Thread["run"] = (call, held) => engine().run(call, held);

/**
 * Runs a script on the engine thread, in turn with other calls. `slots` and `held` stay alive meanwhile; `slots` must lie in
 * an ArrayBuffer of their own. The promise says what ended it: 0, or what the check returned.
 */
export const runScript: ScriptRunner = (script, slots, held) => engine().runScript(script, slots, held);

/** The engine thread may drop a script: it will not run again. */
export const forgetScript = (script: Script): void => engineThread?.forget(script);

/** Runs a C call at once, on a thread of its own that ends with it: what may take long beside the engine thread's work. */
export const callBeside: typeof callOnThread = (call, held) => besideEngine(({ run }) => run(call, held));

/** A thread beside the engine thread for as long as `use` makes calls on it. */
export async function besideEngine<T>(use: (thread: Pick<Thread, "run" | "runScript">) => Promise<T>): Promise<T> {
  const own = start(() => undefined);
  try {
    return await use(own);
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
  /** @throws DataCloneError for a question that cannot be sent */
  const ask = (question: object, held: unknown): Promise<bigint> => {
    const id = nextCall++;
    worker.postMessage({ id, ...question });
    worker.ref();
    const { promise, resolve, reject } = Promise.withResolvers<bigint>();
    waiting.set(id, { resolve, reject, held });
    return promise;
  };
  // A script is sent once, and named after that.
  const known = new Map<Script, number>();
  return {
    run: async (call, held) => ask(call, held),
    async runScript(script, slots, held) {
      const isNew = !known.has(script);
      const name = known.get(script) ?? nextCall++;
      const question = { script: name, slots: ptr(slots), count: slots.length, ...(isNew && { text: script }) };
      const answer = ask(question, [slots, held]);
      known.set(script, name);
      return answer;
    },
    forget(script) {
      const name = known.get(script);
      if (name !== undefined) worker.postMessage({ forget: name });
      known.delete(script);
    },
    end: () => worker.terminate(),
  };
}
