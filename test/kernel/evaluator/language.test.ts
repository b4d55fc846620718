// What a cell may be written in: TypeScript and TSX, declared and redeclared over many cells.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the cells under test are text

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { start } from "./harness.ts";

const kernel = start();
afterAll(() => kernel[Symbol.asyncDispose]());

/** Runs cells one after another; gives the last one's value. */
async function value(...cells: string[]): Promise<string | undefined> {
  for (const [index, code] of cells.entries()) {
    const ran = await kernel.run(code);
    if (ran.result.status === "error") throw new Error(`${code}\n${ran.traceback}`);
    if (index === cells.length - 1) return ran.value;
  }
  return undefined;
}

describe("a cell's value", () => {
  test("is that of its last expression", async () => {
    expect(await value("1; 2; 1 + 2")).toBe("3");
    expect(await value("'text'")).toContain("text");
    expect(await value("(1, 2)")).toBe("2");
  });

  test("shows nothing where it is undefined or the cell does not end in an expression", async () => {
    expect(await value("undefined")).toBeUndefined();
    expect(await value("1; let none = 2")).toBeUndefined();
    expect(await value("if (true) 5")).toBeUndefined();
    expect(await value("7\ninterface AfterAll { a: 1 }")).toBeUndefined();
    expect(await value("")).toBeUndefined();
    expect(await value("// nothing")).toBeUndefined();
  });

  test("may come from Bun's shell, whose $ is there unless a cell declares its own", async () => {
    expect(await value("(await $`echo from the shell`.text()).trim()")).toContain("from the shell");
    expect(await value("const $ = 5", "$ + 1")).toBe("6");
    expect(await value("const { $: shell } = await import('bun'); typeof shell")).toContain("function");
  });

  test("is shown where only types and semicolons follow or precede it", async () => {
    expect(await value("5;;")).toBe("5");
    expect(await value("import type { A } from './nowhere'; 5")).toBe("5");
    expect(await value("type B = 1; 6")).toBe("6");
  });

  test("is an object for braces that can be one, and nothing for a block", async () => {
    expect(await value("{a: 1, b: [2]}")).toBe("{ a: 1, b: [ 2 ] }");
    expect(await value("{ let inner = 1; inner }")).toBeUndefined();
  });

  test("is a promise where nobody awaits it, and its value where the cell does", async () => {
    expect(await value("Promise.resolve(1)")).toContain("Promise");
    expect(await value("await Promise.resolve(1)")).toBe("1");
  });

  test("is kept in `_` for the next cell, unless it is undefined", async () => {
    expect(await value("40 + 2", "_ + 1")).toBe("43");
    expect(await value("'kept'", "undefined", "_")).toContain("kept");
  });
});

