// How errors of user code are told: in the user's own TypeScript lines, without the kernel's.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the cells under test are text

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { start } from "./harness.ts";

const kernel = start();
afterAll(() => kernel[Symbol.asyncDispose]());

test("an error has its name, its message and the very line of the cell, with a caret", async () => {
  const ran = await kernel.run(`interface Point { x: number; y: number }
type Unused = string;

function norm({ x, y }: Point): number {
  if (x < 0) throw new RangeError("x is negative");
  return Math.hypot(x, y);
}
norm({ x: -1, y: 2 });`);
  expect(ran.result).toMatchObject({ status: "error", ename: "RangeError", evalue: "x is negative" });
  expect(ran.traceback).toBe(`RangeError: x is negative
  3 | 
  4 | function norm({ x, y }: Point): number {
> 5 |   if (x < 0) throw new RangeError("x is negative");
    |                    ^
  6 |   return Math.hypot(x, y);
  7 | }
    at norm (cell [1]:5:20)
    at cell [1]:8:1`);
  const error = ran.outputs.at(-1);
  expect(error?.type === "error" && error.traceback.join("\n")).toContain("\u001b[31m");
});

test("lines are right behind imports, enums, decorators, JSX and awaits", async () => {
  const ran = await kernel.run(`console.log("before");
import { basename } from "node:path";
enum Kind { A, B }
const deco = (value: unknown, _context: unknown) => value as any;
@deco class Thing { @deco accessor a = 1; @deco method() {
    return (null as any).nothing;
  } }
const element = <div>{1}</div>;
await Promise.resolve();
const { a } = new Thing(); new Thing().method();`);
  expect(ran.traceback).toMatch(/> +6 \|\s+return \(null as any\)\.nothing/);
  expect(ran.traceback).toContain(":6:");
  expect(ran.traceback).toContain("cell [2]:10:");
});

test("errors in functions of other cells name those cells", async () => {
  await kernel.run("const thrower = () => {\n  throw new Error('from afar');\n};");
  const ran = await kernel.run("\n\nthrower()");
  expect(ran.traceback).toContain("at thrower (cell [3]:2:");
  expect(ran.traceback).toContain("at cell [4]:3:1");
});

test("a cell that is JavaScript as it stands tells the same places as one whose types were erased", async () => {
  await kernel.run("const place = { no: null, throws() { throw new Error('placed') } }");
  const cells = [
    "place.throws()",
    "1;\n  place.no.thing",
    "place.no.thing()",
    "place?.no;   missingName",
    "await Promise.reject(new Error('rejected'))",
    "[1].map(() => place.throws())",
    "(() => { throw new Error('inside') })()",
    "JSON.parse('{')",
    "({ a: 1 }).b.c",
    "{ a: place.throws() }",
    "console.log(1), place.throws()",
  ];
  for (const code of cells) {
    const [plain, typed] = [await kernel.run(code), await kernel.run(`;type Erased = 1\n${code}`)];
    const last = ({ traceback }: typeof plain): [number, number] => {
      const [, line = "", column = ""] = [...traceback.matchAll(/at cell \[\d+\]:(\d+):(\d+)/g)].at(-1) ?? [];
      return [Number(line), Number(column)];
    };
    const [line, column] = last(typed);
    expect(last(plain), code).toEqual([line - 1, column]);
  }
});

test("errors after awaits keep their place", async () => {
  const ran = await kernel.run(
    "async function later() {\n  await Bun.sleep(1);\n  throw new Error('late');\n}\nawait later();",
  );
  expect(ran.traceback).toMatch(/> 3 \|\s+throw new Error\('late'\)/);
});

test("errors without a place of their own are told where the cell awaited them", async () => {
  const ran = await kernel.run(
    "const address = 'http://127.0.0.1:1/';\nasync function ask() {\n  return await fetch(address);\n}\nawait ask();",
  );
  expect(ran.result.status).toBe("error");
  expect(ran.traceback).toMatch(/> 3 \|\s+return await fetch\(address\);/);
  expect(ran.traceback).toMatch(/at await \(cell \[\d+\]:3:10\)/);
  const iterated = await kernel.run(
    "\nfor await (const x of [Promise.reject(Object.assign(new Error('bare'), { stack: '' }))]) ;",
  );
  expect(iterated.traceback).toMatch(/at await \(cell \[\d+\]:2:1\)/);
});

test("kernel internals and the words of the transform are left out", async () => {
  const ran = await kernel.run("const deep = { a: null as any };\nawait deep.a.b.c(await 1)");
  expect(ran.traceback).not.toMatch(/__bunsen__|bunsen:|child\/|node:vm|guard/);
  const called = await kernel.run("undefinedFunction(1)");
  expect(called.result).toMatchObject({ ename: "ReferenceError" });
  expect(called.traceback).not.toMatch(/__bunsen__|bunsen:|child\/|node:vm|guard/);
});

