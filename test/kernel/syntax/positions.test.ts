// Positions in text: code points for the protocol, UTF-16 for JavaScript, lines and columns for people.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { codePointIndex, lineColumn, lines, utf16Index } from "#kernel/syntax/positions.ts";

describe("code points and UTF-16", () => {
  test("differ by one for each character outside the basic plane", () => {
    expect(utf16Index("a😀b", 1)).toBe(1);
    expect(utf16Index("a😀b", 2)).toBe(3);
    expect(codePointIndex("a😀b", 3)).toBe(2);
    expect(codePointIndex("a😀b", 2)).toBe(2);
  });

  test("stay within the text", () => {
    expect(utf16Index("ab", 99)).toBe(2);
    expect(codePointIndex("ab", 99)).toBe(2);
    expect(codePointIndex("ab", -1)).toBe(0);
  });

  test("agree with the language's own iteration over any text, lone surrogates included", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const points = [...text];
        for (let count = 0; count <= points.length; count++) {
          const index = points.slice(0, count).join("").length;
          expect(utf16Index(text, count)).toBe(index);
          expect(codePointIndex(text, index)).toBe(count);
        }
      }),
      { seed: 7, numRuns: 500 },
    );
  });
});

describe("lines and columns", () => {
  test("end lines where ECMAScript does", () => {
    expect(lineColumn("a\nb\r\nc\rd\u2028e", 100)).toEqual({ line: 5, column: 1 });
    expect(lineColumn("a\r\nb", 3)).toEqual({ line: 2, column: 0 });
    expect(lines("a\nb\r\nc\rd\u2028e\u2029")).toEqual(["a", "b", "c", "d", "e", ""]);
  });

  test("point back to the index that they came from", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "\n", "\r\n", "é", "😀") }), (text) => {
        for (let index = 0; index <= text.length; index++) {
          const { line, column } = lineColumn(text, index);
          // Within a \r\n pair the column counts the \r.
          if (text[index - 1] === "\r") continue;
          expect((lines(text)[line - 1] ?? "").slice(0, column)).toBe(
            text
              .slice(0, index)
              .split(/\r\n|\n/)
              .at(-1),
          );
        }
      }),
      { seed: 8, numRuns: 300 },
    );
  });
});