describe("declarations", () => {
  test("live on and can be declared again, as another kind too", async () => {
    expect(await value("const a = 1", "const a = 2", "a")).toBe("2");
    expect(await value("let b = 1", "class b {}", "typeof b")).toContain("function");
    expect(await value("function c() { return 1 }", "const c = 5", "function c() { return 2 }", "c()")).toBe("2");
    expect(await value("enum D { X = 1 }", "enum D { Y = 7 }", "[D.Y, (D as any).X]")).toBe("[ 7, undefined ]");
    expect(await value("var e = 1", "let e = 2", "var e", "e")).toBe("2");
    expect(await value("const f = 1", "var f = 3; f")).toBe("3");
  });

  test("of a constant are kept from assignment until it is declared again", async () => {
    await value("const fixed = 1");
    const ran = await kernel.run("fixed = 2");
    expect(ran.result).toMatchObject({ status: "error", ename: "TypeError" });
    expect(await value("fixed")).toBe("1");
    expect(await value("let fixed = 5; fixed = 6; fixed")).toBe("6");
  });

  test("by destructuring bind each name, defaults and rests included", async () => {
    expect(await value("const {p, q: [r = 4, ...s], ...t} = {p: 1, q: [undefined, 2, 3], u: 5}; [p, r, s, t]")).toBe(
      "[ 1, 4, [ 2, 3 ], { u: 5 } ]",
    );
    expect(await value("let [x1, , x2 = () => 1] = [1, 2]; [x1, x2.name]")).toBe("[ 1, 'x2' ]");
    expect(await value("var {v1, ['v' + 2]: v2} = {v1: 1, v2: 2}; v1 + v2")).toBe("3");
  });

  test("that have not run leave no name behind", async () => {
    await kernel.run("throw new Error('stop'); const never = 1");
    const ran = await kernel.run("never");
    expect(ran.result).toMatchObject({ status: "error", ename: "ReferenceError" });
  });

  test("of functions are hoisted and see what other cells redeclare", async () => {
    expect(await value("early(); function early() { return 'hoisted' }\nearly()")).toContain("hoisted");
    expect(
      await value("const factor = 2; function scale(x: number) { return x * factor }", "const factor = 10", "scale(3)"),
    ).toBe("30");
    expect(
      await value(
        "function inner1() { return 1 }\nfunction outer1() { return inner1() }",
        "function inner1() { return 2 }",
        "outer1()",
      ),
    ).toBe("2");
    expect(await value("function fact(n: number): number { return n < 2 ? 1 : n * fact(n - 1) }\nfact(5)")).toBe("120");
    expect(
      await value(
        "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }",
        "let calls = 0; const plainFib = fib; fib = (n) => { calls++; return plainFib(n) }; fib(5); calls > 5",
      ),
    ).toBe("true");
  });

  test("keep the names of functions and classes", async () => {
    expect(
      await value(
        "const arrow = () => 1; let expr = function () {}; function decl() {}; class Cls {}; const Anon = class {}; [arrow, expr, decl, Cls, Anon].map((f) => f.name)",
      ),
    ).toBe("[ 'arrow', 'expr', 'decl', 'Cls', 'Anon' ]");
  });

  test("of generators and async functions work", async () => {
    expect(
      await value(
        "function* gen() { yield 1; yield 2 }\nasync function later() { return 3 }\nasync function* both() { yield 4 }\n[[...gen()], await later(), (await both().next()).value]",
      ),
    ).toBe("[ [ 1, 2 ], 3, 4 ]");
  });

  test("in loops are closed over one by one", async () => {
    expect(await value("const fs1 = []; for (let i = 0; i < 3; i++) fs1.push(() => i); fs1.map((f) => f())")).toBe(
      "[ 0, 1, 2 ]",
    );
    expect(await value("const fs2 = []; for (var i = 0; i < 3; i++) fs2.push(() => i); fs2.map((f) => f())")).toBe(
      "[ 3, 3, 3 ]",
    );
    expect(await value("const fs3 = []; for (const k of 'ab') fs3.push(() => k); fs3.map((f) => f())")).toBe(
      "[ 'a', 'b' ]",
    );
    expect(await value("for (var key in {z: 1}) ; key")).toContain("z");
    expect(await value("for (var [l, m] of [[1, 2]]) ; l + m")).toBe("3");
  });

  test("with `using` are disposed of when the cell ends", async () => {
    const ran = await kernel.run(
      "using r = { [Symbol.dispose]() { console.log('closed') } }; await using s = { async [Symbol.asyncDispose]() { console.log('closed later') } }; console.log('used'); 5",
    );
    expect(ran.stdout).toBe("used\nclosed later\nclosed\n");
    expect(ran.value).toBe("5");
  });

  test("of names that built-ins have shadow those for cells, not for libraries", async () => {
    await using own = start();
    const show = async (code: string): Promise<string | undefined> => (await own.run(code)).value;
    expect(await show("const performance = 0.93; performance + 1")).toBe("1.9300000000000002");
    expect(await show("[performance, typeof globalThis.performance.now]")).toBe("[ 0.93, 'function' ]");
    expect(
      await show("let { fetch = 3, process } = { process: 4 }; [fetch, process, { fetch }, ((process) => process)(5)]"),
    ).toBe("[ 3, 4, { fetch: 3 }, 5 ]");
    expect(await show("function Buffer(this: unknown, x: number) { return [this, x] }\nBuffer(1)")).toBe(
      "[ undefined, 1 ]",
    );
    expect(await show("({ fetch } = { fetch: 8 }); fetch")).toBe("8");
    expect(await show("for (var console = 0; console < 2; console++); console")).toBe("2");
    expect(await show("class URL { static own = URL.name }\nnew URL() instanceof URL && URL.own")).toContain("URL");
    const failed = await own.run("process.cwd()");
    expect(failed.traceback).toContain("process.cwd is not a function. (In 'process.cwd()'");
    // The kernel itself uses all of these.
    expect((await own.run("globalThis.console.log('alive'); await Bun.sleep(1)")).stdout).toBe("alive\n");
  });
});

