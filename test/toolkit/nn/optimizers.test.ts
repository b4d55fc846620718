// Optimisers, clipping and schedules against values worked out by hand; torch itself is asked in test/conformance.
import { beforeAll, describe, expect, test } from "vitest";
import {
  adafactor,
  adamw,
  clipByGlobalNorm,
  globalNorm,
  type Optimizer,
  scheduleFactor,
  sgd,
} from "#toolkit/nn/index.ts";
import { compile, disposeTree, tf, useEngine } from "#toolkit/tensor/index.ts";

beforeAll(async () => {
  await useEngine("wasm");
});

function steps(optimizer: Optimizer, gradients: readonly number[], rate = 0.1): number {
  let parameters: Readonly<Record<string, tf.Tensor>> = { p: tf.tensor1d([1]) };
  let state = optimizer.init(parameters);
  for (const gradient of gradients)
    ({ parameters, state } = optimizer.update({ p: tf.tensor1d([gradient]) }, state, parameters, () =>
      tf.scalar(rate),
    ));
  return parameters.p!.dataSync()[0]!;
}

describe("optimisers", () => {
  test("AdamW's first step has the size of the rate, after the decay", () => {
    expect(steps(adamw({ weightDecay: 0 }), [0.3])).toBeCloseTo(0.9, 5);
    expect(steps(adamw({ weightDecay: 0.5 }), [0.3])).toBeCloseTo(0.95 - 0.1, 5);
  });

  test("AdamW's second step follows its bias-corrected moments", () => {
    const [g1, g2, b1, b2] = [0.3, -0.2, 0.9, 0.999];
    const m = b1 * (1 - b1) * g1 + (1 - b1) * g2;
    const v = b2 * (1 - b2) * g1 ** 2 + (1 - b2) * g2 ** 2;
    const expected = 0.9 - (0.1 * (m / (1 - b1 ** 2))) / (Math.sqrt(v / (1 - b2 ** 2)) + 1e-8);
    expect(steps(adamw({ weightDecay: 0 }), [g1, g2])).toBeCloseTo(expected, 5);
  });

  test("weight decay can differ by name, and a parameter without a gradient stays", () => {
    const optimizer = adamw({ weightDecay: (name) => (name === "a" ? 1 : 0) });
    const parameters = { a: tf.tensor1d([1]), b: tf.tensor1d([1]), still: tf.tensor1d([1]) };
    const gradients = { a: tf.tensor1d([0]), b: tf.tensor1d([0]) };
    const { parameters: after } = optimizer.update(gradients, optimizer.init(parameters), parameters, () =>
      tf.scalar(0.1),
    );
    expect(Object.values(after).map((tensor) => tensor.dataSync()[0])).toEqual([expect.closeTo(0.9, 6), 1, 1]);
  });

  test("SGD with momentum gathers speed", () => {
    expect(steps(sgd(), [1, 1])).toBeCloseTo(0.8, 6);
    expect(steps(sgd({ momentum: 0.9 }), [1, 1])).toBeCloseTo(1 - 0.1 - 0.19, 6);
    expect(steps(sgd({ weightDecay: 0.5 }), [1])).toBeCloseTo(1 - 0.15, 6);
  });

  test("Adafactor keeps a row and a column of a matrix, and its first update has the size of the rate", () => {
    const optimizer = adafactor();
    const parameters = { matrix: tf.ones([3, 4]), vector: tf.ones([5]) };
    const state = optimizer.init(parameters);
    const row = state.row as Record<string, tf.Tensor>;
    const column = state.column as Record<string, tf.Tensor>;
    const full = state.full as Record<string, tf.Tensor>;
    expect([row.matrix!.shape, column.matrix!.shape, full.vector!.shape]).toEqual([[3], [4], [5]]);
    expect(Object.keys({ ...row, ...column })).not.toContain("vector");
    const gradients = { matrix: tf.fill([3, 4], 0.2), vector: tf.fill([5], -0.2) };
    const { parameters: after } = optimizer.update(gradients, state, parameters, () => tf.scalar(0.1));
    expect(after.matrix!.dataSync()[0]).toBeCloseTo(0.9, 4);
    expect(after.vector!.dataSync()[0]).toBeCloseTo(1.1, 4);
  });

  test.each([adamw(), sgd({ momentum: 0.9 }), adafactor()])(
    "$name runs as a compiled step with its rate as an argument",
    async (optimizer) => {
      const parameters = { p: tf.ones([2, 2]) };
      const step = compile((p: Record<string, tf.Tensor>, state: ReturnType<Optimizer["init"]>, rate: tf.Tensor) => {
        const updated = optimizer.update({ p: tf.ones([2, 2]) }, state as ReturnType<Optimizer["init"]>, p, () => rate);
        return { parameters: updated.parameters, state: updated.state };
      });
      const state = optimizer.init(parameters);
      const small = await step(parameters, state, tf.scalar(0.01));
      const large = await step(parameters, state, tf.scalar(0.1));
      expect(small.parameters.p!.dataSync()[0]).toBeGreaterThan(large.parameters.p!.dataSync()[0]!);
      expect(step.stats.executables).toBe(1);
      disposeTree([small, large] as never);
    },
  );
});

describe("clipping", () => {
  test("scales all gradients by one factor when their common norm is too large", () => {
    const gradients = { a: tf.tensor1d([3]), b: tf.tensor2d([4], [1, 1]) };
    expect(globalNorm(gradients).dataSync()[0]).toBeCloseTo(5, 6);
    const clipped = clipByGlobalNorm(gradients, 1);
    expect(clipped.gradients.a!.dataSync()[0]).toBeCloseTo(0.6, 5);
    expect(clipped.gradients.b!.dataSync()[0]).toBeCloseTo(0.8, 5);
    expect(clipByGlobalNorm(gradients, 10).gradients.a!.dataSync()[0]).toBe(3);
  });
});

describe("schedules", () => {
  const at = (name: "linear" | "cosine" | "constant", step: number, warmup = 2): number =>
    scheduleFactor({ name, totalSteps: 10, warmup }, step);
  test("warm up from zero to one, then go down to zero or stay", () => {
    expect([0, 1, 2, 6, 10, 99].map((step) => at("linear", step))).toEqual([0, 0.5, 1, 0.5, 0, 0]);
    expect([0, 1, 2, 9].map((step) => at("constant", step))).toEqual([0, 0.5, 1, 1]);
    expect(at("cosine", 6)).toBeCloseTo(0.5, 12);
    expect(at("cosine", 10)).toBeCloseTo(0, 12);
  });
  test("a warm-up below one is a share of all steps", () => {
    expect(at("linear", 1, 0.2)).toBe(0.5);
    expect(at("linear", 0, 0)).toBe(1);
  });
});
