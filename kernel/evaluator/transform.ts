// One cell's TypeScript → a script that a REPL can run: types erased, declarations moved to the global object (so that later
// cells see and redeclare them), imports made dynamic, the last expression's value returned, awaits made interruptible.
// Positions are kept, so that an error can be told in the user's own lines. Not here: running anything.
//
// The script evaluates to a function of no arguments; calling it runs the cell and gives (a promise of) `[value]` when the
// cell ends in an expression, else undefined. It calls the object `__bunsen__` (child/script-runtime.ts).

import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { transformSync } from "oxc-transform";
import { nameOf, need, node, nodes } from "../syntax/nodes.ts";
import { parseCell, parseJavaScript, type SyntaxProblem } from "../syntax/parse.ts";
import { type LineColumn, lineColumn } from "../syntax/positions.ts";
import { type SyntaxNode, walk } from "../syntax/walk.ts";
import { lowerDecorators } from "./decorators.ts";
import { HELPER, isHoisted, isNothing, Rewriter, rewriteTop } from "./rewriter.ts";

/** A runnable cell. */
export interface TransformedCell {
  readonly ok: true;
  /** The script. */
  readonly code: string;
  readonly isAsync: boolean;
  /** Names that the cell declares for all cells, in order. */
  readonly names: readonly string[];
  /** Where a position of the script lies in the cell's own text; null for text that the user did not write. */
  originalPosition(position: LineColumn): LineColumn | null;
  /** Where an await stands, by the offset that its call carries. */
  awaitPosition(offset: number): LineColumn | null;
}

/** What a session of cells has made of the global names so far. */
export interface TransformContext {
  /** Names of built-in globals: a cell that declares one shadows it for cells, instead of replacing it for every library. */
  readonly builtIns: ReadonlySet<string>;
  /** Built-in names that earlier cells have declared. */
  readonly shadowed: ReadonlySet<string>;
  /** The number that names the script in the awaits of the cell. */
  readonly script: number;
  /** Decorators as TypeScript had them before the standard's (`experimentalDecorators`), with or without types at run time. */
  readonly legacyDecorators?: { readonly metadata: boolean };
}

const NOTHING_SHADOWED: TransformContext = { builtIns: new Set(), shadowed: new Set(), script: 0 };

/** A cell that cannot be parsed. */
export interface RejectedCell {
  readonly ok: false;
  readonly problems: readonly SyntaxProblem[];
}

/** What the TypeScript tree alone can tell. */
interface TypeScriptFacts {
  /** Top-level enums and namespaces that emit code: they begin afresh in each cell instead of merging with an older cell's. */
  readonly fresh: string[];
  readonly endsInExpression: boolean;
  /** Imports of nothing but inline types: `import { type T } from "x"`. */
  readonly typeOnlyImports: SyntaxNode[];
}

function typeScriptFacts(body: readonly SyntaxNode[]): TypeScriptFacts {
  const fresh = new Set<string>();
  const typeOnlyImports: SyntaxNode[] = [];
  const declared = new Set<string>();
  for (const statement of body) {
    const inner =
      statement.type === "ExportNamedDeclaration" ? (node(statement, "declaration") ?? statement) : statement;
    if (inner.type === "ClassDeclaration" || inner.type === "FunctionDeclaration") {
      const id = node(inner, "id");
      if (id !== null) declared.add(nameOf(id));
    }
    if ((inner.type === "TSEnumDeclaration" || inner.type === "TSModuleDeclaration") && inner.declare !== true) {
      const id = need(inner, "id");
      if (id.type === "Identifier" && !declared.has(nameOf(id))) fresh.add(nameOf(id));
    }
    const imports = inner.type === "ImportDeclaration" ? nodes(inner, "specifiers") : [];
    if (imports.length > 0 && imports.every((specifier) => specifier.importKind === "type"))
      typeOnlyImports.push(inner);
  }
  const last = body.filter((statement) => statement.type !== "EmptyStatement").at(-1);
  const isValue =
    last?.type === "ExpressionStatement" ||
    (last?.type === "ExportDefaultDeclaration" && !/^(?:Function|Class|TS)/.test(need(last, "declaration").type));
  return { fresh: [...fresh], endsInExpression: isValue, typeOnlyImports };
}

