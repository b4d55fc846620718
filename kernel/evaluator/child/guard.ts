// Running user code so that an interrupt can stop it. JavaScriptCore stops a running script on SIGINT only inside a
// `vm` call made with `breakOnSigint`; so everything that enters user code (a cell, a timer's callback, what follows an await)
// enters through `guard`, which makes such a call and drains the microtasks inside it. Not here: which cell runs.
//
// Facts that shaped this: the vm call costs about 1 µs (sigint-hold.ts says why not 50), an await inside a running guard 0.3 µs; a stopped script runs no
// `finally`; microtasks queued by it are lost; the code that called `guard` goes on normally.

import { drainMicrotasks } from "bun:jsc";
import vm from "node:vm";

/** Thrown by `guard` when a SIGINT stopped the code in it. */
export class Interruption extends Error {
  override name = "Interruption";
}

let job: () => void = () => {};
let drains = true;
let depth = 0;
let afterwards: (() => void)[] = [];

/** Whether the job has come to its end, microtasks included. */
let completed = true;
/** SIGINTs that were noticed: by a stopped script, or by the process while none ran. */
let noticed = 0;

/** Counts a SIGINT that came while no guarded call ran. */
export function noticeSignal(): void {
  noticed++;
}

const SETTLE_MS = 20;

/**
 * Uses up signals that the engine remembers but has not acted on (one that came while a guarded call was about to end): each would
 * stop some later call instead. `sent` is how many there have been in all. Waits in a guarded call of its own for each to strike.
 */
export function settleSignals(sent: number): void {
  for (let left = 2; noticed < sent && left > 0; left--) {
    try {
      guard(() => {
        const until = performance.now() + SETTLE_MS;
        while (performance.now() < until);
      });
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
    }
  }
  // Signals that arrive together count as one for the system.
  noticed = sent;
}

const ENTRY = Symbol.for("bunsen.entry");
Object.defineProperty(globalThis, ENTRY, {
  enumerable: false,
  value: (): void => {
    job();
    if (drains) drainMicrotasks();
    completed = true;
  },
});
const script = new vm.Script('globalThis[Symbol.for("bunsen.entry")]()', { filename: "bunsen:guard" });

/** Whether the caller already runs inside a guard. */
export function isGuarded(): boolean {
  return depth > 0;
}

/** Runs kernel code outside any guard: at once, or when the present one has ended (stopped or not). */
export function outside(task: () => void): void {
  if (depth === 0) task();
  else afterwards.push(task);
}

/**
 * Calls `f` so that SIGINT stops it and (unless `drain` is false) what its microtasks do. Errors of `f` come through.
 * @throws Interruption when it was stopped.
 */
export function guard(f: () => void, drain = true): void {
  if (depth > 0) {
    f();
    return;
  }
  let failed = false;
  let failure: unknown;
  job = (): void => {
    try {
      f();
    } catch (error) {
      failed = true;
      failure = error;
    }
  };
  drains = drain;
  depth++;
  completed = false;
  let stopped = false;
  try {
    script.runInThisContext({ breakOnSigint: true });
  } catch (error) {
    stopped = (error as { code?: unknown }).code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
    if (stopped) {
      noticed++;
      // It may strike when all is done already: then nothing was stopped.
      stopped = !completed;
    } else if (!failed) {
      failed = true;
      failure = error;
    }
  } finally {
    depth--;
    if (depth === 0 && afterwards.length > 0) {
      const tasks = afterwards;
      afterwards = [];
      for (const task of tasks) task();
    }
  }
  if (stopped) throw new Interruption("Interrupted");
  if (failed) throw failure;
}
