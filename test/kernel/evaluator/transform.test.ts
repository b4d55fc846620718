// The transform of cells under fire: any text, broken cells, and generated programs that must mean what they mean elsewhere.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the cells under test are text

import vm from "node:vm";
import { transformSync } from "oxc-transform";
import { afterAll, describe, expect, test } from "vitest";
import { type TransformContext, transformCell } from "#kernel/evaluator/transform.ts";
import { isComplete } from "#kernel/syntax/is-complete.ts";
import { start } from "./harness.ts";

/** A small seeded generator: the same cases in every run. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function pick<T>(next: () => number, from: readonly T[]): T {
  return from[Math.floor(next() * from.length)] as T;
}

const CONTEXT: TransformContext = {
  builtIns: new Set(["process", "fetch"]),
  shadowed: new Set(["fetch", "console"]),
  script: 1,
};

/** The longest that one small cell may take: far above the usual millisecond, far below a hang. */
const LIMIT_MS = 5_000;

/** Transforms a text as the kernel would; a cell that passes must be a script that the engine takes. */
function survive(code: string): boolean {
  const begin = performance.now();
  const cell = transformCell(code, CONTEXT);
  isComplete(code);
  const took = performance.now() - begin;
  if (took > LIMIT_MS) throw new Error(`${JSON.stringify(code)} took ${took} ms`);
  if (!cell.ok) {
    if (cell.problems.length === 0) throw new Error(`${JSON.stringify(code)} was rejected without a reason`);
    return false;
  }
  try {
    new vm.Script(cell.code);
  } catch (error) {
    // The parser does not look into regular expressions; the engine's own word on them stands.
    if (!/regular expression/i.test(String(error)))
      throw new Error(`${JSON.stringify(code)} became ${cell.code}: ${error}`);
  }
  return true;
}

const TOKENS =
  "const |let |var |x|y|f|{|}|(|)|[|]|=>|=|1|'s'|`a${x}b`|`|${|/re/|class |A|extends |function |async |await |for |of |in |if |else |return |import |from |'m'|export |default |type |interface |enum |namespace |:|number|<|T|>|@dec |accessor |#p|static |get |?|?.|!|...|,|;|\n|// c\n|/* c */|<div>|</div>|using |yield |*|+|-|new |this|super|=== |as |satisfies |import.meta|import(|\\u{61}|😀|\u2028|try{|}catch{|}finally{|switch(x){case 1:|throw |label:|break label|do |while(|abstract |declare |require(|process|fetch|eval|arguments|undefined|0n|\ud800".split(
    "|",
  );

const CELLS = [
  "const {p, q: [r = 4, ...s], ...t} = {p: 1, q: [undefined, 2, 3], u: 5}; [p, r, s, t]",
  "import a, { b as c, type D } from 'm'; import * as e from 'n' with { type: 'json' }; export * from 'o'; c(await e)",
  "enum A { X = 1, Y }\nnamespace N.M { export const x = 1 }\nconst enum C { Z }\nA.X",
  "@d @e(1) export class K<T> extends B implements I { @f #p = 1; @g static accessor y = 2; accessor ['z'] = 3; @h m(this: K<T>) { return this.#p } @i get v() { return 1 } constructor(private n: number) { super() } }",
  "for await (const x of (async function* () { yield* f() })()) { for (var i = 0, { j } = x; i < 3; i++) continue; }",
  "label: for (const k of 'ab') { try { await using r = f(); break label } catch ({ message }) { throw 1 } finally { g`t${x}` } }",
  "const el = <Item key={1} {...props}>{[1].map((n) => <b>{n}</b>)}<></></Item>; el",
  "export default async function* gen(x: number = z, ...rest: string[]): AsyncGenerator<number> { yield await x }",
  "fetch = process?.env!['A'] as any; ({ fetch, process: console = 1 } = fetch(process)); typeof fetch",
  "switch (x) { case await 1: { let fetch = 2; fetch } default: var z = () => import.meta.dir + typeof fetch }",
  "abstract class S { declare a: 1; abstract b(): void; static { var q = 1 } override c?: number; [k: string]: unknown }\nfunction o(a: 1): 1\nfunction o(a: any) { return a satisfies 1 }",
  "let u: typeof import('m'), w = <const T,>(x: T) => x, v!: number; import r = require('r'); export { u as default, w }",
];

