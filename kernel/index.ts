// What cells import as `bunsen/kernel`: showing values, asking the person at the front end, comms, packages. It speaks
// to the runtime of the cell process (evaluator/runtime.ts) and is usable outside a kernel too, where values are printed
// as text. How values look is display/'s; sockets, messages and prompts' methods are not known here.
import { type MimeBundle, normaliseData } from "./display/bundle.ts";
import { formatValue } from "./display/format.ts";
import { createLatestOnly } from "./display/latest.ts";
import { createProgress, type ProgressFunction } from "./display/progress.ts";
import { type ProgressState, progressBundle, progressText } from "./display/progress-bar.ts";
import { displaySymbol } from "./display/symbol.ts";
import {
  type CommTarget,
  type KernelRuntime,
  kernelRuntime,
  type RuntimeComm,
  type RuntimeCommExtras,
} from "./evaluator/runtime.ts";

export type { Bundle, MimeBundle } from "./display/bundle.ts";
export {
  type Displayable,
  html,
  type ImageOptions,
  image,
  type JsonOptions,
  json,
  latex,
  type Markup,
  type MarkupTag,
  markdown,
  svg,
} from "./display/displayables.ts";
export type { Progress, ProgressOptions } from "./display/progress.ts";
export { displaySymbol } from "./display/symbol.ts";
export type {
  CommTarget,
  RuntimeComm as Comm,
  RuntimeCommExtras as CommExtras,
  RuntimeCommMessage as CommMessage,
} from "./evaluator/runtime.ts";

export interface DisplayOptions {
  /** A name for this output, by which it can be updated. */
  readonly displayId?: string;
  /** Change what is shown under `displayId` instead of showing anew. */
  readonly update?: boolean;
  /** `value` is a MIME bundle itself: `{ "text/html": "<b>hi</b>" }`. */
  readonly raw?: boolean;
  /** Added to the bundle's metadata, by MIME type. */
  readonly metadata?: Record<string, unknown>;
}

/** What `display` gives: a promise that shows as nothing when it is the last value of a cell. */
export interface Displayed extends Promise<void> {
  [displaySymbol](): Record<string, never>;
}

/**
 * Shows a value in the calling cell. Most values are shown before it returns; plots, JSX and images take a moment: await
 * it where the order of outputs matters. Of updates that come faster than they can be drawn, the newest is shown.
 *
 * @throws {TypeError} for `update` without `displayId`, or a raw bundle that is none.
 */
export function display(value: unknown, options: DisplayOptions = {}): Displayed {
  if (options.update === true && options.displayId === undefined) {
    throw new TypeError("display(…, { update: true }) needs the displayId of the output to change.");
  }
  const show = (): void | Promise<void> => {
    const bundle = options.raw === true ? rawBundle(value) : formatValue(value);
    if (bundle instanceof Promise) return bundle.then(({ data, metadata }) => publish(data, metadata, options));
    return publish(bundle.data, bundle.metadata, options);
  };
  const work = options.displayId === undefined ? show() : latestOnly.run(options.displayId, show);
  if (work === undefined) return shownAsNothing(Promise.resolve());
  kernelRuntime()?.waitFor?.(work);
  // A promise of the caller's own: waiting for the other must not hide a failure that nobody awaits.
  return shownAsNothing(work.then(() => undefined));
}

const latestOnly = createLatestOnly();

/** Changes what is shown under a display id: `display(value, { displayId, update: true })`. */
export function update(
  displayId: string,
  value: unknown,
  options: Omit<DisplayOptions, "displayId" | "update"> = {},
): Displayed {
  return display(value, { ...options, displayId, update: true });
}

function rawBundle(value: unknown): { data: MimeBundle; metadata: Record<string, unknown> } {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(
      `display(…, { raw: true }) takes an object of MIME types; it was given ${value === null ? "null" : typeof value}.`,
    );
  }
  return { data: normaliseData(value as Record<string, unknown>), metadata: {} };
}

