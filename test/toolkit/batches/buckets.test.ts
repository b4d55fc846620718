// The bucket lengths are the best possible: held against trying them all.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketOf, lengthsNeeded, optimalLengths, paddingShare } from "#toolkit/batches/buckets.ts";

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

  it("are as many as the wanted padding needs, within bounds", () => {
    fc.assert(
      fc.property(lengths, fc.double({ min: 0, max: 0.5, noNaN: true }), (rows, goal) => {
        const count = lengthsNeeded(rows, 2, 6, goal);
        const share = (of: number): number => paddingShare(rows, optimalLengths(rows, of));
        expect(count).toBeGreaterThanOrEqual(2);
        expect(count).toBeLessThanOrEqual(6);
        if (count < 6) expect(share(count)).toBeLessThan(goal);
        if (count > 2) expect(share(count - 1)).toBeGreaterThanOrEqual(goal);
      }),
    );
  });

  it("refuse nothing to bucket", () => {
    expect(() => optimalLengths([], 3)).toThrow(RangeError);
    expect(() => optimalLengths([1], 0)).toThrow(/at least 1, not 0/);
    expect(() => paddingShare([9], [3, 8])).toThrow(/length 9 fits into none of 3, 8/);
  });
});

describe("the bucket of a length", () => {
  it("is the first that holds it", () => {
    expect([1, 3, 4, 8, 9].map((length) => bucketOf([3, 8], length))).toEqual([0, 0, 1, 1, -1]);
  });
});
