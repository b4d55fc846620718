// Which uses of a name reach beyond the scopes inside a program.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the programs under test are text

import { expect, test } from "vitest";
import { parseJavaScript } from "#kernel/syntax/parse.ts";
import { outerReferences } from "#kernel/syntax/references.ts";

/** The program with each outer use of `x` marked. */
function marked(code: string): string {
  const found = outerReferences(parseJavaScript(code), new Set(["x"])).map(({ identifier }) => identifier.start);
  return [...code].map((char, index) => (found.includes(index) ? `«${char}»` : char)).join("");
}

test.each([
  ["«x» + 1", "plain use"],
  ["a.x + a[«x»]", "members"],
  ["({ x: 1, [«x»]: «x», «x» })", "object keys"],
  ["function f(x) { x } «x»", "parameters"],
  ["(x) => x", "arrow parameters"],
  ["(y = «x») => y", "defaults"],
  ["function f() { { var x } x }", "hoisted var"],
  ["{ let x = 1; x } «x»", "blocks"],
  ["{ function x() {} x } «x»", "block functions"],
  ["for (let x of y) x; «x»", "loops"],
  ["for (const x in y) { x }", "for in"],
  ["for (let x = 0; x < 1; x++) x", "for"],
  ["try {} catch (x) { x } «x»", "catch"],
  ["try {} catch ({ x }) { x }", "catch patterns"],
  ["(class x { m() { return x } }); «x»", "class names"],
  ["(function x() { x }); «x»", "function names"],
  ["class A { x = «x»; x() {} static { var x; x } [«x»]() {} }", "classes"],
  ["x: for (;;) { break x }", "labels"],
  ["switch (1) { case «x»: let y }", "switch"],
  ["switch (1) { case 1: let x; x }", "switch scope"],
  ["const x = 1; «x»", "a declaration at the top is what is asked about"],
  ["const { x, y: [x2 = «x»] } = «x»", "patterns at the top"],
  ["var «x» = 1", "var at the top"],
  ["({ «x» } = y); [«x»] = y; ({ a: «x» = 1 } = y)", "assignment patterns"],
  ["({ «x» = 1 } = y)", "shorthand defaults"],
  ["`${«x»}`; «x»`t`; new «x»(); typeof «x»; import(«x»)", "other uses"],
  ["import x from 'x'; export { x }", "import and export names"],
  ["const f = () => { const g = () => «x»; { const x = 1 } }", "nested functions"],
])("%s (%s)", (expected) => {
  const code = expected.replace(/[«»]/g, "");
  expect(marked(code)).toBe(expected);
});
