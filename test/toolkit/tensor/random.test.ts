// Randomness: the reference against published vectors and JAX, and every host kernel against the reference.
import { beforeAll, describe, expect, it } from "vitest";
import { random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { randomBits, randomUniform, threefry2x32 } from "#toolkit/tensor/threefry.ts";

beforeAll(async () => {
  await useEngine("wasm");
});

describe("threefry-2x32", () => {
  // Known-answer tests of the authors' Random123 distribution, threefry2x32 with 20 rounds.
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ])("equals the known answer for key %j and counter %j", (key, counter, expected) => {
    const out = new Uint32Array(2);
    threefry2x32(key[0]!, key[1]!, counter[0]!, counter[1]!, out);
    expect([...out]).toEqual(expected);
  });
});

describe("random", () => {
  it("gives the reference's uniform numbers bit for bit", () => {
    const values = random.uniform(random.key(42), [3, 5]).dataSync();
    expect([...values]).toEqual([...randomUniform(0, 42, 15)]);
  });
  it("gives the same numbers for the same key and others for another", () => {
    const first = random.uniform(random.key(1), [8]).dataSync();
    expect([...random.uniform(random.key(1), [8]).dataSync()]).toEqual([...first]);
    expect([...random.uniform(random.key(2), [8]).dataSync()]).not.toEqual([...first]);
  });
  it("splits and folds into keys that differ from each other and from their parent", () => {
    const parent = random.key(7);
    const keys = [
      parent,
      ...random.split(parent, 3),
      random.foldIn(parent, 1),
      random.foldIn(parent, tf.scalar(2, "int32")),
    ];
    expect(new Set(keys.map((key) => key.dataSync().join())).size).toBe(keys.length);
  });
  it("has the mean and deviation of a uniform and a normal distribution", () => {
    const size = 20_000;
    const unit = random.uniform(random.key(3), [size]);
    expect(tf.mean(unit).dataSync()[0]).toBeCloseTo(0.5, 1);
    const { mean, variance } = tf.moments(random.normal(random.key(4), [size], 2, 3));
    expect(Math.abs(mean.dataSync()[0]! - 2)).toBeLessThan(0.1);
    expect(Math.abs(Math.sqrt(variance.dataSync()[0]!) - 3)).toBeLessThan(0.1);
  });
  it("drops the share of elements that was asked for and keeps the expectation", () => {
    const dropped = random.dropout(random.key(5), tf.ones([10_000]), 0.3).dataSync();
    const zeros = dropped.filter((value) => value === 0).length;
    expect(Math.abs(zeros / 10_000 - 0.3)).toBeLessThan(0.02);
    expect(new Set(dropped)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
  });
  it("refuses a key, a seed, a rate or a fold that is none", () => {
    expect(() => random.uniform(tf.zeros([3]), [2])).toThrow("expected a key");
    expect(() => random.key(0.5)).toThrow("safe integer");
    expect(() => random.dropout(random.key(1), tf.ones([2]), 1)).toThrow("[0, 1)");
    expect(() => random.foldIn(random.key(1), 0.5)).toThrow("integer");
  });
  it("draws words without a visible bias in any bit", () => {
    const bits = randomBits(0, 9, 4096);
    for (let bit = 0; bit < 32; bit++) {
      const ones = bits.reduce((sum, word) => sum + ((word >>> bit) & 1), 0);
      expect(Math.abs(ones - 2048)).toBeLessThan(200);
    }
  });
});