describe("any text", () => {
  test("of 40,000 soups of tokens is run or rejected, quickly", () => {
    const next = random(1);
    let ran = 0;
    for (let turn = 0; turn < 40_000; turn++) {
      let code = "";
      for (let count = 1 + Math.floor(next() * 14); count > 0; count--) code += pick(next, TOKENS);
      if (survive(code)) ran++;
    }
    expect(ran).toBeGreaterThan(500);
  });

  test("of 10,000 broken and mixed cells is run or rejected, quickly", () => {
    for (const cell of CELLS) expect(survive(cell), cell).toBe(true);
    const next = random(2);
    let ran = 0;
    for (let turn = 0; turn < 10_000; turn++) {
      let code = pick(next, CELLS);
      for (let count = Math.floor(next() * 3); count >= 0; count--) {
        const from = Math.floor(next() * code.length);
        const to = from + Math.floor(next() * 8);
        const kind = next();
        if (kind < 0.4) code = code.slice(0, from) + code.slice(to);
        else if (kind < 0.6) code = code.slice(0, to) + code.slice(from);
        else if (kind < 0.8) code = code.slice(0, from) + pick(next, CELLS).slice(from, to) + code.slice(from);
        else code = `${code}\n${pick(next, TOKENS)}`;
      }
      if (survive(code)) ran++;
    }
    expect(ran).toBeGreaterThan(500);
  });

  test("nested thousands deep is rejected before it could end the process", () => {
    const deep = [
      "[".repeat(5_000),
      `${"(".repeat(20_000)}1${")".repeat(20_000)}`,
      "{".repeat(100_000),
      `${"!".repeat(100_000)}1`,
      "a => ".repeat(50_000),
      "a ? 1 : ".repeat(50_000),
      "if (1) ".repeat(50_000),
      "if (1) 1; else ".repeat(50_000),
      `let x: ${"A<".repeat(50_000)}`,
      `a${".b()".repeat(50_000)}`,
    ];
    for (const code of deep) {
      const cell = transformCell(code);
      expect(cell.ok === false && cell.problems[0]?.message, code.slice(0, 20)).toContain("nested too deeply");
      expect(isComplete(code).status).toBe("invalid");
    }
  });

  test("of great length that is not nested runs", () => {
    const long = [
      "1;".repeat(20_000),
      "a".repeat(100_000),
      `const big = [${"[1, -2, !3], ".repeat(20_000)}]`,
      `const text = "${"a+(b=[c?!".repeat(10_000)}"`,
      `const lines = [\n${"  () => { f(x.y.z + 1) },\n".repeat(5_000)}]`,
      "x = (a + b) * c\n".repeat(5_000),
      "// ((((((((((\n".repeat(5_000),
    ];
    for (const code of long) expect(survive(code), code.slice(0, 30)).toBe(true);
  });
});

test("a cell that is JavaScript as it stands becomes what it becomes the long way, over types to erase", () => {
  const next = random(4);
  const tokens = TOKENS.filter(
    (token) => /^[^<:@#/]*$/.test(token) && !/^(?:const|let|class|export|import|type|enum) /.test(token),
  );
  /** Printed anew: without the blanks of the original, and without the places of awaits. */
  const printed = (code: string): string =>
    transformSync("cell.js", code, { sourceType: "module" }).code.replace(/, 1, \d+\)/g, ")");
  let compared = 0;
  for (let turn = 0; turn < 60_000 && compared < 2_000; turn++) {
    // Before a first statement a string is a directive.
    let code = "0;\n";
    for (let count = 1 + Math.floor(next() * 9); count > 0; count--) code += pick(next, tokens);
    const plain = transformCell(code, CONTEXT);
    if (!plain.ok) continue;
    const long = transformCell(`type T = 1; ${code}`, CONTEXT);
    expect(long.ok, code).toBe(true);
    if (long.ok) expect(printed(plain.code), code).toBe(printed(long.code));
    compared++;
  }
  expect(compared).toBe(2_000);
});

test("each position of an unchanged line leads back to itself", () => {
  const code =
    "const first = 1;\ntype T = string;\nconst call = (x: T) => {\n  return alpha(x) + beta.gamma;\n};\nawait call('s')";
  const cell = transformCell(code);
  if (!cell.ok) throw new Error("rejected");
  const out = cell.code.split("\n");
  for (const word of ["alpha", "beta", "gamma", "first", "call"]) {
    const line = out.findIndex((text) => text.includes(word));
    const column = (out[line] as string).indexOf(word);
    const place = cell.originalPosition({ line: line + 1, column });
    expect(code.split("\n")[(place?.line ?? 0) - 1]?.slice(place?.column), word).toMatch(
      new RegExp(`^(?:const )?${word}`),
    );
  }
});

