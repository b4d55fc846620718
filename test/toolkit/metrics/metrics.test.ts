// The metrics against golden numbers (scikit-learn and scipy), hand-worked cases, and the rules for invalid predictions.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ranks } from "#toolkit/metrics/correlation.ts";
import {
  accuracy,
  answerF1,
  answerTokens,
  averageOfMetrics,
  exactMatchOf,
  f1OfClass,
  type MetricName,
  macroF1,
  matthews,
  metrics,
  pearson,
  type Scored,
  score,
  spearman,
} from "#toolkit/metrics/index.ts";
import { tokenize13a } from "#toolkit/metrics/tokens.ts";

const shared = process.env.BUNSEN_SHARED ?? join(import.meta.dirname, "../../../../shared");
const goldenFile = [join(shared, "data/golden/metrics.json"), join(shared, "golden/metrics.json")].find(existsSync);

const scored = (targets: readonly (string | number)[]): Scored[] =>
  targets.map((target) => ({ target: String(target) }));
const strings = (values: readonly (string | number)[]): string[] => values.map(String);

describe.skipIf(goldenFile === undefined)("metrics equal the golden numbers of scikit-learn and scipy", () => {
  const golden = goldenFile === undefined ? undefined : JSON.parse(readFileSync(goldenFile, "utf8"));

  it("accuracy, F1 and Matthews on two classes", () => {
    const { y, p } = golden.binary;
    expect(accuracy(p, y)).toBeCloseTo(golden.binary.accuracy, 12);
    expect(f1OfClass(p, y, 1)).toBeCloseTo(golden.binary.f1, 12);
    expect(matthews(p, y)).toBeCloseTo(golden.binary.mcc, 12);
    expect(metrics.accuracy(strings(p), scored(y))).toBeCloseTo(100 * golden.binary.accuracy, 10);
    expect(metrics.f1(strings(p), scored(y))).toBeCloseTo(100 * golden.binary.f1, 10);
    expect(metrics.matthews(strings(p), scored(y))).toBeCloseTo(100 * golden.binary.mcc, 10);
  });

  it("macro-F1 on three classes", () => {
    const { y, p } = golden.multi;
    expect(macroF1(p, y, [0, 1, 2])).toBeCloseTo(golden.multi.macro_f1, 12);
    expect(metrics.macroF1(strings(p), scored(y))).toBeCloseTo(100 * golden.multi.macro_f1, 10);
  });

  it("Pearson and Spearman", () => {
    const { y, p } = golden.regression;
    expect(pearson(p, y)).toBeCloseTo(golden.regression.pearson, 12);
    expect(spearman(p, y)).toBeCloseTo(golden.regression.spearman, 12);
    expect(metrics.pearson(strings(p), scored(y))).toBeCloseTo(100 * golden.regression.pearson, 10);
    expect(metrics.spearman(strings(p), scored(y))).toBeCloseTo(100 * golden.regression.spearman, 10);
  });
});
if (goldenFile === undefined) console.warn(`skipped: golden metrics are not at ${shared}/data/golden/metrics.json`);

describe("predictions that are not what the task asks for", () => {
  it("count as wrong in binary F1, whichever label is right", () => {
    // The invalid "maybe" for a 1 becomes 0, the empty string for a 0 becomes 1: P = 1/2, R = 1/2.
    expect(metrics.f1(["maybe", "", "1", "0"], scored(["1", "0", "1", "0"]))).toBeCloseTo(50, 10);
    expect(metrics.f1a(["maybe", "", "1", "0"], scored(["1", "0", "1", "0"]))).toBeCloseTo(50, 10);
  });

  it("are wrong in accuracy and macro-F1 without adding a class", () => {
    expect(metrics.accuracy(["0", "contradiction"], scored(["0", "1"]))).toBe(50);
    expect(metrics.macroF1(["0", "junk", "2"], scored(["0", "1", "2"]))).toBeCloseTo(200 / 3, 10);
    expect(metrics.macroF1(["0", "0"], scored(["0", "0"]))).toBeCloseTo(100 / 3, 10);
  });

  it("become −1 in a regression", () => {
    const targets = scored(["0.0", "2.0", "5.0"]);
    for (const junk of ["", "five", "nan", "inf", "1_0", "0x10", "3,5", "1e999"]) {
      expect(metrics.pearson(["0.0", "2.0", junk], targets)).toBeCloseTo(100 * pearson([0, 2, -1], [0, 2, 5]), 10);
    }
    expect(metrics.pearson([" 0.0", "+2", "5."], targets)).toBeCloseTo(100, 10);
  });

  it("are trimmed but not otherwise changed", () => {
    expect(metrics.accuracy([" 1\n", "01"], scored(["1", "1"]))).toBe(50);
  });
});

