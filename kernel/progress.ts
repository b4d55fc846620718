// progress(): one display that updates in place while a loop runs. It decides when to show; how it looks is
// display/progress-bar.ts's. Outside a kernel it writes one line to a terminal's stderr.
import { type ProgressState, progressBundle, progressText } from "./display/progress-bar.ts";
import { displaySymbol } from "./display/symbol.ts";
import { kernelRuntime } from "./evaluator/runtime.ts";

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
export function progress(total: number, options?: ProgressOptions): Progress & Iterable<number>;
export function progress<T>(items: Iterable<T>, options?: ProgressOptions): Progress & Iterable<T>;
export function progress<T>(items: AsyncIterable<T>, options?: ProgressOptions): Progress & AsyncIterable<T>;
export function progress(
  source: number | Iterable<unknown> | AsyncIterable<unknown>,
  options: ProgressOptions = {},
): Progress & Partial<Iterable<unknown> & AsyncIterable<unknown>> {
  if (typeof source === "number" && !(source >= 0)) {
    throw new RangeError(`progress(${source}): expected a count that is not negative, or something to iterate over.`);
  }
  const total = options.total ?? (typeof source === "number" ? source : knownLength(source));
  const bar = startBar(options.label ?? "", total);
  if (typeof source === "number") return Object.assign(bar, { [Symbol.iterator]: () => walk(count(source), bar) });
  if (Symbol.iterator in source) return Object.assign(bar, { [Symbol.iterator]: () => walk(source, bar) });
  if (Symbol.asyncIterator in source)
    return Object.assign(bar, { [Symbol.asyncIterator]: () => walkAsync(source, bar) });
  throw new TypeError("progress(…) takes a count, an iterable or an async iterable.");
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

function startBar(label: string, total: number | null): Progress {
  const start = performance.now();
  const displayId = `bunsen-progress-${process.pid}-${++barCount}`;
  let done = 0;
  let note = "";
  let status: ProgressState["status"] = "running";
  let shownAt = Number.NEGATIVE_INFINITY;
  let shownOnce = false;

  const show = (): void => {
    shownAt = performance.now();
    const state: ProgressState = { label, done, total, note, status, seconds: (shownAt - start) / 1000 };
    const runtime = kernelRuntime();
    if (runtime === null) writeLine(state);
    else if (shownOnce) runtime.updateDisplay({ data: progressBundle(state), displayId });
    else runtime.display({ data: progressBundle(state), displayId });
    shownOnce = true;
  };
  const move = (to: number, text: string | undefined): void => {
    if (status !== "running") return;
    done = to;
    if (text !== undefined) note = text;
    if (performance.now() - shownAt >= minimumInterval) show();
  };
  const end = (how: "finished" | "stopped" = "finished"): void => {
    if (status !== "running") return;
    status = how;
    show();
  };
  show();
  return {
    update: move,
    advance: (by = 1, text) => move(done + by, text),
    end,
    [displaySymbol]: () => ({}),
    [Symbol.dispose]: () => end(total === null || done >= total ? "finished" : "stopped"),
  };
}

/** Outside a kernel: a line that rewrites itself in a terminal, only the last one in a file or pipe. */
function writeLine(state: ProgressState): void {
  const terminal = process.stderr.isTTY === true;
  const ended = state.status !== "running";
  if (terminal) process.stderr.write(`\r\u001b[2K${progressText(state)}${ended ? "\n" : ""}`);
  else if (ended) process.stderr.write(`${progressText(state)}\n`);
}
