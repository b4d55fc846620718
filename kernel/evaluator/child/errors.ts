// An error of user code → name, message and a traceback in the user's own lines: cell number, code frame with a caret,
// causes and aggregated errors, without the kernel's own frames. Not here: where errors are caught.

import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { SyntaxProblem } from "../../syntax/parse.ts";
import { type LineColumn, lines } from "../../syntax/positions.ts";
import { HELPER } from "../rewriter.ts";
import { problemPosition, type TransformContext, type TransformedCell, transformCell } from "../transform.ts";
import { awaitOf } from "./awaits.ts";
import type { CellState } from "./cells.ts";

export interface ErrorReport {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

const RED = "\u001b[31m";
const GREEN = "\u001b[32m";
const CYAN = "\u001b[36m";
const BOLD = "\u001b[1m";
const DIM = "\u001b[2m";
const OFF = "\u001b[0m";

const INTERNALS: string = resolve(import.meta.dirname, "../..");
const MAX_FRAMES = 30;
const MAX_DEPTH = 8;

/** What is kept of a cell to map its frames: its text, from which the positions are found again when an error comes. */
interface ScriptRecord {
  readonly state: CellState;
  readonly context: TransformContext;
}

/** Cells by the number in their script's file name. */
const scripts = new Map<number, ScriptRecord>();
/** Functions of older cells may still run; the bound keeps memory flat. */
const MAX_SCRIPTS = 2_000;

/** File name of a cell's script. */
export function scriptName(state: CellState, context: TransformContext): string {
  scripts.set(state.sequence, { state, context });
  const oldest = scripts.size > MAX_SCRIPTS ? scripts.keys().next().value : undefined;
  if (oldest !== undefined) scripts.delete(oldest);
  return `bunsen:cell/${state.sequence}`;
}

/** The latest mapped cell: the frames of one stack mostly lie in one. */
let mapped: { readonly record: ScriptRecord; readonly cell: TransformedCell } | null = null;

function mappedCell(record: ScriptRecord): TransformedCell | null {
  if (mapped?.record !== record) {
    const cell = transformCell(record.state.request.code, record.context);
    if (!cell.ok) return null;
    mapped = { record, cell };
  }
  return mapped.cell;
}

function originalPosition(record: ScriptRecord, position: LineColumn): LineColumn | null {
  const place = mappedCell(record)?.originalPosition(position);
  if (place === null || place === undefined) return null;
  // The engine points behind the `new` of a construction; people look for the beginning.
  const before = lines(record.state.request.code)[place.line - 1]?.slice(0, place.column) ?? "";
  const lead = /\bnew\s+$/.exec(before);
  return lead === null ? place : { line: place.line, column: lead.index };
}

interface Frame {
  readonly name: string;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  readonly cell: CellState | null;
}

const FRAME = /^\s*at (?:(.*?) \()?((?:[^()]|\([^()]*\))*?):(\d+)(?::(\d+))?\)?$/;

/** The frames of a stack that are the user's business, positions mapped to the text of the cells. */
function framesOf(stack: string): Frame[] {
  const frames: Frame[] = [];
  for (const text of stack.split("\n")) {
    const match = FRAME.exec(text);
    if (match === null) continue;
    const file = (match[2] ?? "").replace(/^async /, "");
    const line = Number(match[3]);
    const column = Number(match[4] ?? 1);
    const cell = /bunsen:cell\/(\d+)$/.exec(file);
    if (cell !== null) {
      const record = scripts.get(Number(cell[1]));
      if (record === undefined) continue;
      const { state } = record;
      const place = originalPosition(record, { line, column: column - 1 });
      if (place === null) continue;
      const name = (match[1] ?? "").replace(/^(?:async )?(?:<anonymous>|anonymous)$/, "");
      frames.push({ name, file: cellLabel(state), line: place.line, column: place.column + 1, cell: state });
      continue;
    }
    if (file.startsWith(INTERNALS) || /^(?:bunsen:|node:|native|internal:|bun:|unknown|<parse>)/.test(file)) continue;
    frames.push({ name: match[1] ?? "", file, line, column, cell: null });
  }
  return frames;
}

/** The await that an error came through, for one whose stack names no cell. */
function awaitFrame(error: object): Frame[] {
  const place = awaitOf(error);
  const record = place === null ? undefined : scripts.get(place.script);
  if (place === null || record === undefined) return [];
  const position = mappedCell(record)?.awaitPosition(place.offset);
  if (position === null || position === undefined) return [];
  const { state } = record;
  return [{ name: "await", file: cellLabel(state), line: position.line, column: position.column + 1, cell: state }];
}

/** The cell that an error's stack names first. */
export function cellOfError(error: unknown): CellState | null {
  const stack = error instanceof Error ? String(error.stack ?? "") : "";
  const match = /bunsen:cell\/(\d+)/.exec(stack);
  return match === null ? null : (scripts.get(Number(match[1]))?.state ?? null);
}

function cellLabel(state: CellState): string {
  return `cell [${state.request.executionCount}]`;
}

/** Lines around a position, the line itself marked, a caret below its column. */
function codeFrame(code: string, line: number, column: number): string[] {
  const all = lines(code);
  const first = Math.max(1, line - 2);
  const last = Math.min(all.length, line + 2);
  const width = String(last).length;
  const out: string[] = [];
  for (let number = first; number <= last; number++) {
    const text = (all[number - 1] ?? "").slice(0, 300);
    const gutter = String(number).padStart(width);
    if (number === line) {
      out.push(`${RED}>${OFF} ${GREEN}${gutter}${OFF} ${DIM}|${OFF} ${text}`);
      const lead = text.slice(0, column - 1).replace(/[^\t]/g, " ");
      out.push(`  ${" ".repeat(width)} ${DIM}|${OFF} ${lead}${RED}^${OFF}`);
    } else out.push(`  ${GREEN}${gutter}${OFF} ${DIM}|${OFF} ${text}`);
  }
  return out;
}

function nameOfError(error: unknown): string {
  if (error instanceof Error || isErrorLike(error)) {
    const name = read(error, "name");
    return typeof name === "string" && name !== "" ? name : "Error";
  }
  return "Thrown value";
}

function isErrorLike(error: unknown): error is object {
  return typeof error === "object" && error !== null && typeof read(error, "message") === "string" && "name" in error;
}

/** A property of a value that may throw when read. */
function read(value: object, name: string): unknown {
  try {
    return (value as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** The engine quotes the code that failed; what the transform put there is taken out. */
function withoutHelpers(message: string): string {
  if (!message.includes(HELPER)) return message;
  return message
    .replace(/\(0, __bunsen__\.s\.([\p{ID_Continue}$]+)\)/gu, "$1")
    .replace(/__bunsen__\.[skv]\./g, "")
    .replace(/__bunsen__\.[ai]\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*), \d+, \d+\)/g, "$1")
    .replace(/__bunsen__\.f\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)/g, "$1")
    .replace(/__bunsen__\.(?:[aif]\()?/g, "");
}

function messageOf(error: unknown): string {
  return withoutHelpers(rawMessageOf(error));
}

function rawMessageOf(error: unknown): string {
  if (typeof error === "object" && error !== null) {
    const message = read(error, "message");
    if (typeof message === "string") return message;
  }
  if (typeof error === "string") return error;
  try {
    return Bun.inspect(error, { colors: false });
  } catch (failure) {
    return `a value that cannot be shown (${String(failure)})`;
  }
}

/** Whether a file is the user's own, not a package's. */
function isOwnFile(file: string): boolean {
  return file.startsWith("/") && !file.includes("/node_modules/");
}

const MAX_SOURCE_BYTES = 1_000_000;

/** Text of a file that an error points into; null where it cannot be read. */
function sourceOf(file: string): string | null {
  try {
    return statSync(file).size > MAX_SOURCE_BYTES ? null : readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** Bun's BuildMessage and ResolveMessage tell where in a module they arose. */
function messagePosition(error: object): string[] {
  const position = read(error, "position");
  if (typeof position !== "object" || position === null) return [];
  const { file, line, column, lineText } = position as Record<string, unknown>;
  if (typeof file !== "string" || typeof line !== "number" || typeof column !== "number" || file === "") return [];
  const code = sourceOf(file);
  const frame =
    code !== null ? codeFrame(code, line, column) : typeof lineText === "string" ? codeFrame(lineText, 1, column) : [];
  return [...frame, `    at ${CYAN}${file}${OFF}:${line}:${column}`];
}

function describe(error: unknown, depth: number, seen: Set<unknown>): string[] {
  const out = [`${RED}${BOLD}${nameOfError(error)}${OFF}: ${messageOf(error)}`];
  if (typeof error !== "object" || error === null) return out;
  seen.add(error);
  const frames = framesOf(String(read(error, "stack") ?? ""));
  if (!frames.some((frame) => frame.cell !== null)) frames.push(...awaitFrame(error));
  const first = frames.find((frame) => frame.cell !== null || isOwnFile(frame.file));
  const inCell = frames.find((frame) => frame.cell !== null);
  out.push(...messagePosition(error));
  if (first !== undefined && first.cell === null) {
    const code = sourceOf(first.file);
    if (code !== null) out.push(`${DIM}${first.file}${OFF}`, ...codeFrame(code, first.line, first.column), "");
  }
  if (inCell?.cell) out.push(...codeFrame(inCell.cell.request.code, inCell.line, inCell.column));
  for (const frame of frames.slice(0, MAX_FRAMES)) {
    const place = `${CYAN}${frame.file}${OFF}:${frame.line}:${frame.column}`;
    out.push(frame.name === "" ? `    at ${place}` : `    at ${frame.name} (${place})`);
  }
  if (frames.length > MAX_FRAMES) out.push(`    … ${frames.length - MAX_FRAMES} more`);
  if (depth >= MAX_DEPTH) return out;
  const inner = (title: string, value: unknown): void => {
    out.push("", `${BOLD}${title}${OFF}`);
    if (seen.has(value)) out.push("  (the same error as above)");
    else out.push(...describe(value, depth + 1, seen).map((line) => `  ${line}`));
  };
  const errors = error instanceof AggregateError ? read(error, "errors") : undefined;
  if (Array.isArray(errors)) {
    errors.slice(0, 10).forEach((item, index) => {
      inner(`Error ${index + 1} of ${errors.length}:`, item);
    });
    if (errors.length > 10) out.push(`… ${errors.length - 10} more errors`);
  }
  if ("cause" in error && read(error, "cause") !== undefined) inner("Caused by:", read(error, "cause"));
  return out;
}

/** Any thrown value, told in the user's own lines. */
export function reportError(error: unknown): ErrorReport {
  const traceback = describe(error, 0, new Set());
  return {
    ename: nameOfError(error),
    evalue: messageOf(error),
    traceback: traceback.flatMap((line) => line.split("\n")),
  };
}

/** A cell that cannot be parsed. */
export function reportProblems(state: CellState, problems: readonly SyntaxProblem[]): ErrorReport {
  const first = problems[0];
  const evalue =
    first === undefined ? "The cell cannot be parsed." : `${first.message}${first.help ? ` (${first.help})` : ""}`;
  const traceback: string[] = [];
  for (const problem of problems.slice(0, 5)) {
    const { line, column } = problemPosition(state.request.code, problem);
    traceback.push(`${RED}${BOLD}SyntaxError${OFF}: ${problem.message}${problem.help ? ` (${problem.help})` : ""}`);
    traceback.push(...codeFrame(state.request.code, line, column + 1));
    traceback.push(`    at ${CYAN}${cellLabel(state)}${OFF}:${line}:${column + 1}`);
  }
  if (problems.length > 5) traceback.push(`… ${problems.length - 5} more`);
  return { ename: "SyntaxError", evalue, traceback };
}

/** An interrupted cell. */
export function reportInterrupt(): ErrorReport {
  return {
    ename: "InterruptedError",
    evalue: "Interrupted. Variables are kept.",
    traceback: [`${RED}${BOLD}InterruptedError${OFF}: Interrupted. Variables are kept.`],
  };
}