describe("TypeScript", () => {
  test("types are erased, whatever they are", async () => {
    expect(
      await value(`interface Box<T> { readonly value: T }
type Keys<T> = { [K in keyof T]: T[K] extends string ? K : never }[keyof T];
declare const ambient: number;
declare function nothing(): void;
abstract class Shape<T> { abstract area(): number; declare extra: T; protected constructor(readonly name: string, private n?: number) {} }
class Square extends Shape<string> implements Box<number> { value = 2 as const; override area(): number { return this.value ** 2 } constructor() { super("square") } }
function over(x: number): number;
function over(x: string): string;
function over(x: unknown): unknown { return x }
const check = { a: 1 } satisfies Record<string, number>;
const s = new Square()!;
[s.area(), s.name, over(3), check.a, (<T,>(x: T) => x)(9)]`),
    ).toBe("[ 4, 'square', 3, 1, 9 ]");
  });

  test("that is not TSX runs too", async () => {
    expect(await value("const id = <T>(x: T) => x; const n = <number>id(4); n")).toBe("4");
  });

  test("enums, const enums and namespaces run", async () => {
    expect(
      await value(
        "enum Colour { Red, Green = 5, Blue, Name = 'n' }; [Colour.Red, Colour.Blue, Colour[5], Colour.Name]",
      ),
    ).toBe("[ 0, 6, 'Green', 'n' ]");
    expect(await value("const enum Fixed { A = 1 << 2 }; Fixed.A")).toBe("4");
    expect(await value("export enum Out { A = 3 }", "Out.A")).toBe("3");
    expect(
      await value("namespace Deep.Inner { export const x = 1; export function f() { return x } }\nDeep.Inner.f()"),
    ).toBe("1");
    expect(
      await value("class Merged { static a = 1 }\nnamespace Merged { export const b = 2 }\n[Merged.a, Merged.b]"),
    ).toBe("[ 1, 2 ]");
  });

  test("imports of types need no module at run time", async () => {
    expect(
      await value(
        "import type { A } from './missing.ts'; import { type B } from './missing2.ts'; export type { C } from './missing3.ts'; let a: A; 1",
      ),
    ).toBe("1");
  });

  test("a name that a module lacks is an error only where it is used as a value", async () => {
    expect(
      await value("import { Stats, statSync, NoSuchThing } from 'node:fs'; let st: NoSuchThing; typeof statSync"),
    ).toContain("function");
    const ran = await kernel.run("NoSuchThing");
    expect(ran.result).toMatchObject({ status: "error", ename: "ReferenceError" });
    expect(ran.traceback).toContain('Module "node:fs" has no value named "NoSuchThing"');
  });

  test("`export` is dropped", async () => {
    expect(
      await value(
        "export const out = 1; export function outF() { return 2 }\nexport class OutC {}\nexport { out }; [out, outF(), OutC.name]",
      ),
    ).toBe("[ 1, 2, 'OutC' ]");
    expect(await value("export default 5 + 5")).toBe("10");
    expect(await value("export default function named() { return 3 }", "named()")).toBe("3");
    expect(
      await value(
        "export { basename as base } from 'node:path'; export * as url from 'node:url'",
        "[base('/a/b'), typeof url.fileURLToPath]",
      ),
    ).toBe("[ 'b', 'function' ]");
  });

  test("`import x = require()` loads", async () => {
    expect(await value("import path = require('node:path'); path.basename('/x/y')")).toContain("y");
  });
});