describe("values that are not defined", () => {
  it("a constant prediction has no correlation: 0", () => {
    expect(pearson([3.1, 3.1, 3.1], [1, 2, 3])).toBe(0);
    expect(pearson([0.1, 0.1, 0.1], [1, 2, 3])).toBe(0);
    expect(spearman([1, 2, 3], [5, 5, 5])).toBe(0);
    expect(matthews(["1", "1", "1"], ["1", "0", "1"])).toBe(0);
    expect(f1OfClass([0, 0], [0, 0], 1)).toBe(0);
  });

  it("nothing to score, or a number of predictions that is not that of the examples, is an error with both numbers", () => {
    for (const name of Object.keys(metrics) as MetricName[]) {
      expect(() => metrics[name]([], []), name).toThrow(RangeError);
      expect(() => metrics[name](["1"], scored(["1", "0"])), name).toThrow(/1 predictions for 2 examples|group/);
    }
  });
});

describe("groups of rows", () => {
  it("are right when every row of theirs is", () => {
    const examples = [
      { target: "1", group: "a" },
      { target: "0", group: "a" },
      { target: "1", group: "b" },
      { target: "1", group: "c" },
    ];
    expect(metrics.groupExactMatch(["1", "0", "1", "0"], examples)).toBeCloseTo(200 / 3, 10);
    expect(metrics.groupExactMatch(["1", "1", "1", "0"], examples)).toBeCloseTo(100 / 3, 10);
  });

  it("are asked for by name where an example has none", () => {
    expect(() => metrics.groupExactMatch(["1"], scored(["1"]))).toThrow(/example 0 has no group/);
  });
});

describe("answers", () => {
  it("are compared without case, ASCII punctuation and articles", () => {
    expect(answerTokens("The Denver-Broncos, a team!")).toEqual(["denverbroncos", "team"]);
    expect(exactMatchOf("the  Cat.", "cat")).toBe(1);
    // Articles go only as whole words of any script; curly quotes and dashes are not ASCII punctuation.
    expect(answerTokens("a-ha éa théâtre an “an”")).toEqual(["aha", "éa", "théâtre", "“", "”"]);
  });

  it("share credit for common words, as often as both have them", () => {
    expect(answerF1("a red red hat", "red hat hat")).toBeCloseTo(2 / 3, 12);
    expect(answerF1("", "")).toBe(0);
    expect(exactMatchOf("", "the")).toBe(1);
  });

  it("are scored against the best of all references, or the target alone", () => {
    const one = { target: "blue hat" };
    const many = { target: "blue hat", references: ["blue hat", "red hat"] };
    expect(metrics.exactMatch(["red hat"], [one])).toBe(0);
    expect(metrics.exactMatch(["red hat"], [many])).toBe(100);
    expect(metrics.squadF1(["red hat"], [one])).toBe(50);
    expect(metrics.squadF1(["red hat"], [many])).toBe(100);
    expect(() => metrics.squadF1(["x"], [{ target: "y", references: [] }])).toThrow(/at least one accepted answer/);
  });
});

