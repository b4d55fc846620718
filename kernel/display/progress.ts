// progress(): one display that updates in place while a loop runs. Here is when it is shown anew; how it looks is
// progress-bar.ts's, and where it is shown its caller's.
import type { ProgressState } from "./progress-bar.ts";
import { displaySymbol } from "./symbol.ts";

export interface ProgressOptions {
  readonly label?: string;
  /** For iterables that do not know their length. */
  readonly total?: number;
}

/** A bar that is moved by hand. `using bar = progress(100)` ends it with its block. */
export interface Progress extends Disposable {
  /** Sets how much is done, and a text to show beside it. */
  update(done: number, note?: string): void;
  /** Adds to what is done. */
  advance(by?: number, note?: string): void;
  /** Ends it: full, or `stopped` where it is. Ending twice does nothing. */
  end(status?: "finished" | "stopped"): void;
  /** Its own display is there already: as a cell's last value it shows nothing more. */
  [displaySymbol](): Record<string, never>;
}

/** Not more often than this: front ends drop what comes too fast, and no one can read it. */
const minimumInterval = 100;

/**
 * `for (const x of progress(items, { label }))`, `for (const i of progress(100))`, `for await (const x of
 * progress(stream))`, or `const bar = progress(100)` with `bar.update(n, "loss 0.3")`.
 */
export interface ProgressFunction {
  (total: number, options?: ProgressOptions): Progress & Iterable<number>;
  <T>(items: Iterable<T>, options?: ProgressOptions): Progress & Iterable<T>;
  <T>(items: AsyncIterable<T>, options?: ProgressOptions): Progress & AsyncIterable<T>;
}

/** Shows the state of the bar named `displayId`; `isFirst` the first time. */
export type ShowProgress = (state: ProgressState, displayId: string, isFirst: boolean) => void;

export function createProgress(show: ShowProgress): ProgressFunction {
  const progress = (
    source: number | Iterable<unknown> | AsyncIterable<unknown>,
    options: ProgressOptions = {},
  ): Progress & Partial<Iterable<unknown> & AsyncIterable<unknown>> => {
    if (typeof source === "number" && !(source >= 0)) {
      throw new RangeError(`progress(${source}): expected a count that is not negative, or something to iterate over.`);
    }
    const total = options.total ?? (typeof source === "number" ? source : knownLength(source));
    const bar = startBar(show, options.label ?? "", total);
    if (typeof source === "number") return Object.assign(bar, { [Symbol.iterator]: () => walk(count(source), bar) });
    if (Symbol.iterator in source) return Object.assign(bar, { [Symbol.iterator]: () => walk(source, bar) });
    if (Symbol.asyncIterator in source) {
      return Object.assign(bar, { [Symbol.asyncIterator]: () => walkAsync(source, bar) });
    }
    throw new TypeError("progress(…) takes a count, an iterable or an async iterable.");
  };
  return progress as ProgressFunction;
}

function knownLength(source: object): number | null {
  const { length, size } = source as { length?: unknown; size?: unknown };
  if (typeof length === "number") return length;
  return typeof size === "number" ? size : null;
}

function* count(total: number): Generator<number> {
  for (let index = 0; index < total; index++) yield index;
}

function* walk<T>(items: Iterable<T>, bar: Progress): Generator<T> {
  let status: "finished" | "stopped" = "stopped";
  try {
    for (const item of items) {
      yield item;
      bar.advance();
    }
    status = "finished";
  } finally {
    bar.end(status);
  }
}

async function* walkAsync<T>(items: AsyncIterable<T>, bar: Progress): AsyncGenerator<T> {
  let status: "finished" | "stopped" = "stopped";
  try {
    for await (const item of items) {
      yield item;
      bar.advance();
    }
    status = "finished";
  } finally {
    bar.end(status);
  }
}

let barCount = 0;

function startBar(show: ShowProgress, label: string, total: number | null): Progress {
  const start = performance.now();
  const displayId = `bunsen-progress-${process.pid}-${++barCount}`;
  let done = 0;
  let note = "";
  let status: ProgressState["status"] = "running";
  let shownAt = Number.NEGATIVE_INFINITY;
  let isFirst = true;

  const update = (): void => {
    shownAt = performance.now();
    show({ label, done, total, note, status, seconds: (shownAt - start) / 1000 }, displayId, isFirst);
    isFirst = false;
  };
  const move = (to: number, text: string | undefined): void => {
    if (status !== "running") return;
    done = to;
    if (text !== undefined) note = text;
    if (performance.now() - shownAt >= minimumInterval) update();
  };
  const end = (how: "finished" | "stopped" = "finished"): void => {
    if (status !== "running") return;
    status = how;
    update();
  };
  update();
  return {
    update: move,
    advance: (by = 1, text) => move(done + by, text),
    end,
    [displaySymbol]: () => ({}),
    [Symbol.dispose]: () => end(total === null || done >= total ? "finished" : "stopped"),
  };
}
