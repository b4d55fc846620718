// Type errors of a cell: the server's diagnostics, in the cell's own lines, and as one compact text. What is done with
// them (a warning, a stop, nothing) is the session's.
import type { TypeErrors, TypeProblem } from "./contract.ts";
import { humanPosition, indexAt, type Range } from "./positions.ts";
import { type LanguageServer, uriOf } from "./server.ts";

interface Diagnostic {
  readonly range: Range;
  readonly severity?: number;
  readonly code?: number | string;
  readonly message: string;
}

const errorSeverity = 1;

/** Below are syntax errors, which the evaluator reports when the cell runs. */
const firstSemanticCode = 2000;
/** But for these: `satisfies` not satisfied, and a `void` tested for truth. */
const semanticCodesBelow: ReadonlySet<number> = new Set([1345, 1360]);

const hiddenCodes: ReadonlySet<number> = new Set([
  // A module that is not there: the evaluator says so too, with the command that adds it.
  2307, 2792, 2882,
  // A module without type declarations works; its names are `any`.
  7016,
  // What comes from outside (`await response.json()`) is of type `unknown`; a notebook is where it is looked into.
  2571, 18046,
]);

/** `path` is the scratch document that holds `code`. */
export async function readDiagnostics(
  server: LanguageServer,
  path: string,
  code: string,
): Promise<readonly TypeProblem[]> {
  const answer = await server.request("textDocument/diagnostic", { textDocument: { uri: uriOf(path) } });
  const items = (answer as { items?: unknown } | null)?.items;
  if (!Array.isArray(items)) return [];
  return (items as Diagnostic[]).flatMap((item) => {
    const number = Number(item.code);
    const isSemantic = number >= firstSemanticCode || semanticCodesBelow.has(number);
    if (item.severity !== errorSeverity || !isSemantic || hiddenCodes.has(number)) return [];
    if (item.range.start.line === 0) return [];
    const start = humanPosition(code, indexAt(code, item.range.start));
    const end = humanPosition(code, indexAt(code, item.range.end));
    return [
      {
        line: start.line,
        column: start.column,
        endLine: end.line,
        endColumn: end.column,
        code: `TS${item.code}`,
        message: rephrase(number, item.message),
      },
    ];
  });
}

/** Names of earlier cells reach a cell as imports; people wrote `const` or `function`. */
function rephrase(code: number, message: string): string {
  if (code === 2632)
    return message.replace("because it is an import", "because it is a constant, function or class of an earlier cell");
  return message;
}

const maxShown = 5;

/** `2:7 - type error TS2322: Type 'number' is not assignable to type 'string'.`, one line for each problem. */
export function describeProblems(problems: readonly TypeProblem[]): string {
  const lines = problems
    .slice(0, maxShown)
    .map(
      ({ line, column, message, code }) => `${line}:${column} - type error ${code}: ${message.replace(/\n\s*/g, " ")}`,
    );
  if (problems.length > maxShown) lines.push(`… and ${problems.length - maxShown} more`);
  return lines.join("\n");
}

/** The setting, from the environment variable BUNSEN_TYPE_ERRORS; anything unknown is "warn". */
export function typeErrorsSetting(value: string | undefined): TypeErrors {
  return value === "stop" || value === "silent" ? value : "warn";
}