/** A random program over fresh names; each statement tells the log what it saw. */
function program(next: () => number, prefix: string): string {
  const names: string[] = [];
  const lines: string[] = [];
  let count = 0;
  const fresh = (): string => `${prefix}${count++}`;
  const value = (): string =>
    pick(next, [
      () => String(Math.floor(next() * 10)),
      () => (names.length > 0 ? pick(next, names) : "1"),
      () => `await ${Math.floor(next() * 10)}`,
      () => `(await Promise.resolve(${Math.floor(next() * 10)})) + 1`,
      () => `[1, 2, 3].map((n) => n * 2).length`,
    ])();
  const statement = pick.bind(null, next) as (from: readonly (() => void)[]) => () => void;
  for (let turn = 3 + Math.floor(next() * 8); turn > 0; turn--) {
    statement([
      () => {
        const name = fresh();
        lines.push(`${pick(next, ["let", "const", "var"])} ${name} = ${value()}; log.push(${name});`);
        names.push(name);
      },
      () => {
        const [a, b, c] = [fresh(), fresh(), fresh()];
        lines.push(
          `const { a: ${a}, b: [${b} = ${value()}], ...${c} } = { a: ${value()}, b: [], z: 3 }; log.push(${a}, ${b}, ${c}.z);`,
        );
        names.push(a, b);
      },
      () => {
        const name = fresh();
        lines.push(
          `log.push(${name}(2)); function ${name}(n) { return n <= 0 ? 0 : ${name}(n - 1) + 1 } log.push(${name}.name.length > 0);`,
        );
      },
      () => {
        const name = fresh();
        lines.push(
          `class ${name} { static s = ${value().replace(/\(?await ([^)]*\)?)\)?/, "5; static t = 0")}; m() { return ${name}.s } } log.push(new ${name}().m(), ${name}.name.length > 0);`,
        );
      },
      () => {
        const name = fresh();
        lines.push(
          `const ${name} = []; for (${pick(next, ["let", "var"])} i = 0; i < 3; i++) ${name}.push(() => i); log.push(...${name}.map((f) => f()));`,
        );
      },
      () => {
        const name = names.length > 0 ? pick(next, names) : fresh();
        lines.push(`{ let ${name} = 'inner'; log.push(${name}); { const ${name} = await 7; log.push(${name}) } }`);
      },
      () =>
        lines.push(
          `outer: for (const a of [1, 2]) { for (const b of [1, 2]) { if (b > a) continue outer; log.push(a, b, ${value()}) } }`,
        ),
      () =>
        lines.push(
          `try { log.push(${value()}); throw new Error('t') } catch ({ message }) { log.push(message) } finally { log.push(${value()}) }`,
        ),
      () => lines.push(`for await (const x of [1, Promise.resolve(2)]) log.push(x + (${value()}));`),
      () => {
        const name = fresh();
        lines.push(
          `let ${name} = 0; const add${name} = (n) => { ${name} += n; return ${name} }; log.push(add${name}(2), ${name}++, add${name}(1), ${name});`,
        );
        names.push(name);
      },
      () => {
        const name = fresh();
        lines.push(
          `async function* ${name}(n) { try { while (n-- > 0) yield await n } finally { log.push('done') } } for await (const x of ${name}(3)) { log.push(x); if (x === 1) break }`,
        );
      },
      () => {
        const name = fresh();
        lines.push(`switch (${value()}) { case 1: var ${name} = 1; break; default: ${name} = 2 } log.push(${name});`);
      },
    ])();
  }
  return lines.join("\n");
}

describe("generated programs", () => {
  const kernel = start();
  afterAll(() => kernel[Symbol.asyncDispose]());

  test("do in cells, whole and cut into one cell a statement, what they do in an async function", async () => {
    const next = random(3);
    const AsyncFunction = (async () => {}).constructor as new (...code: string[]) => (log: unknown[]) => Promise<void>;
    for (let turn = 0; turn < 150; turn++) {
      const code = program(next, `v${turn}_`);
      const expected: unknown[] = [];
      await new AsyncFunction("log", code)(expected);
      const whole = await kernel.run(`let log = [];\n${code}\nJSON.stringify(log)`);
      expect(whole.result.status, `${code}\n${whole.traceback}`).toBe("ok");
      expect(whole.value, code).toContain(JSON.stringify(expected).replaceAll("'", "\\'"));
      await kernel.run("log = []");
      for (const line of code.split("\n")) {
        const part = await kernel.run(line);
        expect(part.result.status, `${line}\n${part.traceback}`).toBe("ok");
      }
      const parts = await kernel.run("JSON.stringify(log)");
      expect(parts.value, code).toContain(JSON.stringify(expected).replaceAll("'", "\\'"));
    }
  });
});
