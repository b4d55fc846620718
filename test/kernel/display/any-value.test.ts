// What must hold for the bundle of any value at all, on generated values.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatValue } from "#kernel/display/format.ts";

const anything = fc.anything({
  maxDepth: 4,
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true,
});

/** Keys that formatters look for, with values that are not what they expect. */
const lookalike = fc.record(
  {
    $schema: fc.oneof(fc.string(), fc.constant("https://vega.github.io/schema/vega-lite/v6.json")),
    $$typeof: fc.oneof(anything, fc.constant(Symbol.for("react.element"))),
    type: anything,
    props: anything,
    shape: anything,
    dtype: fc.string(),
    dataSync: fc.func(anything),
    dispose: fc.func(anything),
    size: anything,
    dataId: anything,
    numRows: fc.oneof(anything, fc.nat(20)),
    numCols: fc.oneof(anything, fc.nat(20)),
    getChildAt: fc.func(anything),
    schema: fc.oneof(anything, fc.record({ fields: fc.array(anything, { maxLength: 3 }) })),
    toDataURL: fc.func(anything),
    outerHTML: fc.string(),
    nodeType: fc.constantFrom(1, 3, "1"),
  },
  { requiredKeys: [] },
);

describe("the bundle of any value", () => {
  test("holds text without ANSI, is JSON, and comes without an error", async () => {
    await fc.assert(
      fc.asyncProperty(anything, async (value) => {
        const bundle = await formatValue(value);
        const text = bundle.data["text/plain"];
        expect(text).toEqual(expect.any(String));
        expect(text).not.toContain("\u001b[");
        expect(JSON.parse(JSON.stringify(bundle))).toEqual(bundle);
      }),
      { numRuns: 500, seed: 20_260 },
    );
  });

  test("of a value that only looks like a known kind is text too, or an error that is one", async () => {
    await fc.assert(
      fc.asyncProperty(lookalike, async (value) => {
        try {
          expect((await formatValue(value)).data["text/plain"]).toEqual(expect.any(String));
        } catch (error) {
          // JSX of a wrong shape is the user's own mistake, and told as such.
          expect(error).toBeInstanceOf(TypeError);
          expect(String(error)).toMatch(/JSX element|HTML element/);
        }
      }),
      { numRuns: 300, seed: 20_261 },
    );
  });
});
