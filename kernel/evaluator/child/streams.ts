// What user code prints through JavaScript: `console` and `process.stdout`/`stderr` go to the cell that prints, in order with
// everything else that it publishes. Native writes to descriptors 1 and 2 are the parent's business.

import { formatWithOptions, inspect } from "node:util";
import { forConsole } from "../../display/plain.ts";
import { callingCell } from "./cells.ts";
import { writeStream } from "./channel.ts";

type StreamName = "stdout" | "stderr";

const now = performance.now.bind(performance);

function print(name: StreamName, text: string): void {
  writeStream(callingCell()?.request.id ?? "", name, text);
}

let indent = "";
const counts = new Map<string, number>();
const timers = new Map<string, number>();

/** Plain values joined, as the formatter would; null where it has more to do. Most prints are of this kind. */
function joinPlain(values: readonly unknown[]): string | null {
  let text = "";
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value === "number") text += Object.is(value, -0) ? "-0" : value;
    else if (typeof value === "boolean" || value === undefined || value === null) text += value;
    // A first string with % is a pattern.
    else if (typeof value === "string" && (index > 0 || !value.includes("%"))) text += value;
    else return null;
    if (index < values.length - 1) text += " ";
  }
  return text;
}

function format(values: readonly unknown[]): string {
  const first = values[0];
  if (values.length === 1 && typeof first === "string") return first;
  const joined = joinPlain(values);
  if (joined !== null) return joined;
  return formatWithOptions({ colors: false }, ...values.map(forConsole));
}

function line(name: StreamName, text: string): void {
  print(name, indent === "" ? `${text}\n` : `${indent}${text.replaceAll("\n", `\n${indent}`)}\n`);
}

function elapsed(label: string): string | null {
  const start = timers.get(label);
  if (start === undefined) {
    line("stderr", `Timer "${label}" does not exist; start it with console.time(${JSON.stringify(label)}).`);
    return null;
  }
  const ms = now() - start;
  return ms >= 1000 ? `${(ms / 1000).toFixed(3)}s` : `${ms.toFixed(3)}ms`;
}

function group(...values: unknown[]): void {
  if (values.length > 0) line("stdout", format(values));
  indent += "  ";
}

const methods: Record<string, (...values: never[]) => unknown> = {
  log: (...values: unknown[]): void => line("stdout", format(values)),
  info: (...values: unknown[]): void => line("stdout", format(values)),
  debug: (...values: unknown[]): void => line("stdout", format(values)),
  error: (...values: unknown[]): void => line("stderr", format(values)),
  warn: (...values: unknown[]): void => line("stderr", format(values)),
  trace: (...values: unknown[]): void => {
    const stack = String(new Error("trace").stack ?? "")
      .split("\n")
      .slice(2)
      .filter((frame) => !frame.includes("bunsen:guard") && !frame.includes(import.meta.dirname));
    line("stderr", [`Trace${values.length > 0 ? `: ${format(values)}` : ""}`, ...stack].join("\n"));
  },
  dir: (value: unknown, options?: object): void => line("stdout", inspect(value, { customInspect: false, ...options })),
  dirxml: (...values: unknown[]): void => line("stdout", format(values)),
  table: (data: unknown, properties?: string[]): void => {
    if (typeof data !== "object" || data === null) line("stdout", format([data]));
    else line("stdout", Bun.inspect.table(data, properties as never, { colors: false } as never).replace(/\n$/, ""));
  },
  group,
  groupCollapsed: group,
  groupEnd: (): void => {
    indent = indent.slice(2);
  },
  time: (label: unknown = "default"): void => {
    timers.set(String(label), now());
  },
  timeLog: (label: unknown = "default", ...values: unknown[]): void => {
    const took = elapsed(String(label));
    if (took !== null) line("stdout", [`${label}: ${took}`, ...(values.length > 0 ? [format(values)] : [])].join(" "));
  },
  timeEnd: (label: unknown = "default"): void => {
    const took = elapsed(String(label));
    timers.delete(String(label));
    if (took !== null) line("stdout", `${label}: ${took}`);
  },
  count: (label: unknown = "default"): void => {
    const count = (counts.get(String(label)) ?? 0) + 1;
    counts.set(String(label), count);
    line("stdout", `${label}: ${count}`);
  },
  countReset: (label: unknown = "default"): void => {
    counts.delete(String(label));
  },
  assert: (condition: unknown, ...values: unknown[]): void => {
    if (condition) return;
    line("stderr", values.length > 0 ? `Assertion failed: ${format(values)}` : "Assertion failed");
  },
  // Clearing a terminal has no meaning in a notebook; `clear` of bunsen/kernel empties a cell's output.
  clear: (): void => {},
  write: (...values: unknown[]): number => {
    const text = values.map((value) => (typeof value === "string" ? value : decode(value, undefined))).join("");
    print("stdout", text);
    return Buffer.byteLength(text);
  },
};

function decode(chunk: unknown, encoding: unknown): string {
  if (typeof chunk === "string") {
    const plain = typeof encoding !== "string" || /^utf-?8$/i.test(encoding);
    return plain ? chunk : Buffer.from(chunk, encoding as BufferEncoding).toString("utf8");
  }
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("utf8");
  throw new TypeError(`A stream takes strings and byte arrays, not ${typeof chunk}.`);
}

/** Makes `process.stdout.write` print in the calling cell; the stream itself is made only when someone asks for it. */
function redirect(name: StreamName): void {
  const original = Object.getOwnPropertyDescriptor(process, name);
  const write = (chunk: unknown, encoding?: unknown, callback?: unknown): boolean => {
    const done = typeof encoding === "function" ? encoding : callback;
    print(name, decode(chunk, encoding));
    if (typeof done === "function") queueMicrotask(() => done());
    return true;
  };
  let stream: NodeJS.WriteStream | null = null;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get(): NodeJS.WriteStream {
      if (stream === null) {
        stream = (original?.get?.call(process) ?? original?.value) as NodeJS.WriteStream;
        Object.defineProperty(stream, "write", { value: write, writable: true, configurable: true });
      }
      return stream;
    },
  });
}

export function installStreams(): void {
  for (const [name, method] of Object.entries(methods)) {
    Object.defineProperty(method, "name", { value: name });
    Object.defineProperty(console, name, { value: method, writable: true, configurable: true, enumerable: true });
  }
  redirect("stdout");
  redirect("stderr");
}
