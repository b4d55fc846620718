// Whether a front end may run what was typed, must wait for more, or sees a mistake.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the cells under test are text

import { expect, test } from "vitest";
import { isComplete } from "#kernel/syntax/is-complete.ts";

const COMPLETE = [
  "",
  "  ",
  "// only a comment",
  "1 + 1",
  "await fetch('x')",
  "const x: number = 1;",
  "for (const x of y) { f(x) }",
  "function f<T>(x: T): T { return x }",
  "@dec class A { @m x = 1; accessor y = 2 }",
  "enum E { A }",
  "type A = { a: 1 }",
  "<div>{x}</div>",
  "const id = <T>(x: T) => x",
  "export { x }",
  "`a ${b} c`",
  "{ a: 1 }",
  "label: for (;;) { break label }",
  "'a\\\n b'",
  "using x = y",
];

const INCOMPLETE: Record<string, string> = {
  "const x = {": "  ",
  "function f(": "  ",
  "function f() {\n  if (x) {": "    ",
  "foo(1,": "",
  "[1, 2": "",
  "x =>": "  ",
  "x => {": "  ",
  "const x =": "",
  "1 +": "",
  "a.": "",
  "a?.": "",
  "x ? y :": "  ",
  "if (a)": "",
  "if (a) {} else": "",
  "try {}": "",
  "do {} while": "",
  "`text": "",
  "`text ${": "  ",
  "/* comment": "",
  "'text\\": "",
  "enum A {": "  ",
  "interface X": "",
  "type A =": "",
  "class A extends": "",
  "import {": "  ",
  "import x from": "",
  "@dec": "",
  "<div>": "",
  "<div": "",
  "const f = <T>(": "  ",
  "switch (x) {\n  case 1:": "    ",
  "\tif (x) {": "\t\t",
};

const INVALID = [
  "import = 7q",
  "}",
  "a b",
  "let x = 1; let x = 2",
  "'text",
  "/regular",
  "function f( }",
  "return 1",
  "break",
  "class A { m( }",
  "1 = 2 +",
  "(]",
  "const x = 5 }",
];

test.each(COMPLETE)("%j is complete", (code) => {
  expect(isComplete(code)).toEqual({ status: "complete" });
});

test.each(Object.entries(INCOMPLETE))("%j is incomplete", (code, indent) => {
  expect(isComplete(code)).toEqual({ status: "incomplete", indent });
});

test.each(INVALID)("%j is invalid", (code) => {
  expect(isComplete(code)).toEqual({ status: "invalid" });
});

test("every beginning of a cell, cut between its lines, is complete or incomplete", () => {
  const cell = `import { a } from "b";
const table = {
  rows: [
    1,
  ],
};
function f(
  x: number,
): number {
  return [1, 2]
    .map((y) => y * x)
    .reduce((s, y) => s + y, 0);
}
for (const x of [1]) {
  if (x > 0) {
    console.log(\`x is
\${x}\`);
  }
}`;
  const lines = cell.split("\n");
  for (let count = 1; count <= lines.length; count++) {
    expect(isComplete(lines.slice(0, count).join("\n")).status, `${count} lines`).not.toBe("invalid");
  }
  expect(isComplete(cell).status).toBe("complete");
});
