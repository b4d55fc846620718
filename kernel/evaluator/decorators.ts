// Standard (TC39, TypeScript 5) decorators and auto-accessors → plain classes: no JavaScript engine runs them yet. The text is
// edited in place, so positions stay known. Not here: what decorators are called with (child/decorators.ts, the `$d` below),
// nor TypeScript's older experimental decorators.
//
//   @log class A { @bound m() {} @field x = 1; accessor y = 2 }
// becomes, in essence,
//   let A = (($d) => { let A; $d.classes([log]); ({ A: class { static { A = $d.begin(this); } #$0 = $d.start(this);
//     [$d.key(0, "method", false, [bound], "m")]() {}  [$d.key(1, "field", false, [field], "x")] = $d.init(1, this, 1);
//     #$1 = $d.after(1, this);  #$2 = 2; get y() { return this.#$2; } set y(v) { this.#$2 = v; } } }); return $d.end(); })(…)

import MagicString from "magic-string";
import { nameOf, need, node, nodes } from "../syntax/nodes.ts";
import { type SyntaxNode, walk } from "../syntax/walk.ts";

/** Edited text, and the edits' source map. */
export interface Lowered {
  readonly code: string;
  map(): unknown;
}

function elementsOf(cls: SyntaxNode): SyntaxNode[] {
  return nodes(need(cls, "body"), "body");
}

function needsLowering(cls: SyntaxNode): boolean {
  if (nodes(cls, "decorators").length > 0) return true;
  return elementsOf(cls).some(
    (element) => element.type === "AccessorProperty" || nodes(element, "decorators").length > 0,
  );
}

/** Index of the `class` keyword of a class whose decorators end at `from`. */
function classKeyword(js: string, from: number): number {
  const skip = /(?:\s|\/\*[\s\S]*?\*\/|\/\/[^\n]*\n|export\b|default\b)*/y;
  skip.lastIndex = from;
  skip.exec(js);
  return skip.lastIndex;
}

/** Whether `await` stands in a class's head or keys, outside functions of its own. */
function awaitsInHead(cls: SyntaxNode): boolean {
  let found = false;
  walk(cls, (inner, depth) => {
    if (inner.type === "AwaitExpression" && depth === 0) found = true;
    return depth === 0;
  });
  return found;
}

class ClassLowering {
  readonly #js: string;
  readonly #text: MagicString;
  readonly #cls: SyntaxNode;
  readonly #helper: string;
  #count = 0;
  #privates = 0;
  #accesses = "";

  constructor(js: string, text: MagicString, cls: SyntaxNode, helper: string) {
    this.#js = js;
    this.#text = text;
    this.#cls = cls;
    this.#helper = helper;
  }

