// Completion, inspection and type errors against the real language server: what a notebook's cells are told. One server
// serves most tests, since loading Bun's types takes it half a second; tests that need another folder make their own.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLanguage, describeProblems, type Language, typeErrorsSetting } from "#kernel/language/index.ts";

let folder = "";
let language: Language;
const logged: string[] = [];

function makeFolder(files: Readonly<Record<string, string>> = {}): string {
  const made = mkdtempSync(join(tmpdir(), "bunsen-language-test-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(made, name, ".."), { recursive: true });
    writeFileSync(join(made, name), text);
  }
  return made;
}

beforeAll(() => {
  folder = makeFolder({
    "helper.ts": "/** Doubles it. */\nexport function double(value: number): number {\n  return 2 * value;\n}\n",
    "node_modules/tiny/package.json":
      '{ "name": "tiny", "version": "1.0.0", "exports": { ".": { "types": "./t.d.ts" } } }',
    "node_modules/tiny/t.d.ts": "/** A tiny thing. */\nexport declare const tiny: { readonly size: number };\n",
    "node_modules/untyped/package.json": '{ "name": "untyped", "version": "1.0.0", "main": "index.js" }',
    "node_modules/untyped/index.js": "module.exports = {};\n",
  });
  language = createLanguage({ cwd: folder, onLog: (line) => logged.push(line) });
  language.start();
});

afterAll(async () => {
  await language[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Completes at the mark `|`. */
async function complete(
  marked: string,
  at: Language = language,
): Promise<{ matches: readonly string[]; replaced: string }> {
  const cursor = [...marked].indexOf("|");
  const code = marked.replace("|", "");
  const reply = await at.complete(code, cursor);
  expect(reply.status).toBe("ok");
  const types = reply.metadata._jupyter_types_experimental;
  expect(types.map(({ text }) => text)).toEqual(reply.matches);
  for (const { start, end, type } of types) {
    expect([start, end]).toEqual([reply.cursor_start, reply.cursor_end]);
    expect(type).toMatch(/^[a-z ]+$/);
  }
  return { matches: reply.matches, replaced: [...code].slice(reply.cursor_start, reply.cursor_end).join("") };
}

async function inspect(marked: string, detailLevel: number = 0): Promise<string> {
  const { data } = await language.inspect(marked.replace("|", ""), [...marked].indexOf("|"), detailLevel);
  return data["text/plain"] ?? "";
}

async function problems(code: string, at: Language = language): Promise<string> {
  return describeProblems(await at.diagnostics(code));
}

describe("completion", () => {
  test("gives the members of a variable of the same cell that has not run, and only those that begin as typed", async () => {
    expect(await complete("const word = 'abc';\nword.toUpp|")).toEqual({ matches: ["toUpperCase"], replaced: "toUpp" });
    const all = await complete("const word = 'abc';\nword.|");
    expect(all.matches).toContain("length");
    expect(all.replaced).toBe("");
  });

  test("carries types and, for few matches, signatures", async () => {
    const code = "const numbers = [1];\nnumbers.fla";
    const reply = await language.complete(code, code.length);
    const [flat, flatMap] = reply.metadata._jupyter_types_experimental;
    expect([flat?.type, flatMap?.text]).toEqual(["method", "flatMap"]);
    expect(flat?.signature).toMatch(/flat<.*\(/);
  });

  test("counts the cursor in code points", async () => {
    expect(await complete("const s = '😀😀'; s.char| // 😀")).toEqual({
      matches: ["charAt", "charCodeAt"],
      replaced: "char",
    });
    expect((await complete("const größe = 1; grö|")).matches).toEqual(["größe"]);
  });

  test("goes on where the text is broken, in the middle of a line and in several lines", async () => {
    expect((await complete("const list = ['a'];\nif (list.incl|udes('a') {\n  foo(")).matches).toEqual(["includes"]);
    expect((await complete("function f(parameterOne: string) {\n  parameterOne.at(\n  parameter|")).matches).toEqual([
      "parameterOne",
    ]);
  });

  test("falls back to other capitals, and gives nothing for what does not exist", async () => {
    expect((await complete("const w = 'a'; w.touppercase|")).matches).toEqual(["toUpperCase"]);
    expect((await complete("const w = 'a'; w.noSuchThing|")).matches).toEqual([]);
  });

  test("knows Bun, node, the kernel's own functions and the packages and files of the notebook's folder", async () => {
    expect((await complete("Bun.stringW|")).matches).toEqual(["stringWidth"]);
    expect((await complete("import { readFileSy| } from 'node:fs'")).matches).toEqual(["readFileSync"]);
    expect((await complete("import { html } from 'bunsen/kernel';\nhtml`x`.toStr|")).matches).toEqual(["toString"]);
    expect((await complete("import { train } from 'bunsen';\ntrain({ run: 'a', method: 'mpt-|")).matches).toEqual([
      "mpt-adapter",
    ]);
    expect((await complete("import { loadDataset } from 'bunsen';\nloadDataset('mini/ss|")).matches).toEqual([
      "mini/sst2",
    ]);
    expect((await complete("import { tiny } from 'tiny';\ntiny.s|")).matches).toEqual(["size"]);
    expect((await complete("import { double } from './helper.ts';\ndou|")).matches).toEqual(["double"]);
    expect((await complete("import { double } from './hel|'")).matches[0]).toMatch(/^helper(\.ts)?$/);
  });

  test("knows what earlier cells declared, in its newest form, and what they imported", async () => {
    language.cellEvaluated(
      "import { tiny as small } from 'tiny';\nlet total = 1;\nconst { first, rest: [second] } = { first: 'x', rest: [2] };",
    );
    language.cellEvaluated(
      "class Pair<T> { constructor(readonly left: T) {} }\nenum Color { Red, Green }\ninterface Box { width: number }\nasync function load() { return new Map<string, number>() }",
    );
    expect((await complete("small.si|")).matches).toEqual(["size"]);
    expect((await complete("first.toUpp|")).matches).toEqual(["toUpperCase"]);
    expect((await complete("second.toFix|")).matches).toEqual(["toFixed"]);
    expect((await complete("new Pair('a').left.toUpp|")).matches).toEqual(["toUpperCase"]);
    expect((await complete("Color.Gr|")).matches).toEqual(["Green"]);
    expect((await complete("const b: Box = { wid| }")).matches).toEqual(["width"]);
    expect((await complete("(await load()).siz|")).matches).toEqual(["size"]);
    expect((await complete("tota|")).matches).toEqual(["total"]);
    language.cellEvaluated("const total = { sum: 1 };");
    expect((await complete("total.s|")).matches).toEqual(["sum"]);
  });

  test("of a cursor outside the text, and of text that is no code, gives an answer", async () => {
    expect((await language.complete("Bun.ver", 1000)).matches).toContain("version");
    expect((await language.complete("", 0)).status).toBe("ok");
    expect((await language.complete("\u0000\ud800 `${", 3)).status).toBe("ok");
  });
});

describe("inspection", () => {
  test("shows signature and documentation as plain text and markdown", async () => {
    const code = "import { double } from './helper.ts';\ndouble(2)";
    const { found, data } = await language.inspect(code, code.length - 4, 0);
    expect(found).toBe(true);
    expect(data["text/plain"]).toBe("function double(value: number): number\nDoubles it.");
    expect(data["text/markdown"]).toContain("```typescript\nfunction double(value: number): number\n```");
  });

  test("adds the declaration's source at detail level 1", async () => {
    const text = await inspect("import { double } from './helper.ts';\ndoub|le(2)", 1);
    expect(text).toContain("helper.ts:2");
    expect(text).toContain("return 2 * value;");
    language.cellEvaluated("function third(value: number): number {\n  return value / 3;\n}");
    expect(await inspect("third|", 1)).toContain("return value / 3;");
    expect(await inspect("third|", 0)).toBe("function third(value: number): number");
  });

  test("inside a call's parentheses shows the function called", async () => {
    expect(await inspect("Math.max(1, |")).toContain("max(...values: number[]): number");
  });

  test("finds nothing on blank text", async () => {
    expect(await language.inspect("   ", 1, 0)).toEqual({ status: "ok", found: false, data: {}, metadata: {} });
  });
});

describe("type errors", () => {
  test("are told in the cell's own lines", async () => {
    expect(await problems("const a = 1;\nconst 😀b: string = a;".replace("😀", ""))).toBe(
      "2:7 - type error TS2322: Type 'number' is not assignable to type 'string'.",
    );
    const [problem] = await language.diagnostics("/* 😀 */ const n: number = 'x';");
    expect(problem).toMatchObject({ line: 1, column: 15, endLine: 1, endColumn: 16 });
  });

  test("are none for what a cell may do: redeclare, assign to an earlier `let`, await, use untyped modules and JSX", async () => {
    language.cellEvaluated("let counter = 1;\nconst fixed = 1;\nfunction helper() { return 1 }");
    expect(await problems("let counter = 'now a string'; class helper {}\nconst fixed = 2;")).toBe("");
    expect(await problems("counter = 2; await Promise.resolve(); for await (const x of []) { x }")).toBe("");
    expect(await problems("import u from 'untyped'; u.anything; const f = (x) => x;")).toBe("");
    expect(await problems("import { missing } from 'no-such-package'; missing.x")).toBe("");
    expect(await problems("<b title='x'>hi {1 + 1}</b>")).toBe("");
    expect(await problems("const id = <T>(x: T) => x; id(1)")).toBe("");
    expect(await problems("_; 1 + 1")).toBe("");
    expect(
      await problems("const answer = await fetch('x'); (await answer.json()).anything; try {} catch (e) { e.message }"),
    ).toBe("");
    expect(
      await problems(
        "class Dog { @log bark() {} } function log(v: unknown, c: DecoratorContext) {}\nusing r = { [Symbol.dispose]() {} }",
      ),
    ).toBe("");
    expect(
      await problems("import.meta.dir; require('fs'); prompt('x'); console.table([]); new URL('x:y'); process.cwd()"),
    ).toBe("");
    expect(await problems("const broken = (")).toBe("");
  });

  test("across cells are found", async () => {
    language.cellEvaluated("let amount = 1;");
    expect(await problems("amount = 'much'")).toContain("TS2322");
    expect(await problems("Pair = 1")).toContain("constant, function or class of an earlier cell");
    expect(await problems("amount.toUpperCase()")).toContain("Property 'toUpperCase' does not exist on type 'number'");
  });

  test("are none for a variable that takes its type from what it is given, in its cell and in later ones", async () => {
    const filled = "const results = []; for (const i of [1, 2]) results.push({ i });";
    const set = "let best = null; best = 5;";
    expect(await problems(`${filled} results.map(({ i }) => i + 1); results`)).toBe("");
    expect(await problems(`${filled} results[0].j`)).toContain("TS2339: Property 'j' does not exist on type");
    expect(await problems(`${set} best + 1`)).toBe("");
    expect(await problems(`${set} best.toUpperCase()`)).toContain("TS2339");
    language.cellEvaluated(`${filled} ${set} let later; let rows = [];`);
    expect(await problems("results; results.push({ i: 3 }); results.map((r) => r.i + 1); results[0].i")).toBe("");
    expect(await problems("best + 1; best = 'x'; best.length; best = null;")).toBe("");
    expect(
      await problems("later.size; later = [1]; later.map((n) => n + 1); rows.push(1); rows = [2]; rows[0] + 1"),
    ).toBe("");
  });

  test("are none where no type was given and TypeScript finds none itself", async () => {
    for (const code of [
      "function f(x) { return x }",
      "const g = ({ a, b }, ...rest) => a + b + rest.length;",
      "class Point { x; constructor(x) { this.x = x } }",
      "const counts = {}; for (const word of ['a']) counts[word] = (counts[word] ?? 0) + 1;",
      "globalThis.shared = 1; globalThis.shared + 1",
      "function factorial(n) { return n <= 1 ? 1 : n * factorial(n - 1) }",
      "function* talk() { const heard = yield 1; return heard }",
      "const all = []; const add = (x) => all.push(x); add(1); all[0].y",
      "let model; function load() { model = { size: 1 } } load(); model.size",
      "let settle; new Promise((resolve) => { settle = resolve }); settle(1)",
    ])
      expect(await problems(code), code).toBe("");
    expect(await problems("let n: number | undefined; function set() { n = 1 } set(); n.toFixed()")).toContain("TS");
    expect(await problems("for (const n of [1, undefined]) n.toFixed()")).toContain("TS18048");
  });

  test("are known at once when the same code runs again", async () => {
    const code = "const again: number = 'x';";
    await language.diagnostics(code);
    const second = language.diagnostics(code);
    expect(second).not.toBeInstanceOf(Promise);
    expect(second).toHaveLength(1);
  });

  test("are shortened where there are many, and set by one variable", () => {
    const problem = { line: 1, column: 1, endLine: 1, endColumn: 2, code: "TS1", message: "m\n  n" };
    expect(describeProblems(new Array(7).fill(problem)).split("\n")).toEqual([
      ...new Array(5).fill("1:1 - type error TS1: m n"),
      "… and 2 more",
    ]);
    expect(["stop", "silent", "warn", "nonsense", undefined].map(typeErrorsSetting)).toEqual([
      "stop",
      "silent",
      "warn",
      "warn",
      "warn",
    ]);
  });
});

describe("the server", () => {
  test("is started again when it dies, with the cells it knew", async () => {
    language.cellEvaluated("const survivor = { kept: true };");
    expect((await complete("survivor.k|")).matches).toEqual(["kept"]);
    const pid = language.pid;
    expect(pid).not.toBeNull();
    process.kill(pid as number, "SIGKILL");
    expect((await complete("survivor.k|")).matches).toEqual(["kept"]);
    expect(language.pid).not.toBe(pid);
    expect(logged.join("\n")).toContain("SIGKILL");
  });

  test("forgets the cells when the state is lost", async () => {
    language.cellEvaluated("const lostName = { inner: 1 };");
    expect((await complete("lostName.inn|")).matches).toEqual(["inner"]);
    language.stateLost();
    expect((await complete("lostName.inn|")).matches).toEqual([]);
  });

  test("answers warm questions fast", async () => {
    const times: number[] = [];
    for (let round = 0; round < 15; round++) {
      const code = `const w${round} = [1];\nw${round}.ma`;
      const start = performance.now();
      expect((await language.complete(code, code.length)).matches).toEqual(["map"]);
      times.push(performance.now() - start);
    }
    // The bar is 30 ms on a quiet machine; the tests' own machine may be busy, though not each time.
    expect(times.toSorted((a, b) => a - b)[3]).toBeLessThan(150);
  });

  test("holds only the documents that later cells can still see", async () => {
    for (let round = 0; round < 300; round++)
      language.cellEvaluated(`const reused = ${round};\nfunction around() { return reused }`);
    expect(await inspect("reused|")).toBe("const reused: 299");
    // Their files' names are used again: the server must not go on with what it read there.
    for (let round = 0; round < 12; round++) {
      language.cellEvaluated(`const reused = { key${round}: "text" };\nfunction around() { return reused }`);
      expect((await complete("around().|")).matches).toEqual([`key${round}`]);
    }
  });
});

describe("a notebook's folder", () => {
  test("with a tsconfig of its own has the last word", async () => {
    const own = makeFolder({
      "tsconfig.json":
        '{ "compilerOptions": { "strict": false, "paths": { "@lib/*": ["./lib/*"] } }, /* a comment */ "include": ["src"] }',
      "lib/numbers.ts": "export const seven: 7 = 7;\n",
      "deep/notebooks/.keep": "",
    });
    const other = createLanguage({ cwd: join(own, "deep/notebooks") });
    try {
      // A server that does not run yet holds no cell up, except where that is asked for.
      expect(other.diagnostics("const w: string = 1;")).toEqual([]);
      expect(await other.diagnostics("const w: string = 1;", true)).toHaveLength(1);
      expect((await complete("import { seven } from '@lib/numbers';\nseven.toFix|", other)).matches).toEqual([
        "toFixed",
      ]);
      expect(await problems("const n: number = null; const w: string = 1;", other)).toBe(
        "1:31 - type error TS2322: Type 'number' is not assignable to type 'string'.",
      );
    } finally {
      await other[Symbol.asyncDispose]();
      rmSync(own, { recursive: true, force: true });
    }
  });

  test("with a tsconfig that asks for types is told where they lack", async () => {
    const own = makeFolder({
      "tsconfig.json": '{ "extends": "./base.json" }',
      "base.json": '{ "compilerOptions": { "noImplicitAny": true } }',
    });
    const other = createLanguage({ cwd: own });
    try {
      expect(describeProblems(await other.diagnostics("function f(x) { return x }", true))).toContain("TS7006");
    } finally {
      await other[Symbol.asyncDispose]();
      rmSync(own, { recursive: true, force: true });
    }
  });

  test("with a tsconfig that extends others has their paths, from where each stands", async () => {
    const own = makeFolder({
      "tsconfig.json": '{ "extends": ["./configs/base", "some-config"] }',
      "configs/base.json": '{ "compilerOptions": { "paths": { "@base/*": ["../lib/*"] } } }',
      "node_modules/some-config/package.json": '{ "name": "some-config" }',
      "node_modules/some-config/tsconfig.json": '{ "compilerOptions": { "strict": true } }',
      "lib/numbers.ts": "export const seven: 7 = 7;\n",
    });
    const other = createLanguage({ cwd: own });
    try {
      expect((await complete("import { seven } from '@base/numbers';\nseven.toFix|", other)).matches).toEqual([
        "toFixed",
      ]);
    } finally {
      await other[Symbol.asyncDispose]();
      rmSync(own, { recursive: true, force: true });
    }
  });

  test("is left as it was, the temporary one is taken away, and the process ends", async () => {
    const own = makeFolder({ "a.ts": "export const a = 1;\n" });
    const before = readdirSync(own);
    const other = createLanguage({ cwd: own });
    expect((await complete("import { a } from './a.ts';\na.toFix|", other)).matches).toEqual(["toFixed"]);
    const pid = other.pid as number;
    const temporary = (): string[] =>
      readdirSync(tmpdir()).filter((name) => name.startsWith(`bunsen-types-${process.pid}-`));
    const during = temporary().length;
    await other[Symbol.asyncDispose]();
    expect(readdirSync(own)).toEqual(before);
    expect(temporary().length).toBe(during - 1);
    expect(() => process.kill(pid, 0)).toThrow();
    rmSync(own, { recursive: true, force: true });
  });

  test("is looked at anew when a file in it has changed, one made between two looks too", async () => {
    // The second file is made while no look is due: the server has read it before the look that finds it.
    for (const name of ["changing", "changing-too"]) {
      const path = join(folder, `${name}.ts`);
      const question = `import * as changing from './${name}.ts';\nchanging.|`;
      writeFileSync(path, "export const before = 1;\n");
      expect((await complete(question)).matches).toEqual(["before"]);
      writeFileSync(path, "export const after = 2;\nexport const more = 3;\n");
      // Folders are looked through at most once a second, so the first answers may be the old ones.
      await expect.poll(async () => (await complete(question)).matches, { timeout: 10_000 }).toEqual(["after", "more"]);
      expect(existsSync(path)).toBe(true);
    }
  });

  test("is looked at anew when a file that a cell imports comes to be there", async () => {
    const question = "import * as later from './later.ts';\nlater.|";
    expect((await complete(question)).matches).toEqual([]);
    writeFileSync(join(folder, "later.ts"), "export const here = 1;\n");
    await expect.poll(async () => (await complete(question)).matches, { timeout: 10_000 }).toEqual(["here"]);
  });

  test("that is not there is answered for as well", async () => {
    const other = createLanguage({ cwd: join(tmpdir(), "bunsen-no-such-folder", "x") });
    expect((await complete("const a = 'x'; a.toUpp|", other)).matches).toEqual(["toUpperCase"]);
    await other[Symbol.asyncDispose]();
  });
});