test("decorators of the old kind, on parameters too, where the tsconfig above the notebook asks for them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bunsen-legacy-"));
  writeFileSync(join(folder, "base.json"), '{ "compilerOptions": { "experimentalDecorators": true } }');
  writeFileSync(
    join(folder, "tsconfig.json"),
    '{ "extends": "./base.json", "compilerOptions": { "emitDecoratorMetadata": true } }',
  );
  await using old = start(folder);
  const ran = await old.run(`
const seen: string[] = [];
Reflect.metadata = (key, value) => () => { if (key === "design:paramtypes") seen.push(value.map((type) => type.name).join()) };
const named = (name: string) => (target: any, key?: any, third?: any) => { seen.push([name, key, typeof third].join()) };
function doubled(target: any, key: string, descriptor: PropertyDescriptor) {
  const { value } = descriptor;
  return { ...descriptor, value(...all: number[]) { return 2 * value.apply(this, all) } };
}
const Sealed = (target: any) => class extends target { sealed = true } as any;
@Sealed class Shop {
  @named("field") price = 3;
  constructor(@named("parameter") private tax: number) {}
  @doubled total(@named("argument") count: number) { return count * this.price + this.tax }
}
const shop: any = new Shop(1);
JSON.stringify([shop.total(2), shop.sealed, ...seen])`);
  expect(ran.value, ran.traceback).toBe(
    `'[14,true,"field,price,undefined","Number","argument,total,number","Number","parameter,,number"]'`,
  );
  rmSync(folder, { recursive: true });
});

describe("decorators", () => {
  test("of the standard kind apply to classes, methods, accessors and fields, in order", async () => {
    const shown = await value(`const log: string[] = [];
const note = (name: string) => { log.push("evaluate " + name); return (_value: unknown, context: any) => { log.push("apply " + name + " to " + context.kind + " " + String(context.name)); } };
@note("class")
class Noted {
  @note("method") method() {}
  @note("field") field = 1;
  @note("static") static s() {}
}
log`);
    expect(shown?.replace(/\s+/g, " ")).toBe(
      "[ 'evaluate class', 'evaluate method', 'evaluate field', 'evaluate static', 'apply static to method s', 'apply method to method method', 'apply field to field field', 'apply class to class Noted' ]",
    );
  });

  test("can replace what they decorate, private members included", async () => {
    expect(
      await value(`const twice = (value: any, { kind }: any): any =>
  kind === "field" ? (x: number) => x * 2
  : kind === "accessor" ? { get() { return value.get.call(this) * 2 }, init: (x: number) => x + 1 }
  : function (this: any, ...args: any[]) { return value.apply(this, args) * 2 };
class Doubled {
  @twice field = 1;
  @twice static shared = 2;
  @twice accessor acc = 3;
  @twice #hidden = 4;
  @twice method(x: number) { return x }
  @twice #secret(x: number) { return x }
  @twice get got() { return 6 }
  @twice ["computed" + 1] = 7;
  accessor bare = 8;
  all() { return [this.field, Doubled.shared, this.acc, this.#hidden, this.method(5), this.#secret(5), this.got, (this as any).computed1, this.bare] }
}
new Doubled().all().join(" ")`),
    ).toContain("2 4 8 8 10 10 12 14 8");
  });

  test("a class decorator's result is what the name stands for, inside too", async () => {
    expect(
      await value(`const extend = (value: any, _context: any): any => class extends value { extra = 1 };
@extend class Extended { static first = new Extended(); self() { return Extended } }
[(Extended.first as any).extra, new Extended().self() === Extended]`),
    ).toBe("[ 1, true ]");
  });

  test("initialisers run for each instance, and metadata is inherited", async () => {
    expect(
      await value(`const bound = (_value: unknown, context: any) => { context.addInitializer(function (this: any) { this[context.name] = this[context.name].bind(this) }); context.metadata.bound = context.name };
class Bound { value = 7; @bound read() { return this.value } }
class Derived extends Bound { @((_v: unknown, c: any) => { c.metadata.own = 1 }) x() {} }
const { read } = new Bound();
const key = (Symbol as any).metadata ?? Symbol.for("Symbol.metadata");
[read(), (Derived as any)[key].bound, (Derived as any)[key].own]`),
    ).toBe("[ 7, 'read', 1 ]");
  });
});

describe("JSX", () => {
  test("makes elements that are shown as HTML", async () => {
    const ran = await kernel.run(
      "const Item = ({ n }: { n: number }) => <li class='x'>{n}</li>; <ul>{[1, 2].map((n) => <Item n={n} />)}<></></ul>",
    );
    const shown = ran.outputs.find((output) => output.type === "execute_result");
    expect(shown?.type === "execute_result" && shown.data["text/html"]).toBe(
      '<ul><li class="x">1</li><li class="x">2</li></ul>',
    );
  });
});