  #private(): string {
    return `#$bunsen${this.#privates++}`;
  }

  /** Turns `@a @b` into `[a,b]` where they stand; gives their range. */
  #asArray(decorators: readonly SyntaxNode[]): { start: number; end: number } | null {
    const first = decorators[0];
    const last = decorators.at(-1);
    if (first === undefined || last === undefined) return null;
    for (const decorator of decorators) {
      const expression = need(decorator, "expression");
      this.#text.update(decorator.start, expression.start, decorator === first ? "[" : ",");
    }
    this.#text.appendLeft(last.end, "]");
    return { start: first.start, end: last.end };
  }

  lower(parent: SyntaxNode | null): void {
    const cls = this.#cls;
    const id = node(cls, "id");
    const decorators = nodes(cls, "decorators");
    const lastDecorator = decorators.at(-1);
    const outer =
      parent?.type === "ExportNamedDeclaration" || parent?.type === "ExportDefaultDeclaration" ? parent : null;
    const head = classKeyword(this.#js, Math.max(lastDecorator?.end ?? 0, cls.start));
    const name = id === null ? inferredName(cls, parent) : nameOf(id);
    const isDeclaration = cls.type === "ClassDeclaration" && id !== null;
    const isAwaiting = awaitsInHead(cls);
    // Whatever stands between the decorators and the keyword (`export`) is put before all of it, or left out.
    if (lastDecorator !== undefined) this.#text.remove(lastDecorator.end, head);
    if (outer !== null && outer.start < Math.min(decorators[0]?.start ?? head, head)) {
      this.#text.remove(outer.start, decorators[0]?.start ?? head);
    }
    const open = `${isAwaiting ? "await (async " : "("}($d) => {${id === null ? "" : ` let ${name};`} `;
    const lead = `${isDeclaration ? `let ${name} = ` : outer === null ? "" : "export default "}${open}`;
    const array = this.#asArray(decorators);
    if (array !== null) {
      this.#text.appendRight(array.start, `${lead}$d.classes(`);
      this.#text.appendLeft(array.end, "); ");
    } else this.#text.appendRight(head, lead);
    // Private fields have no computed key in which their decorators could be evaluated: the first static block does it.
    const inside = need(cls, "body").start + 1;
    this.#text.appendLeft(inside, " static { ");
    for (const element of elementsOf(cls)) this.#element(element, inside);
    this.#text.appendRight(head, `({${JSON.stringify(name)}: `);
    if (id !== null) this.#text.remove(id.start, id.end);
    const bind = id === null ? "$d.begin(this);" : `${name} = $d.begin(this);`;
    const start = `${this.#private()} = $d.start(this);`;
    this.#text.prependRight(inside, `${this.#accesses}${bind} } ${start} `);
    this.#text.appendLeft(
      cls.end,
      `}); return $d.end(); })(${this.#helper}.decorators())${isDeclaration || outer !== null ? ";" : ""}`,
    );
  }

  #element(element: SyntaxNode, inside: number): void {
    const decorators = nodes(element, "decorators");
    const isAccessor = element.type === "AccessorProperty";
    if (decorators.length === 0 && !isAccessor) return;
    const index = this.#count++;
    const isStatic = element.static === true;
    const key = need(element, "key");
    const isPrivate = key.type === "PrivateIdentifier";
    const isField = element.type === "PropertyDefinition" || isAccessor;
    const kind = isAccessor
      ? "accessor"
      : element.type === "PropertyDefinition"
        ? "field"
        : element.kind === "get"
          ? "getter"
          : element.kind === "set"
            ? "setter"
            : "method";
    const call = `$d.key(${index}, "${kind}", ${isStatic}, `;
    const privateName = isPrivate ? `#${nameOf(key)}` : "";
    if (isPrivate) {
      const get = kind === "setter" ? "null" : `(o) => o.${privateName}`;
      const set = kind === "getter" || kind === "method" ? "null" : `(o, v) => { o.${privateName} = v; }`;
      this.#accesses += `$d.access(${index}, ${get}, ${set}, (o) => ${privateName} in o); `;
    }
    const array = this.#asArray(decorators);
    if (isPrivate && isField) {
      if (array !== null) {
        this.#text.appendRight(array.start, call);
        this.#text.appendLeft(array.end, `, "${privateName}", true); `);
        this.#text.move(array.start, array.end, inside);
      }
    }
    // The accessor's value is moved before its key, and the decorators after that: in this order.
    if (isAccessor) this.#accessor(element, key, index, isStatic, privateName, decorators.length > 0);
    if (!(isPrivate && isField)) this.#computeKey(element, key, array, call, privateName);
    if (isAccessor) return;
    if (isField) this.#field(element, index, isStatic);
    else if (isPrivate) {
      const lead = isStatic ? " static " : " ";
      const method =
        kind === "method"
          ? `get ${privateName}() { return $d.method(${index}); }`
          : kind === "getter"
            ? `get ${privateName}() { return $d.method(${index}).call(this); }`
            : `set ${privateName}(v) { $d.method(${index}).call(this, v); }`;
      this.#text.appendLeft(element.end, `${lead}${method} `);
    }
  }

  /** Makes an element's key a computed one that evaluates its decorators. */
  #computeKey(
    element: SyntaxNode,
    key: SyntaxNode,
    array: { start: number; end: number } | null,
    call: string,
    privateName: string,
  ): void {
    const computed = element.computed === true;
    if (array === null) {
      // An accessor without decorators: a computed key must still be evaluated once only.
      if (computed) {
        this.#text.appendRight(key.start, `${call}[], `);
        this.#text.appendLeft(key.end, ")");
      }
      return;
    }
    this.#text.appendRight(array.start, `${computed ? "" : "["}${call}`);
    this.#text.appendLeft(array.end, ", ");
    if (computed) this.#text.appendLeft(key.end, ")");
    else if (privateName !== "") this.#text.update(key.start, key.end, `"${privateName}", true)]`);
    else this.#text.update(key.start, key.end, `${keyText(this.#js, key)})]`);
    this.#text.move(array.start, array.end, key.start);
  }

  #field(element: SyntaxNode, index: number, isStatic: boolean): void {
    const value = node(element, "value");
    const key = need(element, "key");
    if (value === null) {
      const end = element.computed === true ? this.#js.indexOf("]", key.end) + 1 : key.end;
      this.#text.appendLeft(end, ` = $d.init(${index}, this, void 0)`);
    } else {
      this.#text.appendRight(value.start, `$d.init(${index}, this, `);
      this.#text.prependLeft(value.end, ")");
    }
    this.#after(element, index, isStatic);
  }

  #after(element: SyntaxNode, index: number, isStatic: boolean): void {
    this.#text.appendLeft(
      element.end,
      isStatic ? ` static { $d.after(${index}, this); } ` : ` ${this.#private()} = $d.after(${index}, this); `,
    );
  }

  #accessor(
    element: SyntaxNode,
    key: SyntaxNode,
    index: number,
    isStatic: boolean,
    privateName: string,
    decorated: boolean,
  ): void {
    const storage = this.#private();
    const lead = isStatic ? "static " : "";
    const value = node(element, "value");
    const computed = element.computed === true;
    const keyStart = computed ? this.#js.lastIndexOf("[", key.start) : key.start;
    const keyEnd = computed ? this.#js.indexOf("]", key.end) + 1 : key.end;
    const decorators = nodes(element, "decorators");
    const modifiers = decorators.at(-1)?.end ?? element.start;
    const again =
      privateName !== "" ? privateName : computed || decorated ? `[$d.again(${index})]` : keyText(this.#js, key, false);
    // Public decorators were moved to the key: what is before them is the modifiers (`static accessor `).
    this.#text.update(modifiers, keyStart, `${lead}${storage} = ${decorated ? `$d.init(${index}, this, ` : "("}`);
    const close = `); ${lead}get `;
    const methods = `() { return this.${storage}; } ${lead}set ${again}(v) { this.${storage} = v; }`;
    if (value === null) this.#text.appendLeft(keyStart, `void 0${close}`);
    else {
      this.#text.remove(keyEnd, value.start);
      this.#text.appendLeft(value.end, close);
      this.#text.move(value.start, value.end, keyStart);
    }
    this.#text.appendLeft(keyEnd, methods);
    if (decorated) this.#after(element, index, isStatic);
  }
}

