// Running user code so that an interrupt can stop it. JavaScriptCore stops a running script on SIGINT only inside a
// `vm` call made with `breakOnSigint`; so everything that enters user code (a cell, a timer's callback, what follows an await)
// enters through `guard`, which makes such a call and drains the microtasks inside it. Not here: which cell runs.
//
// Facts that shaped this: the vm call costs about 50 µs, an await inside a running guard 0.3 µs; a stopped script runs no
// `finally`; microtasks queued by it are lost; the code that called `guard` goes on normally.

import { drainMicrotasks } from "bun:jsc";
import vm from "node:vm";

/** Thrown by `guard` when a SIGINT stopped the code in it. */
export class Interruption extends Error {
  override name = "Interruption";
}

let job: () => void = () => {};
let depth = 0;
let afterwards: (() => void)[] = [];

const ENTRY = Symbol.for("bunsen.entry");
Object.defineProperty(globalThis, ENTRY, {
  enumerable: false,
  value: (): void => {
    job();
    drainMicrotasks();
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
 * Calls `f` so that SIGINT stops it and what its microtasks do. Errors of `f` come through.
 * @throws Interruption when it was stopped.
 */
export function guard(f: () => void): void {
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
  depth++;
  let stopped = false;
  try {
    script.runInThisContext({ breakOnSigint: true });
  } catch (error) {
    stopped = (error as { code?: unknown }).code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
    if (!stopped && !failed) {
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
