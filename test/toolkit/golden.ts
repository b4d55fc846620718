// The golden numbers for tests: where they lie, how tensors are read from them, and what "equal" means.
// Where the folder is absent, `goldenTest` skips with a line that says so.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { hostRandom, normalValues } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import { openSafetensors, toTensor } from "#toolkit/weights/index.ts";

export const golden: string = join(
  process.env.BUNSEN_SHARED ?? resolve(import.meta.dirname, "../../../shared"),
  "data/golden",
);

/** A test that needs the golden folder. */
export const goldenTest: typeof test = existsSync(golden) ? test : (test.skip as typeof test);
if (!existsSync(golden)) console.info(`skipping reference tests: no folder ${golden} (set BUNSEN_SHARED)`);

/** All tensors of golden/<name>/io.safetensors. */
export function goldenTensors(name: string): Record<string, tf.Tensor> {
  const file = openSafetensors(join(golden, name, "io.safetensors"));
  return Object.fromEntries([...file.tensors.keys()].map((tensor) => [tensor, toTensor(file.read(tensor))]));
}

/** max|a − b| / max|b|: what must be at most 1e-4. Infinity where shapes differ or a value is no number. */
export function relativeDifference(a: tf.Tensor, b: tf.Tensor): number {
  if (a.shape.join() !== b.shape.join()) return Number.POSITIVE_INFINITY;
  const [x, y] = [a.dataSync(), b.dataSync()];
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < y.length; i++) {
    const d = Math.abs(x[i]! - y[i]!);
    if (!(d >= 0)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, d);
    scale = Math.max(scale, Math.abs(y[i]!));
  }
  return difference / scale;
}

/** Random values of a shape with deviation ½: stands for trained parameters. */
export function parametersLike(shape: number[], seed: number): tf.Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return tf.tensor(normalValues(hostRandom(seed), size, 0.5), shape);
}

/** Gradients that are nought by mathematics: a bias of keys adds the same to every score of a query, which a softmax cancels. */
const vanishes = /\.k(_proj)?\.bias$/;

/**
 * Expects two trees of gradients (or losses) to be equal: max|a − b| ≤ 1e-4 · max|b| for each tensor. Where the true
 * gradient is nought, both sides hold rounding noise and there is nothing to be relative to: there, both must be
 * below 1e-6 of the largest gradient of all.
 */
export function expectGradients(ours: Record<string, tf.Tensor>, theirs: Record<string, tf.Tensor>): void {
  expect(Object.keys(ours)).toEqual(Object.keys(theirs));
  const size = (x: tf.Tensor): number =>
    (x.dataSync() as Float32Array).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const largest = Math.max(...Object.values(theirs).map(size));
  for (const [name, reference] of Object.entries(theirs)) {
    if (vanishes.test(name))
      for (const side of [ours[name]!, reference]) expect(size(side), name).toBeLessThanOrEqual(1e-6 * largest);
    else expect(relativeDifference(ours[name]!, reference), name).toBeLessThanOrEqual(1e-4);
  }
}
