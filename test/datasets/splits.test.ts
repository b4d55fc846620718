// Split rules and few-shot draws: which rows become train, validation and test.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Split, SplitRule } from "#datasets/contract.ts";
import { catalogue } from "#datasets/index.ts";
import { randperm } from "#datasets/randperm.ts";
import { shotRows } from "#datasets/shots.ts";
import { hubSplitOf, splitRows } from "#datasets/splits.ts";

const SPLITS: readonly Split[] = ["train", "validation", "test"];

describe("split rules", () => {
  it("small: validation is the first half of its permutation, test the rest, train as it is", () => {
    const rows = { train: 2490, validation: 277 };
    const validation = splitRows({ kind: "small" }, "validation", rows);
    const test = splitRows({ kind: "small" }, "test", rows);
    expect(validation).toMatchObject({ hubSplit: "validation" });
    expect(validation.indices).toEqual(randperm(277, 42).slice(0, 138));
    expect(test.indices).toEqual(randperm(277, 42).slice(138));
    expect(splitRows({ kind: "small" }, "train", rows)).toEqual({ hubSplit: "train", indices: null });
  });

  it("large: the first 1,000 rows of train's permutation are validation, the rest train, test the hub's", () => {
    const rows = { train: 67349, validation: 872 };
    const rule: SplitRule = { kind: "large", test: "validation" };
    expect(splitRows(rule, "validation", rows).indices?.slice(0, 3)).toEqual(Uint32Array.of(6677, 49712, 38268));
    expect(splitRows(rule, "train", rows).indices?.length).toBe(66_349);
    expect(splitRows(rule, "test", rows)).toEqual({ hubSplit: "validation", indices: null });
    expect(hubSplitOf({ kind: "large", test: "test" }, "test")).toBe("test");
  });

  it("large with a cap: Yelp keeps the first 100,000 rows of what is left", () => {
    const rule = catalogue["yelp-polarity"].splitRule;
    const { indices } = splitRows(rule, "train", { train: 560_000, test: 38_000 });
    expect(indices).toEqual(randperm(560_000, 42).slice(1000, 101_000));
  });

  it("MNLI: validation is mismatched, test is matched", () => {
    expect(hubSplitOf({ kind: "mnli" }, "validation")).toBe("validation_mismatched");
    expect(hubSplitOf({ kind: "mnli" }, "test")).toBe("validation_matched");
    expect(hubSplitOf({ kind: "mnli" }, "train")).toBe("train");
  });

  it("official: as the hub names them", () => {
    for (const split of SPLITS) expect(hubSplitOf({ kind: "official" }, split)).toBe(split);
    expect(hubSplitOf(catalogue.webnlg.splitRule, "validation")).toBe("dev");
  });

  it("no rule loses or repeats a row", () => {
    const rules: SplitRule[] = [
      { kind: "small" },
      { kind: "large", test: "validation", heldOut: 7 },
      { kind: "mnli" },
      { kind: "official" },
    ];
    fc.assert(
      fc.property(fc.constantFrom(...rules), fc.integer({ min: 8, max: 500 }), (rule, n) => {
        const hub = [...new Set(SPLITS.map((split) => hubSplitOf(rule, split)))];
        const rows = Object.fromEntries(hub.map((split) => [split, n]));
        const seen = SPLITS.flatMap((split) => {
          const { hubSplit, indices } = splitRows(rule, split, rows);
          return Array.from(indices ?? Array(n).keys(), (row) => `${hubSplit} ${row}`);
        });
        expect(seen.length).toBe(hub.length * n);
        expect(new Set(seen).size).toBe(seen.length);
      }),
    );
  });

  it("says which count is missing, and when train is too small to hold rows out", () => {
    expect(() => splitRows({ kind: "small" }, "test", { train: 5 })).toThrow(
      /"validation" split, whose row count is missing; got counts for: train/,
    );
    expect(() => splitRows({ kind: "large", test: "test" }, "train", { train: 1000 })).toThrow(
      /train has 1000 rows, but 1000/,
    );
  });

  // The table of mpt.md 1.1 against the hub's own counts: the rules turn the one into the other.
  it.each([
    ["glue/rte", { train: 2490, validation: 277 }],
    ["glue/cola", { train: 8551, validation: 1043 }],
    ["glue/sst2", { train: 67349, validation: 872 }],
    ["glue/stsb", { train: 5749, validation: 1500 }],
    ["glue/mrpc", { train: 3668, validation: 408 }],
    ["glue/qnli", { train: 104743, validation: 5463 }],
    ["glue/qqp", { train: 363846, validation: 40430 }],
    ["glue/mnli", { train: 392702, validation_matched: 9815, validation_mismatched: 9832 }],
    ["superglue/boolq", { train: 9427, validation: 3270 }],
    ["superglue/cb", { train: 250, validation: 56 }],
    ["superglue/wic", { train: 5428, validation: 638 }],
    ["superglue/wsc", { train: 554, validation: 104 }],
    ["superglue/multirc", { train: 27243, validation: 4848 }],
    ["mrqa/naturalquestions", { train: 104071, validation: 12836 }],
    ["mrqa/hotpotqa", { train: 72928, validation: 5901 }],
    ["mrqa/searchqa", { train: 117384, validation: 16980 }],
    ["mrqa/newsqa", { train: 74160, validation: 4212 }],
    ["winogrande", { train: 40398, validation: 1267 }],
    ["yelp-polarity", { train: 560_000, test: 38_000 }],
    ["scitail", { train: 23596, validation: 1304 }],
    ["paws-wiki", { train: 49401, validation: 8000, test: 8000 }],
  ] as const)("%s: the rule gives the expected row counts", (name, hub: Readonly<Record<string, number>>) => {
    const dataset = catalogue[name];
    for (const split of SPLITS) {
      const { hubSplit, indices } = splitRows(dataset.splitRule, split, hub);
      expect(dataset.rows[split], split).toEqual({ rows: indices?.length ?? hub[hubSplit], verified: true });
    }
  });
});