test("causes and aggregated errors are shown, cycles once", async () => {
  const ran = await kernel.run(`const inner = new Error("inner");
const middle = new TypeError("middle", { cause: inner });
(inner as any).cause = middle;
throw new AggregateError([middle, new Error("second"), "a string"], "several");`);
  expect(ran.result).toMatchObject({ ename: "AggregateError", evalue: "several" });
  expect(ran.traceback).toContain("Error 1 of 3:\n  TypeError: middle");
  expect(ran.traceback).toContain("Caused by:\n    Error: inner");
  expect(ran.traceback).toContain("(the same error as above)");
  expect(ran.traceback).toContain("Error: second");
  expect(ran.traceback).toContain("a string");
});

test("anything can be thrown", async () => {
  for (const [code, evalue] of [
    ["throw 'text'", "text"],
    ["throw null", "null"],
    ["throw undefined", "undefined"],
    ["throw { a: 1 }", "a: 1"],
    ["throw Object.create(null)", ""],
    ["throw Symbol('s')", "Symbol(s)"],
    ["throw 5n", "5n"],
    [
      "throw new (class Odd extends Error { get message() { throw 1 } get stack() { throw 2 } get name() { throw 3 } })()",
      "",
    ],
    ["throw new Proxy(new Error('x'), { get() { throw new Error('trap') } })", ""],
    ["await Promise.reject()", "undefined"],
  ] as const) {
    const ran = await kernel.run(code);
    expect(ran.result.status, code).toBe("error");
    expect(ran.result.status === "error" && ran.result.evalue, code).toContain(evalue);
  }
  expect((await kernel.run("1")).value).toBe("1");
});

describe("syntax errors", () => {
  test("are errors like all others, with a frame", async () => {
    const ran = await kernel.run("const fine = 1;\nconst a b = 2;");
    expect(ran.result).toMatchObject({ status: "error", ename: "SyntaxError" });
    expect(ran.outputs.map((output) => output.type)).toEqual(["error"]);
    expect(ran.traceback).toMatch(/> 2 \| const a b = 2;\n\s+\|\s+\^/);
    expect(ran.traceback).toMatch(/cell \[\d+\]:2:8/);
  });

  test("that only the engine finds are told too", async () => {
    for (const code of [
      "/(/",
      "const again = 1; let again = 2",
      "break",
      "return 5",
      "let x; { var x }",
      "class A { #a; #a }",
    ]) {
      const ran = await kernel.run(code);
      expect(ran.result, code).toMatchObject({ status: "error", ename: "SyntaxError" });
    }
  });

  test("run nothing of the cell", async () => {
    const ran = await kernel.run("console.log('not this'); const ; ");
    expect(ran.stdout).toBe("");
  });
});

test("an endless recursion is an error, with a bounded traceback", async () => {
  const ran = await kernel.run("function endless(): number { return endless() + 1 }\nendless()");
  expect(ran.result).toMatchObject({ status: "error", ename: "RangeError" });
  expect(ran.result.status === "error" && ran.result.traceback.length).toBeLessThan(60);
});

test("an error in a local module shows that module's line and the cell's", async () => {
  mkdirSync(kernel.cwd, { recursive: true });
  writeFileSync(
    join(kernel.cwd, "faulty.ts"),
    "export function fail(x: number): never {\n  // a comment\n  throw new Error(`fault ${x}`);\n}\n",
  );
  const ran = await kernel.run("import { fail } from './faulty.ts';\nfail(3);");
  expect(ran.traceback).toContain("faulty.ts:3:");
  expect(ran.traceback).toMatch(/> 3 \|\s+throw new Error\(`fault/);
  expect(ran.traceback).toMatch(/> 2 \| fail\(3\)/);
});

test("a syntax error in a local module shows where it is", async () => {
  writeFileSync(join(kernel.cwd, "broken.ts"), "export const a = 1;\nexport const = 2;\n");
  const ran = await kernel.run("await import('./broken.ts')");
  expect(ran.result.status).toBe("error");
  expect(ran.traceback).toContain("broken.ts:2:");
  expect(ran.traceback).toContain("> 2 | export const = 2;");
});

test("positions count characters outside the basic plane rightly", async () => {
  const ran = await kernel.run("const smile = '😀😀'; nope()");
  expect(ran.traceback).toMatch(/cell \[\d+\]:1:23/);
  const syntax = await kernel.run("const smile2 = '😀😀'; const ;");
  expect(syntax.traceback).toMatch(/cell \[\d+\]:1:30/);
});
