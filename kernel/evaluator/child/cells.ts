// The cells of one child process: who is running, who asks (AsyncLocalStorage carries a cell through its awaits, timers and
// callbacks), and how a cell ends exactly once. Not here: transforming, formatting, or sending.

import { AsyncLocalStorage } from "node:async_hooks";
import { noteStop } from "../../display/guarded.ts";
import type { CellRequest, Payload } from "../port.ts";
import { guard, Interruption, isGuarded, outside } from "./guard.ts";

/** How a cell's code ended. */
export type Outcome =
  | { readonly type: "value"; readonly box: readonly [unknown] | undefined }
  | { readonly type: "error"; readonly error: unknown }
  | { readonly type: "interrupted" };

/** One cell (or comm handler) of this process. */
export interface CellState {
  readonly sequence: number;
  readonly request: CellRequest;
  readonly payload: Payload[];
  /** Ends the awaits that its code stands in, by throwing there. */
  readonly awaits: Set<(error: Error) => void>;
  /** Work that the cell's end waits for though its code does not: a plot that is still being drawn. */
  readonly pending: Set<Promise<unknown>>;
  /** How many interrupts have reached it. */
  interrupts: number;
  ended: boolean;
  /** Set when an interrupt gave up on it: its awaits never resume. */
  abandoned: boolean;
  /** Called once, outside any guard. */
  onEnd: (outcome: Outcome) => void;
}

const storage = new AsyncLocalStorage<CellState>();
const running = new Map<string, CellState>();
let latest: CellState | null = null;

/** The cell on whose behalf the caller runs; where the engine lost it, the latest. */
export function callingCell(): CellState | null {
  return storage.getStore() ?? latest;
}

/** The same without a guess. */
export function contextCell(): CellState | undefined {
  return storage.getStore();
}

export function latestCell(): CellState | null {
  return latest;
}

export function runningCells(): IterableIterator<CellState> {
  return running.values();
}

export function runningCell(id: string): CellState | undefined {
  return running.get(id);
}

/** Begins a cell: later output without a better owner is its. */
export function beginCell(state: CellState): void {
  running.set(state.request.id, state);
  if (state.request.warmUp !== true) latest = state;
}

/** Ends a cell's code; only the first call counts. */
export function endCell(state: CellState, outcome: Outcome): void {
  if (state.ended) return;
  state.ended = true;
  outside(() => state.onEnd(outcome));
}

/** The last of its output is out. */
export function forgetCell(state: CellState): void {
  running.delete(state.request.id);
  // It holds the cell's value, and the record of a cell outlives it (for the positions of late errors).
  state.onEnd = (): void => {};
}

/** Thrown in the awaits of an interrupted cell. */
export class InterruptedError extends Error {
  override name = "InterruptedError";
  constructor() {
    super("Interrupted while waiting here.");
  }
}

/** Ends the code of a cell on an interrupt: throws in its awaits, so that `finally` and `catch` run. */
export function interruptCell(state: CellState): void {
  state.interrupts++;
  const awaits = [...state.awaits];
  state.awaits.clear();
  if (awaits.length === 0) {
    endCell(state, { type: "interrupted" });
    return;
  }
  for (const reject of awaits) reject(new InterruptedError());
}

/** Runs user code in a cell's name so that SIGINT stops it. What it throws comes through, but for the stop itself, which ends the cell. `drain` as in `guard`. */
export function enterCell(state: CellState | undefined, f: () => void, drain = true): void {
  if (isGuarded()) {
    f();
    return;
  }
  try {
    guard(f, drain);
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    noteStop();
    if (state === undefined || state.ended) onStrayStop(state);
    else {
      endCell(state, { type: "interrupted" });
    }
  }
}

/**
 * Waits for work of the kernel's own in the middle of a cell's (an import at first use, say): what follows an await of it runs
 * guarded, as what follows an await in the cell's code does. The event loop would run it outside any guard, and with it all
 * that the caller does after. Where an interrupt has come to the cell meanwhile, it throws, since nothing else would stop the caller.
 */
export function waitGuarded<T>(work: Promise<T>): Promise<T> {
  const state = contextCell();
  const before = state?.interrupts;
  return new Promise<T>((resolve, reject) => {
    const settle = (way: () => void): void =>
      enterCell(state, () => (state?.interrupts === before ? way() : reject(new InterruptedError())));
    work.then(
      (value) => settle(() => resolve(value)),
      (error) => settle(() => reject(error)),
    );
  });
}

/** Told when an interrupt stopped code of a cell that had ended already (a timer's callback, a comm handler). */
let onStrayStop: (state: CellState | undefined) => void = () => {};

export function setStrayStop(handler: (state: CellState | undefined) => void): void {
  onStrayStop = handler;
}

/** Calls `f` with `state` as its cell. */
export function asCell<T>(state: CellState, f: () => T): T {
  return storage.run(state, f);
}
