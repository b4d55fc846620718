// Layers and losses against their definitions, written out in plain numbers, and gradients against finite differences.
import { beforeAll, describe, expect, test } from "vitest";
import {
  additiveMask,
  attend,
  causalMask,
  crossEntropy,
  expandBatch,
  gelu,
  geluNew,
  hostRandom,
  klDivergence,
  l2Normalize,
  layerNorm,
  linear,
  meanSquaredError,
  mergeHeads,
  normalValues,
  quickGelu,
  relu,
  rmsNorm,
  sampleWithout,
  silu,
  splitHeads,
} from "#toolkit/nn/index.ts";
import { tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";

beforeAll(async () => {
  await useEngine("wasm");
});

function draw(seed: number, shape: number[]): tf.Tensor {
  return tf.tensor(
    normalValues(
      hostRandom(seed),
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
  );
}

/** Largest difference between the tape's gradient of f at x and central differences, relative to the gradient. */
function gradientError(f: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor): number {
  const { grads } = valueAndGrads(({ x: at }: { x: tf.Tensor }) => f(at), { x });
  const ours = grads.x.dataSync();
  const start = x.dataSync();
  const step = 1e-2;
  let worst = 0;
  let scale = 1e-6;
  for (let i = 0; i < start.length; i++) {
    const at = (delta: number): number => {
      const moved = Float32Array.from(start);
      moved[i]! += delta;
      return f(tf.tensor(moved, x.shape)).dataSync()[0]!;
    };
    const numeric = (at(step) - at(-step)) / (2 * step);
    worst = Math.max(worst, Math.abs(numeric - ours[i]!));
    scale = Math.max(scale, Math.abs(numeric));
  }
  return worst / scale;
}

describe("layers", () => {
  test("linear multiplies the last axis by the transposed weight", () => {
    const y = linear(tf.tensor3d([1, 2, 3, 4], [1, 2, 2]), tf.tensor2d([1, 0, 0, 1, 1, 1], [3, 2]));
    expect(y.shape).toEqual([1, 2, 3]);
    expect([...y.dataSync()]).toEqual([1, 2, 3, 3, 4, 7]);
  });

  test("rmsNorm divides by the root of the mean square and does not subtract a mean", () => {
    const y = rmsNorm(tf.tensor2d([3, 4], [1, 2]), tf.tensor1d([1, 2]), 0).dataSync();
    expect(y[0]).toBeCloseTo(3 / Math.sqrt(12.5), 6);
    expect(y[1]).toBeCloseTo(8 / Math.sqrt(12.5), 6);
  });

  test("relu and its gradient are tfjs's own", () => {
    const x = tf.tensor1d([-2, -0.5, 0, 0.5, 3]);
    expect(relu(x).dataSync()).toEqual(tf.relu(x).dataSync());
    const gradient = (f: (x: tf.Tensor) => tf.Tensor): ArrayLike<number> =>
      tf
        .grad((v: tf.Tensor) => tf.sum(tf.square(f(v))))(x)
        .dataSync();
    expect(gradient(relu)).toEqual(gradient(tf.relu));
  });

  test("gelu and quickGelu are x times the normal distribution, and x times a sigmoid near it", () => {
    const points = [-3, -1, -0.2, 0, 0.5, 1, 2.5];
    // Φ at these points, from tables.
    const shares = [0.0013499, 0.1586553, 0.4207403, 0.5, 0.6914625, 0.8413447, 0.9937903];
    const exact = gelu(tf.tensor1d(points)).dataSync();
    const quick = quickGelu(tf.tensor1d(points)).dataSync();
    points.forEach((x, i) => {
      expect(exact[i]).toBeCloseTo(x * shares[i]!, 5);
      expect(quick[i]).toBeCloseTo(x / (1 + Math.exp(-1.702 * x)), 5);
    });
    for (const f of [gelu, quickGelu])
      expect(gradientError((x) => tf.sum(tf.square(f(x))), draw(8, [6]))).toBeLessThan(1e-2);
  });

  test("l2Normalize gives rows of length one", () => {
    const y = l2Normalize(tf.tensor2d([3, 4, 0, -2], [2, 2])).dataSync();
    for (const [i, value] of [0.6, 0.8, 0, -1].entries()) expect(y[i]).toBeCloseTo(value, 6);
    const weight = draw(4, [3, 4]);
    expect(gradientError((x) => tf.sum(tf.mul(l2Normalize(x), weight)), draw(3, [3, 4]))).toBeLessThan(1e-2);
  });

  test("layerNorm subtracts the mean", () => {
    const y = layerNorm(tf.tensor2d([1, 3], [1, 2]), tf.tensor1d([1, 1]), tf.tensor1d([0, 5]), 0).dataSync();
    expect([...y].map(Math.round)).toEqual([-1, 6]);
  });

  test("activations have their published values", () => {
    expect(geluNew(tf.scalar(1)).dataSync()[0]).toBeCloseTo(0.841192, 5);
    expect(geluNew(tf.scalar(-2)).dataSync()[0]).toBeCloseTo(-0.045402, 5);
    expect(silu(tf.scalar(1)).dataSync()[0]).toBeCloseTo(0.731059, 5);
  });

  test("attention weighs values by a softmax; masked keys get nothing", () => {
    const query = draw(1, [1, 1, 1, 2]);
    const key = draw(2, [1, 1, 3, 2]);
    const value = draw(3, [1, 1, 3, 2]);
    const bias = additiveMask(tf.tensor2d([1, 1, 0], [1, 3]));
    const [q, k, v] = [query.dataSync(), key.dataSync(), value.dataSync()];
    const scores = [0, 1].map((i) => q[0]! * k[2 * i]! + q[1]! * k[2 * i + 1]!);
    const weights = scores.map(Math.exp);
    const total = weights[0]! + weights[1]!;
    const mixed = [0, 1].map((d) => (weights[0]! * v[d]! + weights[1]! * v[2 + d]!) / total);
    const out = attend(query, key, value, bias).dataSync();
    expect(out[0]).toBeCloseTo(mixed[0]!, 5);
    expect(out[1]).toBeCloseTo(mixed[1]!, 5);
  });

  test("attention gives its heads side by side", () => {
    const [query, key, value] = [1, 2, 3].map((seed) => draw(seed, [2, 4, 3, 5])) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const weights = tf.softmax(tf.mul(tf.matMul(query, key, false, true), 0.5));
    const expected = mergeHeads(tf.matMul(weights, value)).dataSync();
    const out = attend(query, key, value, undefined, undefined, 0.5);
    expect(out.shape).toEqual([2, 3, 20]);
    for (const [index, number] of out.dataSync().entries()) expect(number).toBeCloseTo(expected[index]!, 5);
  });

  test("attention stays finite where scores are huge and where everything is masked", () => {
    const huge = tf.mul(draw(4, [1, 1, 2, 2]), 1e4);
    expect([...attend(huge, huge, huge, undefined).dataSync()].every(Number.isFinite)).toBe(true);
    const all = attend(huge, huge, huge, additiveMask(tf.zeros([1, 2])));
    expect([...all.dataSync()].every(Number.isFinite)).toBe(true);
  });

  test("the causal mask lets a query see itself and what stands before, an offset included", () => {
    const open = (queries: number, keys: number, offset: number): number[] =>
      [...causalMask(queries, keys, offset).dataSync()].map((x) => (x === 0 ? 1 : 0));
    expect(open(2, 2, 0)).toEqual([1, 0, 1, 1]);
    expect(open(2, 4, 2)).toEqual([1, 1, 1, 0, 1, 1, 1, 1]);
  });

  test("heads split and merge without loss; rows expand to a batch", () => {
    const x = draw(5, [2, 3, 8]);
    expect([...mergeHeads(splitHeads(x, 4)).dataSync()]).toEqual([...x.dataSync()]);
    expect(splitHeads(x, 4).shape).toEqual([2, 4, 3, 2]);
    const rows = draw(6, [3, 2]);
    expect([...tf.slice(expandBatch(rows, 2), [1, 0, 0], [1, 3, 2]).dataSync()]).toEqual([...rows.dataSync()]);
  });

  test.each<[string, (x: tf.Tensor) => tf.Tensor]>([
    [
      "rmsNorm",
      (x) => tf.sum(tf.mul(rmsNorm(x, tf.tensor1d([1, -2, 0.5])), tf.tensor2d([1, 2, 3, -1, 0.3, 2], [2, 3]))),
    ],
    ["geluNew", (x) => tf.sum(geluNew(x))],
    [
      "attend",
      (x) =>
        tf.sum(
          tf.square(
            attend(tf.reshape(x, [1, 1, 2, 3]), tf.reshape(x, [1, 1, 2, 3]), tf.reshape(x, [1, 1, 2, 3]), undefined),
          ),
        ),
    ],
    ["crossEntropy", (x) => crossEntropy(x, tf.tensor1d([2, 0], "int32"))],
    ["crossEntropy with an ignored label", (x) => crossEntropy(x, tf.tensor1d([-100, 1], "int32"))],
    ["klDivergence", (x) => klDivergence(tf.tensor2d([1, 2, 0, -1, 0.5, 2], [2, 3]), x, tf.tensor1d([1, 1]), 2)],
    [
      "meanSquaredError",
      (x) => meanSquaredError(tf.reshape(x, [1, 2, 3]), tf.ones([1, 2, 3]), tf.tensor2d([1, 0], [1, 2])),
    ],
    ["expandBatch", (x) => tf.sum(tf.square(tf.mul(expandBatch(x, 2), tf.tensor3d([1, 2], [2, 1, 1]))))],
  ])("the gradient of %s agrees with finite differences", (_name, f) => {
    expect(gradientError(f, draw(7, [2, 3]))).toBeLessThan(5e-3);
  });
});

describe("losses", () => {
  let logits: tf.Tensor;
  beforeAll(() => {
    logits = tf.tensor2d([1, 2, 0.5, -1, 0, 1], [2, 3]);
  });

  test("cross-entropy is the mean over labels that count", () => {
    const logSumExp = (xs: number[]): number => Math.log(xs.reduce((sum, x) => sum + Math.exp(x), 0));
    const [first, second] = [logSumExp([1, 2, 0.5]) - 2, logSumExp([-1, 0, 1]) - 1];
    expect(crossEntropy(logits, tf.tensor1d([1, 2], "int32")).dataSync()[0]).toBeCloseTo((first + second) / 2, 5);
    expect(crossEntropy(logits, tf.tensor1d([1, -100], "int32")).dataSync()[0]).toBeCloseTo(first, 5);
    expect(crossEntropy(logits, tf.tensor1d([-100, -100], "int32")).dataSync()[0]).toBe(0);
    expect(crossEntropy(tf.mul(logits, 1e4), tf.tensor1d([0, 0], "int32")).dataSync()[0]).toBeCloseTo(15000, -1);
  });

  test("a NaN among the logits is a NaN in the loss, though the maximum may pass over it", () => {
    const spoiled = tf.tensor2d([1, Number.NaN, 0.5, -1, 0, 1], [2, 3]);
    expect(crossEntropy(spoiled, tf.tensor1d([0, 1], "int32")).dataSync()[0]).toBeNaN();
    expect(klDivergence(logits, spoiled, tf.tensor1d([1, 1])).dataSync()[0]).toBeNaN();
  });

  test("KL divergence is zero between equals, grows with distance and can be scaled by T²", () => {
    const all = tf.tensor1d([1, 1]);
    expect(klDivergence(logits, logits, all).dataSync()[0]).toBeCloseTo(0, 6);
    const other = tf.tensor2d([0, 0, 0, 0, 0, 0], [2, 3]);
    const plain = klDivergence(logits, other, all, 2).dataSync()[0]!;
    expect(plain).toBeGreaterThan(0.01);
    expect(klDivergence(logits, other, all, 2, true).dataSync()[0]).toBeCloseTo(4 * plain, 6);
    expect(klDivergence(logits, other, tf.tensor1d([0, 0])).dataSync()[0]).toBe(0);
  });

  test("mean squared error counts weighted positions only", () => {
    const a = tf.tensor3d([1, 1, 5, 5], [1, 2, 2]);
    expect(meanSquaredError(a, tf.zeros([1, 2, 2]), tf.tensor2d([1, 0], [1, 2])).dataSync()[0]).toBe(1);
  });
});

describe("host randomness", () => {
  test("equal seeds give equal numbers, neighbouring seeds do not", () => {
    const take = (seed: number): number[] => Array.from({ length: 5 }, hostRandom(seed).uniform);
    expect(take(1)).toEqual(take(1));
    expect(take(1)).not.toEqual(take(2));
  });

  test("normal numbers have mean 0 and deviation 1; samples without replacement are distinct", () => {
    const values = normalValues(hostRandom(3), 20_000);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.04);
    const sample = sampleWithout(hostRandom(4), 10, 10);
    expect([...sample].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(sampleWithout(hostRandom(4), 10, 3)).toEqual(sample.slice(0, 3));
  });
});
