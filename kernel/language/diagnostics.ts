// Type errors of a cell: the server's diagnostics, in the cell's own lines, and as one compact text. What is done with
// them (a warning, a stop, nothing) is the session's.
import { parseCell } from "../syntax/parse.ts";
import { walk } from "../syntax/walk.ts";
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

/** A name or an element of which TypeScript finds no type itself, and which is `any`: all that noImplicitAny reports. */
const implicitAnyCodes: ReadonlySet<number> = new Set([
  7005, 7006, 7008, 7009, 7010, 7011, 7012, 7013, 7014, 7015, 7017, 7018, 7019, 7020, 7022, 7023, 7024, 7025, 7026,
  7031, 7032, 7033, 7034, 7039, 7051, 7052, 7053, 7054, 7055, 7057,
]);

/** "Possibly undefined", read and called. */
const undefinedCodes: ReadonlySet<number> = new Set([2722, 18048]);

/**
 * Variables that a text declares without type and value, as in `let model;`. Where a function gives them their value, TypeScript takes
 * them for undefined still; nobody said what they are, so nobody is told.
 */
function bareVariables(code: string): ReadonlySet<string> {
  const names = new Set<string>();
  const loops = new Set<unknown>();
  walk(parseCell(code).program, (node, _depth, parent) => {
    if (node.type === "ForOfStatement" || node.type === "ForInStatement") loops.add(node.left);
    if (node.type !== "VariableDeclarator" || loops.has(parent) || (node.init ?? null) !== null) return undefined;
    const id = node.id as { readonly type: string; readonly name?: string; readonly typeAnnotation?: unknown };
    if (id.type === "Identifier" && (id.typeAnnotation ?? null) === null) names.add(id.name ?? "");
    return undefined;
  });
  return names;
}

/**
 * `path` is the scratch document that holds `code`. A notebook is for trying things out: types are asked for where TypeScript can
 * find none itself with `noImplicitAny` only.
 */
export async function readDiagnostics(
  server: LanguageServer,
  path: string,
  code: string,
  noImplicitAny: boolean,
): Promise<readonly TypeProblem[]> {
  const answer = await server.request("textDocument/diagnostic", { textDocument: { uri: uriOf(path) } });
  const items = (answer as { items?: unknown } | null)?.items;
  if (!Array.isArray(items)) return [];
  let bare: ReadonlySet<string> | null = null;
  const isImplicitAny = (number: number, range: Range): boolean => {
    if (implicitAnyCodes.has(number)) return true;
    if (!undefinedCodes.has(number)) return false;
    bare ??= bareVariables(code);
    return bare.has(code.slice(indexAt(code, range.start), indexAt(code, range.end)));
  };
  return (items as Diagnostic[]).flatMap((item) => {
    const number = Number(item.code);
    const isSemantic = number >= firstSemanticCode || semanticCodesBelow.has(number);
    if (item.severity !== errorSeverity || !isSemantic || hiddenCodes.has(number)) return [];
    if (item.range.start.line === 0) return [];
    if (!noImplicitAny && isImplicitAny(number, item.range)) return [];
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
