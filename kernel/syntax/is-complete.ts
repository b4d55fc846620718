// Is this text a whole cell (run it), the beginning of one (ask for another line), or wrong however it goes on?
// The answer to is_complete_request, from the parser that also runs the cell. Not a completer.

import { parseAs, parseCell, type SyntaxProblem } from "./parse.ts";

export interface Completeness {
  readonly status: "complete" | "incomplete" | "invalid";
  /** Only with "incomplete": what the next line should begin with. */
  readonly indent?: string;
}

/** What the next line begins with: the last line's own indent, one step more after an opening bracket, an arrow or an operator. */
function nextIndent(code: string): string {
  const last = code.trimEnd().split("\n").at(-1) ?? "";
  const own = /^[ \t]*/.exec(last)?.[0] ?? "";
  const opens = /(?:[{([:]|=>|\$\{)\s*(?:\/\/.*)?$/.test(last);
  return opens ? `${own}${own.includes("\t") ? "\t" : "  "}` : own;
}

/**
 * Judges a cell by its first problem. The parser reads left to right, so a problem at the end of the text (or in a template or
 * comment that runs to the end) is one that more text can mend; a problem before that cannot be mended.
 */
export function isComplete(code: string): Completeness {
  const { problems } = parseCell(code);
  if (problems.length === 0) return { status: "complete" };
  const end = code.trimEnd().length;
  const mendable = (problem: SyntaxProblem): boolean => {
    const { message, start, end: stop } = problem;
    if (message.startsWith("Unterminated")) {
      const opened = code[start];
      // Templates and comments go on over line ends; a quoted string does so only after a backslash, a regular expression never.
      if (opened === "`" || code.startsWith("/*", start) || opened === "}") return stop >= end;
      if (opened === "'" || opened === '"') return stop >= end && code.endsWith("\\");
      return false;
    }
    return (
      start >= end || (stop >= end && /^(?:Identifier expected after|Missing initializer|Missing catch)/.test(message))
    );
  };
  // `const f = <T>(x: T` is the beginning of TypeScript but not of TSX.
  const incomplete = problems.some(mendable) || (code.includes("<") && parseAs(code, "ts").problems.some(mendable));
  return incomplete ? { status: "incomplete", indent: nextIndent(code) } : { status: "invalid" };
}
