// The thread behind sigint-hold.ts: stands in a `vm` call with `breakOnSigint` as long as the process lives. It runs nothing
// of the user's and costs no processor time.

import vm from "node:vm";
import { HoldState } from "./sigint-state.ts";

declare const self: Worker;

const WAIT = Symbol.for("bunsen.wait");
const HOLD = Symbol.for("bunsen.hold");

self.onmessage = ({ data }: MessageEvent): void => {
  const state = new Int32Array(data as SharedArrayBuffer);
  if (Atomics.compareExchange(state, 0, HoldState.asked, HoldState.entering) !== HoldState.asked) return;
  const wait = new vm.Script('globalThis[Symbol.for("bunsen.wait")]()', { filename: "bunsen:wait" });
  Object.assign(globalThis, {
    [WAIT]: (): void => {
      for (;;) Atomics.wait(state, 0, HoldState.held);
    },
    [HOLD]: (): void => {
      Atomics.store(state, 0, HoldState.held);
      Atomics.notify(state, 0);
      for (;;) {
        // A SIGINT stops this thread's script too: the inner call, so that the outer one never ends.
        try {
          wait.runInThisContext({ breakOnSigint: true });
        } catch {
          // It was stopped; on with the next.
        }
      }
    },
  });
  new vm.Script('globalThis[Symbol.for("bunsen.hold")]()', { filename: "bunsen:hold" }).runInThisContext({
    breakOnSigint: true,
  });
};
self.postMessage("loaded");