function publish(data: MimeBundle, metadata: Record<string, unknown>, options: DisplayOptions): void {
  if (Object.keys(data).length === 0) return;
  const runtime = kernelRuntime();
  const output = { data, metadata: { ...metadata, ...options.metadata } };
  if (runtime === null) console.log(data["text/plain"] ?? Object.values(data)[0]);
  else if (options.displayId === undefined) runtime.display(output);
  else if (options.update === true) runtime.updateDisplay({ ...output, displayId: options.displayId });
  else runtime.display({ ...output, displayId: options.displayId });
}

function shownAsNothing(work: Promise<void>): Displayed {
  return Object.assign(work, { [displaySymbol]: () => ({}) });
}

/**
 * A progress bar that updates in place, and stays as a line of text when it has ended. `for (const x of progress(items, {
 * label }))`, `for (const i of progress(100))`, `for await (const x of progress(stream))`, or by hand: `using bar =
 * progress(100)` with `bar.update(n, "loss 0.3")`.
 *
 * @throws {RangeError} for a count that is negative or no number.
 */
export const progress: ProgressFunction = createProgress((state, displayId, isFirst) => {
  const runtime = kernelRuntime();
  if (runtime === null) writeProgressLine(state);
  else if (isFirst) runtime.display({ data: progressBundle(state), displayId });
  else runtime.updateDisplay({ data: progressBundle(state), displayId });
});

/** Outside a kernel: a line that rewrites itself in a terminal, only the last one in a file or pipe. */
function writeProgressLine(state: ProgressState): void {
  const terminal = process.stderr.isTTY === true;
  const ended = state.status !== "running";
  if (terminal) process.stderr.write(`\r\u001b[2K${progressText(state)}${ended ? "\n" : ""}`);
  else if (ended) process.stderr.write(`${progressText(state)}\n`);
}

/** Clears the calling cell's output; with `wait`, only when the next output comes (no flicker). */
export function clear(options: { readonly wait?: boolean } = {}): void {
  kernelRuntime()?.clearOutput(options.wait ?? false);
}

/**
 * Asks for a line of text; with `password`, it is not shown while typed.
 *
 * @throws {Error} where the front end takes no input, and when the cell is interrupted.
 */
export async function input(prompt: string = "", options: { readonly password?: boolean } = {}): Promise<string> {
  const runtime = kernelRuntime();
  return runtime === null ? (globalThis.prompt(prompt) ?? "") : runtime.input(prompt, options);
}

/** Shows a value in the front end's pager when the cell ends; printed outside a kernel. */
export async function page(value: unknown): Promise<void> {
  const { data } = await formatValue(value);
  const runtime = kernelRuntime();
  if (runtime === null) console.log(data["text/plain"]);
  else runtime.page(data);
}

/** Puts text into the next input when the cell ends, or with `replace` into this one. */
export function setNextInput(text: string, options: { readonly replace?: boolean } = {}): void {
  needRuntime("setNextInput").setNextInput(text, options.replace ?? false);
}

/** Receives the comms that the front end opens under a name; registering again replaces. */
export function registerCommTarget(targetName: string, target: CommTarget): void {
  needRuntime("registerCommTarget").registerCommTarget(targetName, target);
}

export function unregisterCommTarget(targetName: string): void {
  needRuntime("unregisterCommTarget").unregisterCommTarget(targetName);
}

/** Opens a comm to a target that the front end knows. */
export function openComm(
  targetName: string,
  data: Record<string, unknown> = {},
  extras: RuntimeCommExtras & { readonly commId?: string } = {},
): RuntimeComm {
  return needRuntime("openComm").openComm(targetName, data, extras);
}

/**
 * Installs npm packages for this notebook: `await add("zod@^4")`, then `import { z } from "zod"`.
 *
 * @throws {Error} with the installer's own words.
 */
export async function add(...packages: readonly string[]): Promise<void> {
  await needRuntime("add").add(...packages);
}

function needRuntime(name: string): KernelRuntime {
  const runtime = kernelRuntime();
  if (runtime === null) throw new Error(`${name}() works in a notebook's cell only; this code runs outside a kernel.`);
  return runtime;
}