describe("await", () => {
  test("stands anywhere at the top of a cell", async () => {
    expect(
      await value(
        "const one = await Promise.resolve(1), [two] = [await 2]; `${await one}${two}` + (await (async () => 3)())",
      ),
    ).toContain("123");
    expect(
      await value(
        "const seen = []; for await (const x of (async function* () { yield 1; yield 2 })()) seen.push(x); for await (const y of [Promise.resolve(3), 4]) seen.push(y); seen",
      ),
    ).toBe("[ 1, 2, 3, 4 ]");
    expect(
      await value(
        "let tried = 0; try { await Promise.reject(new Error('no')) } catch { tried = 1 } finally { tried += await 1 }; tried",
      ),
    ).toBe("2");
    expect(await value("label: for (const x of [1, 2]) { for (;;) { await 0; continue label } }; 'done'")).toContain(
      "done",
    );
    expect(await value("class Late { static x = 1; ['k' + (await 2)]() { return 3 } }; (new Late() as any).k2()")).toBe(
      "3",
    );
  });

  test("of thenables, rejections and values keeps its meaning inside functions", async () => {
    expect(
      await value(`const thenable = { then(resolve: (x: number) => void) { resolve(5) } };
async function all() { const out: unknown[] = [await thenable, await 1]; try { await Promise.reject(2) } catch (error) { out.push(error) } return out }
await all()`),
    ).toBe("[ 5, 1, 2 ]");
  });

  test("leaves what `then`, `catch` and `finally` mean as it is", async () => {
    expect(
      await value(`const chain = await Bun.sleep(1).then(() => 1).then(undefined, null as any).finally(() => 9).then((x) => { throw x }).catch((e) => [e]);
const own = { then(a: number, ...rest: number[]) { return [a, ...rest] } }; [chain, own["then"](1), (() => own.then(1, ...[2, 3]))()]`),
    ).toBe("[ [ 1 ], [ 1 ], [ 1, 2, 3 ] ]");
  });

  test("leaves a `for await` early, closing its source", async () => {
    expect(
      await value(
        "let closed = false; async function* source() { try { yield 1; yield 2 } finally { closed = true } }\nfor await (const x of source()) break; closed",
      ),
    ).toBe("true");
    const ran = await kernel.run("for await (const x of 5) ;");
    expect(ran.result).toMatchObject({ status: "error", ename: "TypeError" });
  });
});

describe("import.meta and friends", () => {
  test("tell the notebook's folder", async () => {
    expect(
      await value(
        "[import.meta.dir === process.cwd(), import.meta.dirname === import.meta.dir, import.meta.url.startsWith('file://'), __dirname === import.meta.dir]",
      ),
    ).toBe("[ true, true, true, true ]");
    expect(await value("import.meta.dir")).toContain(kernel.cwd);
  });
});

test("a first line for the shell is a comment", async () => {
  expect(await value("#!/usr/bin/env bun\n6 * 7")).toBe("42");
});

test("the child's own environment is not handed to the programs that cells start", async () => {
  expect(await value("Object.keys(process.env).filter((name) => /CHANNEL|BUNSEN/.test(name))")).toBe("[]");
  expect(await value("process.argv.length")).toBe("2");
});

test("user expressions are evaluated after the cell, and their errors told apart", async () => {
  const ran = await kernel.run("const ux = 20", { userExpressions: { good: "ux + 1", bad: "nope.x", broken: "1 +" } });
  expect(ran.result.status === "ok" && ran.result.userExpressions).toMatchObject({
    good: { status: "ok", data: { "text/plain": "21" } },
    bad: { status: "error", ename: "ReferenceError" },
    broken: { status: "error", ename: "SyntaxError" },
  });
});

test("a silent cell shows no value and publishes no error", async () => {
  const ran = await kernel.run("123", { silent: true });
  expect(ran.outputs).toEqual([]);
  const failed = await kernel.run("throw new Error('quiet')", { silent: true });
  expect(failed.outputs).toEqual([]);
  expect(failed.result).toMatchObject({ status: "error", evalue: "quiet" });
});
