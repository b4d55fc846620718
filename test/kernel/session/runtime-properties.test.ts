// Which expression stands before the cursor, and how runtime names join those of the types.

import { expect, test } from "vitest";
import { expressionAt, memberExpression, withRuntimeProperties } from "#kernel/session/runtime-properties.ts";

test.each([
  ["table.", { expression: "table", prefix: "", quote: null }],
  ['x = a.b[0]["c d"].na', { expression: 'a.b[0]["c d"]', prefix: "na", quote: null }],
  ["f(row.lo", { expression: "row", prefix: "lo", quote: null }],
  ["a?.b?.c", { expression: "a?.b", prefix: "c", quote: null }],
  ["größe.$x", { expression: "größe", prefix: "$x", quote: null }],
  ["row['lo", { expression: "row", prefix: "lo", quote: "'" }],
  ['f(a.b["c d', { expression: "a.b", prefix: "c d", quote: '"' }],
  ["a?.['", { expression: "a", prefix: "", quote: "'" }],
  ["a['b']['it\\'s", { expression: "a['b']", prefix: "it\\'s", quote: "'" }],
  ["f()['x", null],
  ["a['b'", null],
  ["'[' + b", null],
  ["f().x", null],
  ["xs[i].x", null],
  ["'text'.le", null],
  ["table", null],
  ["1.", null],
])("%s", (code, expected) => {
  expect(memberExpression(code, [...code].length)).toEqual(expected);
});

test("the cursor counts code points, and only its own line matters", () => {
  expect(memberExpression("'🙂🙂';\nrow.lo + 1", 11)).toEqual({ expression: "row", prefix: "l", quote: null });
  expect(memberExpression("a.\nb", 4)).toBeNull();
});

test("the name that the cursor touches, with what is before it", () => {
  expect(expressionAt("row.loss.toFixed", 6)).toBe("row.loss");
  expect(expressionAt("row + 1", 5)).toBeNull();
  expect(expressionAt("f().x", 5)).toBeNull();
});

const reply = {
  status: "ok",
  matches: ["length"],
  cursor_start: 4,
  cursor_end: 5,
  metadata: { _jupyter_types_experimental: [{ text: "length", type: "property", start: 4, end: 5 }] },
};
const member = { expression: "row", prefix: "l", quote: null };

test("runtime names come behind the types' names, once each, with a row of types each", () => {
  const joined = withRuntimeProperties(
    reply,
    member,
    [
      { name: "loss", type: "property" },
      { name: "length", type: "property" },
      { name: "not a name", type: "property" },
      { name: "other", type: "property" },
    ],
    5,
  );
  expect(joined).toEqual({
    ...reply,
    matches: ["length", "loss"],
    metadata: {
      _jupyter_types_experimental: [
        { text: "length", type: "property", start: 4, end: 5 },
        { text: "loss", type: "property", start: 4, end: 5 },
      ],
    },
  });
});

test("where the types know nothing, the positions are those of the name being typed", () => {
  const empty = { status: "ok", matches: [], cursor_start: 0, cursor_end: 0, metadata: {} };
  expect(withRuntimeProperties(empty, member, [{ name: "loss", type: "property" }], 5)).toMatchObject({
    matches: ["loss"],
    cursor_start: 4,
    cursor_end: 5,
  });
  expect(withRuntimeProperties(empty, member, [], 5)).toBe(empty);
});

test("behind a quote every key completes, written as that quote asks", () => {
  const empty = { status: "ok", matches: [], cursor_start: 0, cursor_end: 0, metadata: {} };
  const keys = ["it's", "it is", 'a "b"', "other"].map((name) => ({ name, type: "property" as const }));
  const at = (prefix: string, quote: "'" | '"'): unknown =>
    withRuntimeProperties(empty, { expression: "row", prefix, quote }, keys, 5).matches;
  expect(at("it", "'")).toEqual(["it\\'s", "it is"]);
  expect(at("it", '"')).toEqual(["it's", "it is"]);
  expect(at("a", '"')).toEqual(['a \\"b\\"']);
  expect(at("a", "'")).toEqual(['a "b"']);
});
