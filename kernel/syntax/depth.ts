// A bound on nesting, checked before parsing: the native parser recurses, and a text nested some thousand levels deep would end
// the process instead of giving an error. A rough scan, far from any limit that written code meets; not a lexer.

/** Open brackets at one place. The parser bears about 5,000 on a main thread, and some 1,500 on a worker's smaller stack. */
const MAX_BRACKETS = 1_000;
/** Operators and keywords that nest without brackets, without a separator between them (`a => b => …`, `!!!…x`, `else if …`). */
const MAX_RUN = 3_000;
/** Branches of `else` in one text: each nests in the one before it, whatever separators stand between. */
const MAX_ELSE = 2_000;

/** Index of the first place that is nested too deeply, or -1. Strings, templates and comments are skipped. */
export function tooDeepAt(code: string): number {
  if (code.length <= MAX_BRACKETS) return -1;
  let open = 0;
  let run = 0;
  let elses = 0;
  for (let index = 0; index < code.length; index++) {
    switch (code[index]) {
      case "'":
      case '"':
        index = closing(code, index, true);
        break;
      case "`":
        index = closing(code, index, false);
        break;
      case "/": {
        const next = code[index + 1];
        if (next === "/") index = endOf(code, "\n", index);
        else if (next === "*") index = endOf(code, "*/", index + 2);
        break;
      }
      case "(":
      case "[":
      case "{":
      case "<":
        if (code[index] !== "<") open++;
        run++;
        break;
      case ")":
      case "]":
        if (open > 0) open--;
        break;
      case "}":
        if (open > 0) open--;
        run = 0;
        break;
      case ";":
      case ",":
        run = 0;
        break;
      case "!":
      case "~":
      case "?":
      case "+":
      case "-":
      case "=":
      case ".":
      case "*":
      case "&":
      case "|":
        run++;
        break;
      case "e":
        if (code.startsWith("else", index) && ++elses > MAX_ELSE) return index;
        break;
      case "\n":
        // A newline between statements needs no semicolon; within one expression few lines matter.
        run = Math.max(0, run - 8);
        break;
    }
    if (open > MAX_BRACKETS || run > MAX_RUN) return index;
  }
  return -1;
}

/** Index of the quote that closes the string begun at `start`; a line's end closes a plain string too. */
function closing(code: string, start: number, oneLine: boolean): number {
  const quote = code[start];
  for (let index = start + 1; index < code.length; index++) {
    const char = code[index];
    if (char === "\\") index++;
    else if (char === quote || (oneLine && char === "\n")) return index;
  }
  return code.length;
}

function endOf(code: string, mark: string, from: number): number {
  const at = code.indexOf(mark, from);
  return at < 0 ? code.length : at + mark.length - 1;
}
