// One cell's TypeScript → a script that a REPL can run: types erased, declarations moved to the global object (so that later
// cells see and redeclare them), imports made dynamic, the last expression's value returned, awaits made interruptible.
// Positions are kept, so that an error can be told in the user's own lines. Not here: running anything.
//
// The script evaluates to a function of no arguments; calling it runs the cell and gives (a promise of) `[value]` when the
// cell ends in an expression, else undefined. It calls the object `__bunsen__` (child/script-runtime.ts).

import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import MagicString from "magic-string";
import { transformSync } from "oxc-transform";
import { parseCell, parseJavaScript, type SyntaxProblem } from "../syntax/parse.ts";
import { type LineColumn, lineColumn } from "../syntax/positions.ts";
import { isNode, type SyntaxNode, walk } from "../syntax/walk.ts";

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
}

/** A cell that cannot be parsed. */
export interface RejectedCell {
  readonly ok: false;
  readonly problems: readonly SyntaxProblem[];
}

/** What the script calls its helpers by. */
export const HELPER = "__bunsen__";

function node(parent: SyntaxNode, key: string): SyntaxNode | null {
  const value = parent[key];
  return isNode(value) ? value : null;
}

function need(parent: SyntaxNode, key: string): SyntaxNode {
  const found = node(parent, key);
  if (found === null) throw new Error(`The parser gave a ${parent.type} without "${key}".`);
  return found;
}

function list(parent: SyntaxNode, key: string): (SyntaxNode | null)[] {
  const value = parent[key];
  return Array.isArray(value) ? value.map((item) => (isNode(item) ? item : null)) : [];
}

function nodes(parent: SyntaxNode, key: string): SyntaxNode[] {
  return list(parent, key).filter((item) => item !== null);
}

