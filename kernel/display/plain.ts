// text/plain of any value: `node:util`'s inspect without colours, kept short (an array of ten million numbers or
// an object of a million keys prints at once), with tensors, tables and errors inside other values as one line each.
// It never throws, whatever getters and proxies the value has. Rich representations are the other files' work.
import { inspect } from "node:util";
import { isArrowTable, isArrowVector, tableSummary, vectorSummary } from "./arrow-shape.ts";
import { isTensor, tensorSummary } from "./tensor.ts";

const maxKeys = 200;
const maxItems = 100;
const maxCharacters = 10_000;
const maxDepth = 4;

/** One value as text: no ANSI, at most about a screenful or two. */
export function plainText(value: unknown): string {
  if (isLong(value)) return longText(value);
  if (typeof value !== "object" || value === null) return inspectSafely(value);
  try {
    return stripAnsi(inspectSafely(shorten(value, 0, new Set())));
  } catch {
    // A hostile getter or proxy stopped the walk; inspect itself touches no getters.
    return stripAnsi(inspectSafely(value));
  }
}

/**
 * A value as `console.log` should print it: itself, or a stand-in where it is or holds a tensor, a table or an error.
 * To be given to `node:util`'s inspect or format.
 */
export function forConsole(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  try {
    return shorten(value, 0, new Set());
  } catch {
    return value;
  }
}

let describeError: ((error: Error) => string) | null = null;

/** The evaluator knows where in which cell an error arose; its stack alone has the positions of generated code. */
export function describeErrorsWith(describe: (error: Error) => string): void {
  describeError = describe;
}

function errorSummary(error: Error, depth: number): object {
  if (depth > 0) return stub(`[${String(error)}]`);
  return describeError === null ? error : stub(stripAnsi(describeError(error)));
}

function inspectSafely(value: unknown): string {
  try {
    return inspect(value, { colors: false, maxArrayLength: maxItems, maxStringLength: maxCharacters, breakLength: 80 });
  } catch (error) {
    return `[${typeof value} that cannot be shown: ${error instanceof Error ? error.message : "its inspection threw"}]`;
  }
}

/** inspect looks at all of a string before it shows the beginning: a hundred megabytes take it most of a second. */
function isLong(value: unknown): value is string {
  return typeof value === "string" && value.length > maxCharacters;
}

function longText(text: string): string {
  const more = (text.length - maxCharacters).toLocaleString("en");
  return `${inspectSafely(text.slice(0, maxCharacters))}... ${more} more characters`;
}

/** Escape sequences of a terminal: they are noise in a notebook's text. */
export function stripAnsi(text: string): string {
  return text.includes("\u001b") ? Bun.stripANSI(text) : text;
}

/** Shown by inspect as the bare line `text`. */
function stub(text: string): object {
  return { [inspect.custom]: () => text };
}

/**
 * The value itself where nothing in it needs shortening (so that identity, classes and circles are shown as they
 * are), otherwise a shallow copy with one-line stand-ins. Only plain objects and arrays are entered.
 */
function shorten(value: object, depth: number, seen: Set<object>): unknown {
  if (isTensor(value)) return stub(depth === 0 ? tensorSummary(value) : tensorSummary(value, 4));
  if (isArrowTable(value)) return stub(tableSummary(value));
  if (isArrowVector(value)) return stub(vectorSummary(value));
  if (value instanceof Blob && value.constructor === Blob) {
    return stub(`Blob { size: ${value.size}, type: ${JSON.stringify(value.type)} }`);
  }
  if (value instanceof Error) return errorSummary(value, depth);
  if (depth >= maxDepth || seen.has(value)) return value;
  seen.add(value);
  if (Array.isArray(value)) return shortenArray(value, depth, seen);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  if (inspect.custom in value) return value;
  return shortenObject(value as Record<string, unknown>, depth, seen);
}

function shortenItem(item: unknown, depth: number, seen: Set<object>): unknown {
  if (isLong(item)) return stub(longText(item));
  return typeof item === "object" && item !== null ? shorten(item, depth, seen) : item;
}

function shortenArray(value: readonly unknown[], depth: number, seen: Set<object>): unknown {
  let copy: unknown[] | null = null;
  for (let index = 0; index < Math.min(value.length, maxItems); index++) {
    const item = value[index];
    const short = shortenItem(item, depth + 1, seen);
    if (short === item) continue;
    // The tail's length is all that is shown of it, so holes will do.
    copy ??= Object.assign(new Array<unknown>(value.length), value.slice(0, maxItems));
    copy[index] = short;
  }
  if (copy !== null && value.length > maxItems) copy.fill(null, maxItems, maxItems + 1);
  return copy ?? value;
}

function shortenObject(value: Readonly<Record<string, unknown>>, depth: number, seen: Set<object>): unknown {
  const descriptors: [string, PropertyDescriptor][] = [];
  let count = 0;
  // `for in` stops early; Object.keys of a million keys does not.
  for (const key in value) {
    if (count++ >= maxKeys) break;
    const descriptor = Object.getOwnPropertyDescriptor(value, key);
    if (descriptor !== undefined) descriptors.push([key, descriptor]);
  }
  let changed = count > maxKeys;
  for (const [, descriptor] of descriptors) {
    const item: unknown = descriptor.value;
    const short = shortenItem(item, depth + 1, seen);
    if (short !== item) {
      descriptor.value = short;
      changed = true;
    }
  }
  if (!changed) return value;
  const copy = Object.create(Object.getPrototypeOf(value) as object | null) as Record<string, unknown>;
  for (const [key, descriptor] of descriptors) Object.defineProperty(copy, key, descriptor);
  if (count > maxKeys)
    copy["…"] = stub(`${(Object.keys(value).length - maxKeys).toLocaleString("en")} more properties`);
  return copy;
}