/**
 * Whether a cell of expressions is JavaScript as it stands, so that nothing need be erased and its tree serves as it is: most short
 * cells are. Statements that the rewriter moves or replaces would need the printer's semicolons.
 */
function isPlain(text: string, program: SyntaxNode & { readonly body: readonly SyntaxNode[] }): boolean {
  // In a script, unlike a module, these begin comments.
  if (text.includes("<!--") || text.includes("-->")) return false;
  if (program.body.some(({ type }) => type !== "ExpressionStatement")) return false;
  let plain = true;
  walk(program, (inner) => {
    const { type } = inner;
    // Classes have modifiers that are no nodes; so do a parameter's `?` and a `this` among the parameters.
    if (/^(?:TS|JSX|Class|Decorator)/.test(type)) plain = false;
    else if (type === "Identifier" && (inner.optional === true || inner.name === "this")) plain = false;
    else if (inner.optional === true && !/^(?:Call|Member)Expression$/.test(type)) plain = false;
    return plain;
  });
  return plain;
}

/** `{a: 1}` alone in a cell is meant as an object, as in every JavaScript REPL, where it is one. */
function asObjectLiteral(code: string): string | null {
  if (!/^\s*\{/.test(code) || !/\}\s*$/.test(code)) return null;
  const wrapped = `(${code})`;
  const { program, problems } = parseCell(wrapped);
  return problems.length === 0 && program.body.length === 1 ? wrapped : null;
}

interface Erased {
  readonly code: string;
  readonly map: object | undefined;
}

/** Takes the types out; TSX and enums become JavaScript. */
function erase(
  text: string,
  language: "ts" | "tsx",
  { typeOnlyImports }: TypeScriptFacts,
  legacy: TransformContext["legacyDecorators"],
): Erased | { readonly problem: SyntaxProblem } {
  let blanked = text;
  for (const { start, end } of typeOnlyImports) {
    // Blanks keep every other position as it was.
    blanked = blanked.slice(0, start) + blanked.slice(start, end).replace(/[^\r\n]/g, " ") + blanked.slice(end);
  }
  const erased = transformSync(`cell.${language}`, blanked, {
    lang: language,
    sourceType: "module",
    target: "esnext",
    sourcemap: true,
    typescript: { onlyRemoveTypeImports: true },
    jsx: { runtime: "classic", pragma: `${HELPER}.jsx`, pragmaFrag: `${HELPER}.Fragment`, development: false },
    ...(legacy === undefined
      ? {}
      : {
          decorator: { legacy: true, emitDecoratorMetadata: legacy.metadata },
          helpers: { mode: "External" as never },
        }),
  });
  const fault = erased.errors[0];
  if (fault === undefined) return { code: erased.code, map: erased.map };
  const { message, helpMessage: help, labels } = fault;
  return { problem: { message, help, start: labels[0]?.start ?? 0, end: labels[0]?.end ?? 0 } };
}

/** The value expression of a cell's last statement. */
function resultExpression(statement: SyntaxNode | undefined): SyntaxNode | null {
  if (statement?.type === "ExpressionStatement") return node(statement, "expression");
  if (statement?.type !== "ExportDefaultDeclaration") return null;
  const declaration = need(statement, "declaration");
  const named = /^(?:Function|Class)Declaration$/.test(declaration.type) && node(declaration, "id") !== null;
  return named ? null : declaration;
}

