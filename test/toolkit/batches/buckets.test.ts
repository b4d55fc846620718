// The bucket lengths are the best possible: held against trying them all.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketOf, optimalLengths, paddingShare, sharedLengths } from "#toolkit/batches/buckets.ts";

/** The least padding of any choice of at most `count` lengths, by trying every choice. */
function leastByTrying(lengths: readonly number[], count: number): number {
  const values = [...new Set(lengths)].sort((a, b) => a - b);
  const longest = values.pop()!;
  let least = Number.POSITIVE_INFINITY;
  for (let choice = 0; choice < 2 ** values.length; choice++) {
    const chosen = [...values.filter((_, i) => (choice >> i) & 1), longest];
    if (chosen.length <= count) least = Math.min(least, paddingShare(lengths, chosen));
  }
  return least;
}

const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 });

describe("optimal bucket lengths", () => {
  it("pad as little as any choice of as many lengths could", () => {
    const few = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(few, fc.integer({ min: 1, max: 6 }), (rows, count) => {
        expect(paddingShare(rows, optimalLengths(rows, count))).toBeCloseTo(leastByTrying(rows, count), 12);
      }),
      { numRuns: 300 },
    );
  });

  it("are ascending, no more than asked for, lengths that occur, and end with the longest row", () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 12 }), (rows, count) => {
        const found = optimalLengths(rows, count);
        expect(found.length).toBeLessThanOrEqual(count);
        expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
        for (const length of found) expect(rows).toContain(length);
        expect(found.at(-1)).toBe(Math.max(...rows));
        expect(found.length).toBe(Math.min(count, new Set(rows).size));
      }),
    );
  });

  it("never pad more with more lengths", () => {
    fc.assert(
      fc.property(lengths, (rows) => {
        let before = 1;
        for (let count = 1; count <= 10; count++) {
          const share = paddingShare(rows, optimalLengths(rows, count));
          expect(share).toBeLessThanOrEqual(before + 1e-12);
          before = share;
        }
      }),
    );
  });

  it("refuse nothing to bucket", () => {
    expect(() => optimalLengths([], 3)).toThrow(RangeError);
    expect(() => optimalLengths([1], 0)).toThrow(/at least 1, not 0/);
    expect(() => paddingShare([9], [3, 8])).toThrow(/length 9 fits into none of 3, 8/);
  });
});

describe("lengths that tasks share", () => {
  const tasks = fc.array(
    fc.record({ rowLengths: lengths, probability: fc.double({ min: 0.01, max: 1, noNaN: true }) }),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  const paddingOf = (given: readonly { rowLengths: readonly number[]; probability: number }[], chosen: number[][]) => {
    const sums = given.map(({ rowLengths, probability }, task) => {
      const scale = probability / rowLengths.length;
      const padded = rowLengths.map((length) => chosen[task]![bucketOf(chosen[task]!, length)]!);
      return [scale * padded.reduce((a, b) => a + b, 0), scale * rowLengths.reduce((a, b) => a + b, 0)] as const;
    });
    const total = (which: 0 | 1): number => sums.reduce((sum, pair) => sum + pair[which], 0);
    return 1 - total(1) / total(0);
  };

  it("keep the mixture's padding under the goal, hold every row, and are at most so many of each task", () => {
    fc.assert(
      fc.property(tasks, fc.integer({ min: 3, max: 10 }), (given, most) => {
        const goal = 0.2;
        const chosen = sharedLengths(
          given.map((task) => ({ ...task, most })),
          goal,
        );
        for (const [task, own] of chosen.entries()) {
          expect(own.length).toBeLessThanOrEqual(most);
          expect(own.at(-1)).toBeGreaterThanOrEqual(Math.max(...given[task]!.rowLengths));
          expect(own).toEqual([...new Set(own)].sort((a, b) => a - b));
        }
        // Where so few lengths cannot do it, each task has its own best: nothing pads less.
        const best = given.map(({ rowLengths }) => optimalLengths(rowLengths, most));
        if (paddingOf(given, best) < goal - 0.1) expect(paddingOf(given, chosen)).toBeLessThan(goal);
        else expect(paddingOf(given, chosen)).toBeLessThan(Math.max(goal, paddingOf(given, best)) + 1e-9);
      }),
    );
  });

  it("of one task are the fewest, four at least, that come under the goal", () => {
    fc.assert(
      fc.property(lengths, fc.double({ min: 0.01, max: 0.5, noNaN: true }), (rowLengths, goal) => {
        const [chosen] = sharedLengths([{ rowLengths, probability: 1, most: 6 }], goal);
        const share = (count: number): number => paddingShare(rowLengths, optimalLengths(rowLengths, count));
        const enough = [4, 5].find((count) => share(count) < goal) ?? 6;
        // Which of equally good ones is rounding's choice.
        expect(chosen!.length).toBe(optimalLengths(rowLengths, enough).length);
        expect(paddingShare(rowLengths, chosen!)).toBeCloseTo(share(enough), 12);
      }),
    );
  });

  it("are fewer in all than the tasks' own", () => {
    const spread = (from: number, to: number): number[] =>
      Array.from({ length: 300 }, (_, i) => from + ((i * 7919) % (to - from)));
    const given = [spread(5, 60), spread(8, 90), spread(20, 200)].map((rowLengths) => ({
      rowLengths,
      probability: 1 / 3,
      most: 10,
    }));
    const shared = sharedLengths(given, 0.09);
    const own = given.map(({ rowLengths }) => optimalLengths(rowLengths, 10));
    expect(new Set(shared.flat()).size).toBeLessThan(new Set(own.flat()).size * 0.75);
    expect(paddingOf(given, shared)).toBeLessThan(0.09);
  });
});

describe("the bucket of a length", () => {
  it("is the first that holds it", () => {
    expect([1, 3, 4, 8, 9].map((length) => bucketOf([3, 8], length))).toEqual([0, 0, 1, 1, -1]);
  });
});
