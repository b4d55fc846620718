// The edits that turn one cell's JavaScript (TypeScript erased) into a script for the REPL: what transform.ts orders, done on
// the text with positions kept. Not here: parsing, source maps, or what the helper object does.

import MagicString from "magic-string";
import { list, nameOf, need, node, nodes } from "../syntax/nodes.ts";
import { boundNames, outerReferences } from "../syntax/references.ts";
import { type SyntaxNode, walk } from "../syntax/walk.ts";

/** What the script calls its helpers by. */
export const HELPER = "__bunsen__";

/** The edits of one cell's JavaScript. Text is inserted around nodes, outer nodes first. */
export class Rewriter {
  readonly text: MagicString;
  readonly names: Set<string> = new Set();
  readonly vars: Set<string> = new Set();
  isAsync = false;
  readonly #js: string;
  readonly #script: number;

  /** `script` names the script in its awaits. */
  constructor(js: string, script: number) {
    this.#js = js;
    this.#script = script;
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
    for (const declarator of declarators) boundNames(need(declarator, "id"), this.vars);
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
      `;await ${HELPER}.a(${HELPER}.bind(${source}, ${JSON.stringify(bindings)}), ${this.#script}, ${statement.start});`,
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
      `;await ${HELPER}.a(${HELPER}.bind(${this.source(statement)}, ${JSON.stringify(bindings)}), ${this.#script}, ${statement.start});`,
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

  /** Points uses of the names that shadow built-in globals at the user's own values. */
  redirect(program: SyntaxNode, shadowed: ReadonlySet<string>): void {
    for (const { name, identifier, parent, shorthand } of outerReferences(program, shadowed)) {
      const place = `${HELPER}.s.${name}`;
      // A call must not pass the holder as `this`.
      const called =
        (parent.type === "CallExpression" && parent.callee === identifier) ||
        (parent.type === "TaggedTemplateExpression" && parent.tag === identifier);
      const use = called ? `(0, ${place})` : place;
      this.text.update(identifier.start, identifier.end, shorthand ? `${name}: ${use}` : use);
    }
  }

  /** Rewrites what may stand at any depth. */
  rewriteInner(program: SyntaxNode): void {
    walk(program, (inner, depth, parent) => {
      switch (inner.type) {
        case "AwaitExpression": {
          if (depth === 0) this.isAsync = true;
          const argument = need(inner, "argument");
          this.before(argument, `${HELPER}.a(`);
          this.after(argument, `, ${this.#script}, ${inner.start})`);
          break;
        }
        case "ForOfStatement":
          if (inner.await === true) {
            if (depth === 0) this.isAsync = true;
            const right = need(inner, "right");
            this.before(right, `${HELPER}.i(`);
            this.after(right, `, ${this.#script}, ${inner.start})`);
          }
          break;
        case "VariableDeclaration":
          if (depth === 0 && inner.kind === "await using") this.isAsync = true;
          if (depth === 0 && inner.kind === "var") this.declareVar(inner, parent);
          break;
        case "CallExpression": {
          const callee = need(inner, "callee");
          const method =
            callee.type === "MemberExpression" && callee.computed !== true ? nameOf(need(callee, "property")) : "";
          if (!/^(?:then|catch|finally)$/.test(method)) break;
          for (const argument of nodes(inner, "arguments")) {
            if (argument.type === "SpreadElement") continue;
            this.before(argument, `${HELPER}.f(`);
            this.after(argument, ")");
          }
          break;
        }
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
export function isHoisted(statement: SyntaxNode): boolean {
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
export function isNothing(statement: SyntaxNode): boolean {
  if (statement.type === "EmptyStatement") return true;
  return (
    statement.type === "ExportNamedDeclaration" &&
    node(statement, "declaration") === null &&
    node(statement, "source") === null &&
    list(statement, "specifiers").length === 0
  );
}

export function rewriteTop(rewriter: Rewriter, statement: SyntaxNode): void {
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