/** Makes a cell runnable, or says why it cannot be parsed. Never throws because of the text. */
export function transformCell(
  code: string,
  context: TransformContext = NOTHING_SHADOWED,
): TransformedCell | RejectedCell {
  const literal = asObjectLiteral(code);
  const shift = literal === null ? 0 : 1;
  // A script's first line `#!…` is a comment there, and becomes one here.
  const text = literal ?? (code.startsWith("#!") ? `//${code.slice(2)}` : code);
  const parsed = parseCell(text);
  if (parsed.problems.length > 0) return { ok: false, problems: parsed.problems };
  const facts = typeScriptFacts(parsed.program.body);
  const erased = isPlain(text, parsed.program)
    ? { code: text, map: undefined }
    : erase(text, parsed.language, facts, context.legacyDecorators);
  if ("problem" in erased) {
    const { message, help, start, end } = erased.problem;
    const moved = { message, help, start: Math.max(0, start - shift), end: Math.max(0, end - shift) };
    return { ok: false, problems: [moved] };
  }
  let js = erased.code;
  let program = erased.map === undefined ? parsed.program : parseJavaScript(js);
  const lowered = lowerDecorators(js, program, HELPER);
  if (lowered !== null) {
    js = lowered.code;
    program = parseJavaScript(js);
  }
  const rewriter = new Rewriter(js, context.script);
  const statements = program.body.filter((statement) => !isNothing(statement));
  const last = facts.endsInExpression ? resultExpression(statements.at(-1)) : null;
  const anchor = statements.find((statement) => !isHoisted(statement));
  // `await add("x"); import y from "x"` in one cell means what it says: such an import stays behind.
  const adding = statements.find(
    (statement) => !isHoisted(statement) && /\badd\(/.test(js.slice(statement.start, statement.end)),
  );
  const waitsForAdd = (statement: SyntaxNode): boolean =>
    adding !== undefined && statement.type === "ImportDeclaration" && statement.start > adding.start;
  // A default export is parenthesised already, and closed by a semicolon.
  const isDefault = last !== null && statements.at(-1)?.type === "ExportDefaultDeclaration";
  if (last !== null) rewriter.before(last, isDefault ? "return [" : "return [(");
  for (const statement of program.body) {
    rewriteTop(rewriter, statement);
    if (anchor !== undefined && statement.start > anchor.start && isHoisted(statement) && !waitsForAdd(statement)) {
      rewriter.text.move(statement.start, statement.end, anchor.start);
    }
  }
  if (last !== null) rewriter.text.appendLeft(last.end, isDefault ? "]" : ")]");
  rewriter.rewriteInner(program);

  const fresh = new Set(facts.fresh);
  const vars = [...rewriter.vars].filter((name) => !fresh.has(name));
  const names = [...new Set([...rewriter.names, ...vars, ...fresh])];
  const shadowing = names.filter((name) => context.builtIns.has(name));
  if (shadowing.length > 0 || context.shadowed.size > 0) {
    rewriter.redirect(program, new Set([...context.shadowed, ...shadowing]));
  }
  const prelude =
    (vars.length > 0 ? `${HELPER}.vars(${JSON.stringify(vars)});` : "") +
    (fresh.size > 0 ? `${HELPER}.reset(${JSON.stringify([...fresh])});` : "");
  rewriter.text.prepend(`"use strict";(${rewriter.isAsync ? "async " : ""}() => {${prelude}`);
  rewriter.text.append("\n})");

  let maps: TraceMap[] | null = null;
  const trace = (position: LineColumn, skip: number): LineColumn | null => {
    // Only errors need maps: they are made when the first one comes.
    maps ??= [rewriter.text.generateMap({ hires: true }), lowered?.map(), erased.map]
      .filter((map) => map !== undefined)
      .map((map) => new TraceMap(map as never));
    let place: LineColumn = position;
    for (const map of maps.slice(skip)) {
      const found = originalPositionFor(map, place);
      if (found.line === null) return null;
      place = { line: found.line, column: found.column };
    }
    if (erased.map === undefined) place = nameStart(text, place);
    return place.line === 1 ? { line: 1, column: Math.max(0, place.column - shift) } : place;
  };
  return {
    ok: true,
    code: rewriter.text.toString(),
    isAsync: rewriter.isAsync,
    names,
    originalPosition: (position) => trace(position, 0),
    awaitPosition: (offset) => trace(lineColumn(js, offset), 1),
  };
}

/** The engine points into or behind a name (at a call's parenthesis, at a dot); people, and the printer's maps, at its beginning. */
function nameStart(text: string, { line, column }: LineColumn): LineColumn {
  const row = text.split("\n")[line - 1] ?? "";
  const name = /[\p{ID_Continue}$]+$/u.exec(row.slice(0, column));
  return { line, column: name === null ? column : name.index };
}

/** Position of a parse problem, for a code frame. */
export function problemPosition(code: string, problem: SyntaxProblem): LineColumn {
  return lineColumn(code, problem.start);
}
