// The pretraining text: seeded, all kinds, in the words of the small world, and free of the benchmark's templates.
import { describe, expect, it } from "vitest";
import { catalogue } from "#datasets/index.ts";
import { documents, KINDS } from "#datasets/mini/text.ts";

describe("pretraining text", () => {
  const sample = [...documents({ count: 4000, seed: 3 })];

  it("is the same for the same seed and another for another", () => {
    const texts = (seed: number): string[] => [...documents({ count: 50, seed })].map(({ text }) => text);
    expect(texts(3)).toEqual(sample.slice(0, 50).map(({ text }) => text));
    expect(texts(4)).not.toEqual(texts(3));
  });

  it("has every kind in nearly equal shares, or the kinds that are asked for", () => {
    for (const kind of KINDS) {
      const share = sample.filter((each) => each.kind === kind).length / sample.length;
      expect(Math.abs(share - 1 / KINDS.length), kind).toBeLessThan(0.03);
    }
    expect(new Set([...documents({ count: 50, kinds: ["story", "name"] })].map(({ kind }) => kind))).toEqual(
      new Set(["story", "name"]),
    );
  });

  it("is in a few hundred words", () => {
    expect(new Set(sample.flatMap(({ text }) => text.split(" "))).size).toBeLessThan(450);
  });

  it("never shows a template's key or a bare class label as what follows", () => {
    const keys = /(sentence[12]?|premise|hypothesis|question[12]?|passage|context|entities|option[01]|paragraph):/;
    const labels = new Set(Object.values(catalogue).flatMap((dataset) => dataset.labels ?? []));
    for (const { text, end } of sample) {
      expect(text).not.toMatch(keys);
      expect(labels.has(end.replace(" .", "")), end).toBe(false);
    }
  });

  it("refuses what is no count", () => {
    expect(() => [...documents({ count: -1 })]).toThrow(/whole number of documents, got -1/);
  });
});