/** A key as an expression (quoted), or as it stands in a class. */
function keyText(js: string, key: SyntaxNode, quoted = true): string {
  const text = js.slice(key.start, key.end);
  return quoted && key.type === "Identifier" ? JSON.stringify(text) : text;
}

/** The name that an anonymous class gets from where it stands. */
function inferredName(cls: SyntaxNode, parent: SyntaxNode | null): string {
  const target =
    parent?.type === "VariableDeclarator" && parent.init === cls
      ? node(parent, "id")
      : parent?.type === "AssignmentExpression" && parent.right === cls
        ? node(parent, "left")
        : null;
  return target?.type === "Identifier" ? nameOf(target) : "";
}

/** Lowers all decorators and auto-accessors of a program; null where there are none. */
export function lowerDecorators(js: string, program: SyntaxNode, helper: string): Lowered | null {
  if (!js.includes("@") && !js.includes("accessor")) return null;
  const found: { cls: SyntaxNode; parent: SyntaxNode | null }[] = [];
  walk(program, (inner, _depth, parent) => {
    if ((inner.type === "ClassDeclaration" || inner.type === "ClassExpression") && needsLowering(inner)) {
      found.push({ cls: inner, parent });
    }
    return true;
  });
  if (found.length === 0) return null;
  const text = new MagicString(js);
  for (const { cls, parent } of found) new ClassLowering(js, text, cls, helper).lower(parent);
  return { code: text.toString(), map: () => text.generateMap({ hires: true }) };
}