describe("few-shot draws", () => {
  it("overall: k rows of a seeded permutation, 4 shots among the 16 of the same seed", () => {
    const four = shotRows({ shots: 4, seed: 7, rows: 250 });
    expect(four).toEqual(randperm(250, 7).slice(0, 4));
    expect(shotRows({ shots: 16, seed: 7, rows: 250 }).slice(0, 4)).toEqual(four);
    expect(shotRows({ shots: 4, seed: 8, rows: 250 })).not.toEqual(four);
  });

  it("per class: k shared out among the classes, none missing", () => {
    const classes = Array.from({ length: 90 }, (_, i) => i % 3);
    for (const [shots, expected] of [
      [4, [2, 1, 1]],
      [16, [6, 5, 5]],
      [32, [11, 11, 10]],
    ] as const) {
      const rows = [...shotRows({ shots, seed: 1, rows: 90, mode: "per-class", classes })];
      expect(new Set(rows).size).toBe(shots);
      expect([0, 1, 2].map((each) => rows.filter((row) => classes[row] === each).length)).toEqual(expected);
    }
  });

  it("says what is missing: rows, rows of a class, classes, a count", () => {
    expect(() => shotRows({ shots: 9, seed: 0, rows: 8 })).toThrow(
      /9 shots were asked for, but the training split has 8/,
    );
    expect(() =>
      shotRows({ shots: 4, seed: 0, rows: 5, mode: "per-class", classes: ["a", "b", "a", "a", "a"] }),
    ).toThrow(/2 of class "b", but the training split has 1/);
    expect(() => shotRows({ shots: 4, seed: 0, rows: 5, mode: "per-class" })).toThrow(
      /class of each of the 5 rows; got none/,
    );
    expect(() => shotRows({ shots: 0, seed: 0, rows: 5 })).toThrow(/at least 1/);
  });
});
