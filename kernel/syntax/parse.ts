// The one parser of cells: TypeScript or TSX text → ESTree (with TypeScript nodes) and the errors found. The evaluator's
// transform, `is-complete.ts` and the language room all read cells through it. Not here: what the tree is used for.

import { type ParserOptions, parseSync } from "oxc-parser";
import { tooDeepAt } from "./depth.ts";
import type { SyntaxNode } from "./walk.ts";

/** One problem of a cell's text; offsets are UTF-16 indexes into the cell. */
export interface SyntaxProblem {
  readonly message: string;
  readonly help: string | null;
  readonly start: number;
  readonly end: number;
}

/** The top of the tree. */
export interface ProgramNode extends SyntaxNode {
  readonly type: "Program";
  readonly body: readonly SyntaxNode[];
}

export interface ParsedCell {
  /** "tsx" where the text is valid TSX; "ts" for text that only plain TypeScript allows (`<T>(x: T) => x`, `<number>y`). */
  readonly language: "tsx" | "ts";
  readonly program: ProgramNode;
  /** Empty when the cell can be run. */
  readonly problems: readonly SyntaxProblem[];
}

// A cell is no module: its exports are dropped, so what they name, and how often, does not matter.
const IGNORED = /^(?:Export '.*' is not defined|Duplicated export)/;

/** Parses as one of the two languages; prefer {@link parseCell}. */
export function parseAs(code: string, language: "tsx" | "ts"): ParsedCell {
  const deep = tooDeepAt(code);
  if (deep >= 0) {
    const message = "This is nested too deeply to be parsed; split it into parts.";
    const program: ProgramNode = { type: "Program", body: [], start: 0, end: code.length };
    return { language, program, problems: [{ message, help: null, start: deep, end: deep + 1 }] };
  }
  const options: ParserOptions = {
    lang: language,
    sourceType: "module",
    showSemanticErrors: true,
    preserveParens: true,
  };
  const result = parseSync(language === "tsx" ? "cell.tsx" : "cell.ts", code, options);
  const problems: SyntaxProblem[] = [];
  for (const error of result.errors) {
    if (error.severity !== "Error" || IGNORED.test(error.message)) continue;
    const label = error.labels[0];
    problems.push({
      message: error.message,
      help: error.helpMessage,
      start: label?.start ?? 0,
      end: label?.end ?? 0,
    });
  }
  return { language, program: result.program as unknown as ProgramNode, problems };
}

/** Parses a cell as TSX and, where that fails, as plain TypeScript. Never throws because of the text. */
export function parseCell(code: string): ParsedCell {
  const tsx = parseAs(code, "tsx");
  if (tsx.problems.length === 0 || !code.includes("<")) return tsx;
  const ts = parseAs(code, "ts");
  return ts.problems.length === 0 ? ts : tsx;
}

/**
 * Parses JavaScript that the kernel itself has made of a cell.
 * @throws Error where it is not JavaScript: a fault of the transform, never of the cell.
 */
export function parseJavaScript(code: string): ProgramNode {
  const result = parseSync("cell.js", code, { lang: "jsx", sourceType: "module", preserveParens: true });
  const error = result.errors.find(({ message }) => !IGNORED.test(message));
  if (error !== undefined) {
    throw new Error(`The kernel made JavaScript that cannot be parsed (${error.message}); please report the cell.`);
  }
  return result.program as unknown as ProgramNode;
}
