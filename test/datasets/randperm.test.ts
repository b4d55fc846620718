// The permutation behind every split: torch's, bit for bit.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { draw, mersenneTwister } from "#datasets/random.ts";
import { randperm } from "#datasets/randperm.ts";
import { sharedFile } from "./shared-data.ts";

const golden = sharedFile("golden/randperm.json");

describe("randperm", () => {
  it.each([
    [42, 10, [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]],
    [0, 10, [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]],
    [1, 10, [5, 6, 1, 2, 0, 8, 9, 3, 7, 4]],
    [42, 56, [22, 8, 36, 39, 34, 28, 26, 6, 30, 17]],
    [42, 408, [30, 63, 342, 322, 6, 302, 94, 83, 158, 212]],
  ])("with seed %i and n %i starts as torch's does", (seed, n, head) => {
    expect([...randperm(n, seed).slice(0, 10)]).toEqual(head);
  });

  it.skipIf(golden === undefined)("equals every golden vector of torch", () => {
    const vectors: { seed: number; n: number; head: number[] }[] = JSON.parse(readFileSync(golden!, "utf8"));
    expect(vectors.length).toBeGreaterThan(0);
    for (const { seed, n, head } of vectors) expect([...randperm(n, seed).slice(0, head.length)]).toEqual(head);
  });

  it("holds every number once", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 3000 }), fc.nat(), (n, seed) => {
        expect([...randperm(n, seed)].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
    );
  });

  it("uses seed 42 where none is given, and refuses what is no count", () => {
    expect(randperm(100)).toEqual(randperm(100, 42));
    for (const n of [-1, 1.5, Number.NaN, 2 ** 32]) expect(() => randperm(n)).toThrow(/whole number of rows/);
  });
});

describe("the Mersenne Twister", () => {
  it("gives the reference stream of seed 5489", () => {
    const next = mersenneTwister(5489);
    expect([next(), next(), next()]).toEqual([3499211612, 581869302, 3890346734]);
    // The 10,000th output, which the C++ standard fixes for its default seed.
    for (let i = 3; i < 9999; i++) next();
    expect(next()).toBe(4123659995);
  });
});

describe("draws", () => {
  it("are the same for the same seed and labels, and others for others", () => {
    const first = (seed: number, ...labels: string[]): number => draw(seed, ...labels).real();
    expect(first(1, "a")).toBe(first(1, "a"));
    const streams = [first(1, "a"), first(2, "a"), first(1, "b"), first(1, "a", "b"), first(1, "ab"), first(1)];
    expect(new Set(streams).size).toBe(streams.length);
  });

  it("fork to the same stream however much was drawn before", () => {
    const used = draw(3, "x");
    used.real();
    expect(used.fork("y").real()).toBe(draw(3, "x").fork("y").real());
  });

  it("sample without repeating, and say when there are too few", () => {
    const items = [1, 2, 3, 4, 5];
    expect([...draw(0).sample(items, 5)].sort()).toEqual(items);
    expect(() => draw(0).sample(items, 6)).toThrow(/6 different items out of 5/);
    expect(() => draw(0).pick([])).toThrow(/empty list/);
  });
});
