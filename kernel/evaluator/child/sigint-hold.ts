// Keeps the engine's watcher of SIGINT alive. Each `vm` call with `breakOnSigint` starts a thread and joins it when no other such call
// is under way (25 µs at rest, some milliseconds on a busy machine: twice a cell, once an await). A second JavaScript thread
// that stands in such a call for good makes the thread stay, and a call cost 1 µs. What that thread does: sigint-thread.ts.
// Not here: running user code (guard.ts).

import { HoldState } from "./sigint-state.ts";

/** After the child has said that it is ready: the first cell need not wait for the thread. */
const START_MS = 20;
/** How long the event loop may stand still for the thread's last step. */
const STEP_MS = 200;

// User code may replace globals.
const later = setTimeout;
const Thread = Worker;
const onMessage = Object.getOwnPropertyDescriptor(Worker.prototype, "onmessage")?.set;
const onError = Object.getOwnPropertyDescriptor(Worker.prototype, "onerror")?.set;
const listeners = {
  on: process.on.bind(process),
  off: process.off.bind(process),
  names: process.eventNames.bind(process),
  of: process.listeners.bind(process),
};

/**
 * Starts the thread a little later. Where it cannot start, calls go on costing what they cost without it.
 * Until `listener` listened for SIGINT, nothing may have: whoever listens first makes the engine install its handler over the watcher's.
 */
export function holdSigint(listener: () => void): void {
  listeners.on("SIGINT", listener);
  keepListener(listener);
  later(start, START_MS);
}

function start(): void {
  try {
    const thread = new Thread(new URL("./sigint-thread.ts", import.meta.url).href, { smol: true, ref: false });
    onError?.call(thread, (event: ErrorEvent): void => event.preventDefault());
    // It tells that it has loaded; the rest is done while this thread stands still, outside any guarded call: the engine counts
    // its callers, and so no call begins or ends while the thread's own does.
    onMessage?.call(thread, (): void => {
      const state = new Int32Array(new SharedArrayBuffer(4));
      thread.postMessage(state.buffer);
      Atomics.wait(state, 0, HoldState.asked, STEP_MS);
      if (Atomics.compareExchange(state, 0, HoldState.asked, HoldState.cancelled) === HoldState.asked)
        thread.terminate();
      else Atomics.wait(state, 0, HoldState.entering, STEP_MS);
    });
  } catch {
    // No thread to be had: nothing else depends on it.
  }
}

/** The engine takes its handler out with the last listener, and with it the watcher's. */
function keepListener(listener: () => void): void {
  const remove = (name: string | symbol): void => {
    for (const each of listeners.of(name as "SIGINT")) if (each !== listener) listeners.off(name, each as () => void);
  };
  process.removeAllListeners = (name?: string | symbol): NodeJS.Process => {
    for (const each of name === undefined ? listeners.names() : [name]) remove(each);
    return process;
  };
}