/** The name of an identifier or of a string-named import or export. */
function nameOf(identifier: SyntaxNode): string {
  return String(identifier.type === "Literal" ? identifier.value : identifier.name);
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

/** `{a: 1}` alone in a cell is meant as an object, as in every JavaScript REPL, where it is one. */
function asObjectLiteral(code: string): string | null {
  if (!/^\s*\{/.test(code) || !/\}\s*$/.test(code)) return null;
  const wrapped = `(${code})`;
  const { program, problems } = parseCell(wrapped);
  return problems.length === 0 && program.body.length === 1 ? wrapped : null;
}

/** The edits of one cell's JavaScript. Text is inserted around nodes, outer nodes first. */
class Rewriter {
  readonly text: MagicString;
  readonly names = new Set<string>();
  readonly vars = new Set<string>();
  isAsync = false;
  readonly #js: string;

  constructor(js: string) {
    this.#js = js;
    this.text = new MagicString(js);
  }

  before(target: SyntaxNode, content: string): void {
    this.text.appendRight(target.start, content);
  }

  after(target: SyntaxNode, content: string): void {
    this.text.prependLeft(target.end, content);
  }

  /** `name` as the target of an assignment that declares it; a `const` cannot be assigned to afterwards. */
  place(name: string, constant: boolean): string {
    this.names.add(name);
    return `${HELPER}.${constant ? "k" : "v"}.${name}`;
  }

  /** A function or class without a name of its own gets the one it is assigned to, as it would in a declaration. */
  nameFunction(name: string, value: SyntaxNode | null): void {
    let inner = value;
    while (inner?.type === "ParenthesizedExpression") inner = node(inner, "expression");
    if (value === null || inner === null) return;
    const anonymous =
      inner.type === "ArrowFunctionExpression" ||
      ((inner.type === "FunctionExpression" || inner.type === "ClassExpression") && node(inner, "id") === null);
    if (!anonymous) return;
    this.before(value, `({${key(name)}: `);
    this.after(value, `})[${JSON.stringify(name)}]`);
  }

  /** Turns a binding pattern into an assignment pattern over global names. */
  declarePattern(pattern: SyntaxNode, constant: boolean): void {
    switch (pattern.type) {
      case "Identifier": {
        const name = nameOf(pattern);
        this.text.update(pattern.start, pattern.end, this.place(name, constant));
        return;
      }
      case "ObjectPattern":
        for (const property of nodes(pattern, "properties")) {
          if (property.type === "RestElement") {
            this.declarePattern(need(property, "argument"), constant);
            continue;
          }
          const value = need(property, "value");
          if (property.shorthand === true) this.before(property, `${key(nameOf(need(property, "key")))}: `);
          this.declarePattern(value, constant);
        }
        return;
      case "ArrayPattern":
        for (const element of nodes(pattern, "elements")) this.declarePattern(element, constant);
        return;
      case "RestElement":
        this.declarePattern(need(pattern, "argument"), constant);
        return;
      case "AssignmentPattern": {
        const left = need(pattern, "left");
        if (left.type === "Identifier") this.nameFunction(nameOf(left), node(pattern, "right"));
        this.declarePattern(left, constant);
        return;
      }
      default:
        throw new Error(`A declaration cannot bind a ${pattern.type}.`);
    }
  }

  /** Names bound by a pattern. */
  collect(pattern: SyntaxNode, into: Set<string>): void {
    walk(pattern, (inner, _depth, parent) => {
      if (inner.type === "Identifier") {
        const isKey = parent?.type === "Property" && parent.key === inner && parent.shorthand !== true;
        const isDefault = parent?.type === "AssignmentPattern" && parent.right === inner;
        if (!isKey && !isDefault) into.add(nameOf(inner));
        return false;
      }
      // Defaults and computed keys are expressions: they bind nothing here.
      return /Pattern$|^Property$|^RestElement$/.test(inner.type);
    });
  }

  /** `let` and `const` at the top of a cell. */
  declareLexical(declaration: SyntaxNode): void {
    const constant = declaration.kind === "const";
    const declarators = nodes(declaration, "declarations");
    const first = declarators[0];
    if (first === undefined) return;
    this.text.update(declaration.start, first.start, ";(");
    for (const declarator of declarators) {
      const id = need(declarator, "id");
      const init = node(declarator, "init");
      if (id.type === "Identifier") this.nameFunction(nameOf(id), init);
      if (init === null) this.after(declarator, " = void 0");
      this.declarePattern(id, constant);
    }
    const last = declarators.at(-1);
    // Appended (not prepended) so that it closes after everything that the declarator itself still gets.
    if (last !== undefined) this.text.appendLeft(last.end, ")");
  }

  /** `var`, wherever it stands outside functions: the name is declared beforehand, the declaration becomes an assignment. */
  declareVar(declaration: SyntaxNode, parent: SyntaxNode | null): void {
    const declarators = nodes(declaration, "declarations");
    const first = declarators[0];
    if (first === undefined) return;
    const inFor =
      (parent?.type === "ForStatement" && parent.init === declaration) ||
      ((parent?.type === "ForInStatement" || parent?.type === "ForOfStatement") && parent.left === declaration);
    this.text.update(declaration.start, first.start, inFor ? " " : "(");
    const last = declarators.at(-1);
    if (!inFor && last !== undefined) this.text.appendLeft(last.end, ")");
    for (const declarator of declarators) this.collect(need(declarator, "id"), this.vars);
  }

  declareFunction(declaration: SyntaxNode): void {
    const id = need(declaration, "id");
    const name = nameOf(id);
    // Not `x = function x() {}`: its own name inside would hide a later redefinition.
    this.before(declaration, `;${this.place(name, false)} = ({${key(name)}: `);
    this.text.remove(id.start, id.end);
    this.after(declaration, `})[${JSON.stringify(name)}];`);
  }

  declareClass(declaration: SyntaxNode): void {
    this.before(declaration, `;${this.place(nameOf(need(declaration, "id")), false)} = `);
    this.after(declaration, ";");
  }

  bindImport(statement: SyntaxNode): void {
    this.isAsync = true;
    const source = this.source(statement);
    const bindings = nodes(statement, "specifiers").map((specifier) => {
      const local = nameOf(need(specifier, specifier.type === "ExportSpecifier" ? "exported" : "local"));
      this.names.add(local);
      if (specifier.type === "ImportDefaultSpecifier") return ["default", local];
      if (specifier.type === "ImportNamespaceSpecifier") return ["*", local];
      return [nameOf(need(specifier, specifier.type === "ExportSpecifier" ? "local" : "imported")), local];
    });
    this.text.update(
      statement.start,
      statement.end,
      `;await ${HELPER}.a(${HELPER}.bind(${source}, ${JSON.stringify(bindings)}));`,
    );
  }

  bindAll(statement: SyntaxNode): void {
    this.isAsync = true;
    const exported = node(statement, "exported");
    const bindings = exported === null ? null : [["*", nameOf(exported)]];
    if (exported !== null) this.names.add(nameOf(exported));
    this.text.update(
      statement.start,
      statement.end,
      `;await ${HELPER}.a(${HELPER}.bind(${this.source(statement)}, ${JSON.stringify(bindings)}));`,
    );
  }

  /** The module's name and, where there are any, the import attributes, as arguments. */
  source(statement: SyntaxNode): string {
    const from = need(statement, "source");
    const attributes: [string, string][] = nodes(statement, "attributes").map((attribute) => [
      nameOf(need(attribute, "key")),
      nameOf(need(attribute, "value")),
    ]);
    const name = JSON.stringify(nameOf(from));
    return attributes.length === 0 ? name : `[${name}, ${JSON.stringify(Object.fromEntries(attributes))}]`;
  }

  /** Rewrites what may stand at any depth. */
  rewriteInner(program: SyntaxNode): void {
    walk(program, (inner, depth, parent) => {
      switch (inner.type) {
        case "AwaitExpression": {
          if (depth === 0) this.isAsync = true;
          const argument = need(inner, "argument");
          this.before(argument, `${HELPER}.a(`);
          this.after(argument, ")");
          break;
        }
        case "ForOfStatement":
          if (inner.await === true) {
            if (depth === 0) this.isAsync = true;
            const right = need(inner, "right");
            this.before(right, `${HELPER}.i(`);
            this.after(right, ")");
          }
          break;
        case "VariableDeclaration":
          if (depth === 0 && inner.kind === "await using") this.isAsync = true;
          if (depth === 0 && inner.kind === "var") this.declareVar(inner, parent);
          break;
        case "ImportExpression":
          this.text.update(inner.start, inner.start + "import".length, `${HELPER}.import`);
          break;
        case "MetaProperty":
          if (this.#js.startsWith("import", inner.start)) {
            this.text.update(inner.start, inner.end, `${HELPER}.meta`);
          }
          return false;
      }
      return true;
    });
  }
}

/** A property name in an object literal; `__proto__` would set the prototype. */
function key(name: string): string {
  return name === "__proto__" ? '["__proto__"]' : name;
}

/** Whether a statement is taken to the front of the cell: a function (hoisted) or an import. */
function isHoisted(statement: SyntaxNode): boolean {
  if (statement.type === "ImportDeclaration" || statement.type === "FunctionDeclaration") return true;
  if (statement.type === "ExportAllDeclaration") return true;
  if (statement.type === "ExportNamedDeclaration") {
    return node(statement, "source") !== null || node(statement, "declaration")?.type === "FunctionDeclaration";
  }
  return (
    statement.type === "ExportDefaultDeclaration" &&
    need(statement, "declaration").type === "FunctionDeclaration" &&
    node(need(statement, "declaration"), "id") !== null
  );
}

/** `;`, and the `export {}` that is left where types alone were imported or exported. */
function isNothing(statement: SyntaxNode): boolean {
  if (statement.type === "EmptyStatement") return true;
  return (
    statement.type === "ExportNamedDeclaration" &&
    node(statement, "declaration") === null &&
    node(statement, "source") === null &&
    list(statement, "specifiers").length === 0
  );
}

function rewriteTop(rewriter: Rewriter, statement: SyntaxNode): void {
  switch (statement.type) {
    case "ImportDeclaration":
      rewriter.bindImport(statement);
      return;
    case "ExportAllDeclaration":
      rewriter.bindAll(statement);
      return;
    case "ExportNamedDeclaration": {
      const declaration = node(statement, "declaration");
      if (declaration !== null) {
        rewriter.text.remove(statement.start, declaration.start);
        rewriteTop(rewriter, declaration);
      } else if (node(statement, "source") !== null) rewriter.bindImport(statement);
      else rewriter.text.update(statement.start, statement.end, ";");
      return;
    }
    case "ExportDefaultDeclaration": {
      const declaration = need(statement, "declaration");
      rewriter.text.remove(statement.start, declaration.start);
      if (/^(?:Function|Class)Declaration$/.test(declaration.type) && node(declaration, "id") !== null) {
        rewriteTop(rewriter, declaration);
        return;
      }
      rewriter.before(declaration, "(");
      rewriter.after(declaration, ")");
      return;
    }
    case "VariableDeclaration":
      if (statement.kind === "let" || statement.kind === "const") rewriter.declareLexical(statement);
      return;
    case "FunctionDeclaration":
      rewriter.declareFunction(statement);
      return;
    case "ClassDeclaration":
      rewriter.declareClass(statement);
      return;
  }
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
export function transformCell(code: string): TransformedCell | RejectedCell {
  const literal = asObjectLiteral(code);
  const shift = literal === null ? 0 : 1;
  const text = literal ?? code;
  const parsed = parseCell(text);
  if (parsed.problems.length > 0) return { ok: false, problems: parsed.problems };
  const facts = typeScriptFacts(parsed.program.body);
  let blanked = text;
  for (const { start, end } of facts.typeOnlyImports) {
    // Blanks keep every other position as it was.
    blanked = blanked.slice(0, start) + blanked.slice(start, end).replace(/[^\r\n]/g, " ") + blanked.slice(end);
  }
  const erased = transformSync(`cell.${parsed.language}`, blanked, {
    lang: parsed.language,
    sourceType: "module",
    target: "esnext",
    sourcemap: true,
    typescript: { onlyRemoveTypeImports: true },
    jsx: { runtime: "classic", pragma: `${HELPER}.jsx`, pragmaFrag: `${HELPER}.Fragment`, development: false },
  });
  const fault = erased.errors[0];
  if (fault !== undefined) {
    return {
      ok: false,
      problems: [
        {
          message: fault.message,
          help: fault.helpMessage,
          start: Math.max(0, (fault.labels[0]?.start ?? 0) - shift),
          end: Math.max(0, (fault.labels[0]?.end ?? 0) - shift),
        },
      ],
    };
  }
  const js = erased.code;
  const program = parseJavaScript(js);
  const rewriter = new Rewriter(js);
  const statements = program.body.filter((statement) => !isNothing(statement));
  const last = facts.endsInExpression ? resultExpression(statements.at(-1)) : null;
  const anchor = statements.find((statement) => !isHoisted(statement));
  // A default export is parenthesised already, and closed by a semicolon.
  const isDefault = last !== null && statements.at(-1)?.type === "ExportDefaultDeclaration";
  if (last !== null) rewriter.before(last, isDefault ? "return [" : "return [(");
  for (const statement of program.body) {
    rewriteTop(rewriter, statement);
    if (anchor !== undefined && statement.start > anchor.start && isHoisted(statement)) {
      rewriter.text.move(statement.start, statement.end, anchor.start);
    }
  }
  if (last !== null) rewriter.text.appendLeft(last.end, isDefault ? "]" : ")]");
  rewriter.rewriteInner(program);

  const fresh = new Set(facts.fresh);
  const vars = [...rewriter.vars].filter((name) => !fresh.has(name));
  const names = [...new Set([...rewriter.names, ...vars, ...fresh])];
  const prelude =
    (vars.length > 0 ? `${HELPER}.vars(${JSON.stringify(vars)});` : "") +
    (fresh.size > 0 ? `${HELPER}.reset(${JSON.stringify([...fresh])});` : "");
  rewriter.text.prepend(`"use strict";(${rewriter.isAsync ? "async " : ""}() => {${prelude}`);
  rewriter.text.append("\n})");

  let first: TraceMap | null = null;
  let second: TraceMap | null = null;
  const { map } = erased;
  return {
    ok: true,
    code: rewriter.text.toString(),
    isAsync: rewriter.isAsync,
    names,
    originalPosition(position: LineColumn): LineColumn | null {
      second ??= new TraceMap(rewriter.text.generateMap({ hires: true }) as never);
      first ??= new TraceMap((map ?? "{}") as never);
      const middle = originalPositionFor(second, position);
      if (middle.line === null) return null;
      const found = originalPositionFor(first, { line: middle.line, column: middle.column });
      if (found.line === null) return null;
      return { line: found.line, column: found.line === 1 ? Math.max(0, found.column - shift) : found.column };
    },
  };
}

/** Position of a parse problem, for a code frame. */
export function problemPosition(code: string, problem: SyntaxProblem): LineColumn {
  return lineColumn(code, problem.start);
}