describe("generated text", () => {
  const references = ["The Vaults is a cheap pub near Café Adriatic.", "Near Café Adriatic is The Vaults, a pub."];
  const example: Scored = { target: references[0]!, references };

  it("13a tokens set punctuation off, except within numbers", () => {
    expect(tokenize13a("It costs 1,000.50 - or 3-4&quot; (max.)")).toEqual(
      ["It", "costs", "1,000.50", "-", "or", "3", "-", "4", '"', "(", "max", ".", ")"], // "-" alone stays a token
    );
  });

  it("scores a perfect copy 100 in BLEU and ROUGE-L, and nothing in common 0 everywhere", () => {
    expect(metrics.bleu([references[1]!], [example])).toBeCloseTo(100, 10);
    expect(metrics.rougeL([references[1]!], [example])).toBeCloseTo(100, 10);
    for (const name of ["bleu", "rougeL", "nist", "cider"] as const) {
      expect(metrics[name](["zzz yyy xxx www"], [example]), name).toBe(0);
    }
  });

  it("scores wordings of one input once, against all of them", () => {
    const rows = references.map((target) => ({ target, group: "name[The Vaults]" }));
    const other: Scored = { target: "Zizzi is a pub by the river, in the north of the town." };
    const predictions = ["The Vaults is a pub near Café Adriatic.", "not scored", "Zizzi is a pub by the river."];
    for (const name of ["bleu", "rougeL", "nist", "cider"] as const) {
      expect(metrics[name](predictions, [...rows, other]), name).toBe(
        metrics[name]([predictions[0]!, predictions[2]!], [example, other]),
      );
    }
  });

  it("equals sacreBLEU, NLTK, rouge-score and pycocoevalcap on a small corpus", () => {
    // Printed by test/conformance/metrics.py (versions in metrics-requirements.txt); the conformance run compares many more.
    const predictions = [
      "The Vaults is a cheap pub near Café Adriatic.",
      "Zizzi, by the river, serves 1,000 dishes at night!",
    ];
    const corpus = [
      ["The Vaults is a pub near Café Adriatic.", "Near Café Adriatic there is The Vaults, a cheap pub."],
      ["By the river Zizzi serves 1,000 dishes every night."],
    ].map((texts): Scored => ({ target: texts[0]!, references: texts }));
    expect(metrics.bleu(predictions, corpus)).toBeCloseTo(42.87963446479721, 10);
    expect(metrics.rougeL(predictions, corpus)).toBeCloseTo(87.05882352941177, 10);
    expect(metrics.nist(predictions, corpus)).toBeCloseTo(4.001227637765059, 10);
    expect(metrics.cider(predictions, corpus)).toBeCloseTo(4.291739318609206, 10);
  });

  it("an empty prediction is 0, not NaN", () => {
    for (const name of ["bleu", "rougeL", "nist", "cider"] as const)
      expect(metrics[name]([""], [example]), name).toBe(0);
  });
});

describe("laws", () => {
  it("perfect predictions are worth 100, and the order of examples does not matter", () => {
    const labels = fc.array(fc.constantFrom("0", "1", "2"), { minLength: 3, maxLength: 40 });
    fc.assert(
      fc.property(labels, labels, fc.nat(), (targets, other, shift) => {
        const predictions = targets.map((_, i) => other[i % other.length]!);
        const turn = <T>(items: readonly T[]): T[] => items.map((_, i) => items[(i + shift) % items.length]!);
        expect(metrics.accuracy(targets, scored(targets))).toBe(100);
        for (const name of ["accuracy", "macroF1", "matthews", "pearson", "spearman", "squadF1"] as const) {
          const straight = metrics[name](predictions, scored(targets));
          expect(metrics[name](turn(predictions), scored(turn(targets)))).toBeCloseTo(straight, 8);
          expect(straight).toBeGreaterThanOrEqual(-100);
          expect(straight).toBeLessThanOrEqual(100);
        }
      }),
    );
  });

  it("ranks share ties at their mean", () => {
    expect(ranks([10, 20, 10, 5])).toEqual([2.5, 4, 2.5, 1]);
  });

  it("several metrics at once, and the mean that checkpoints are chosen by", () => {
    const scores = score(["f1", "accuracy"], ["1", "0"], scored(["1", "1"]));
    expect(scores.accuracy).toBe(50);
    expect(scores.f1).toBeCloseTo(200 / 3, 10);
    expect(averageOfMetrics(scores)).toBeCloseTo((50 + 200 / 3) / 2, 10);
  });
});
