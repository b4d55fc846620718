// The golden numbers for tests: where they lie, how tensors are read from them, and what "equal" means.
// Where the folder is absent, `goldenTest` skips with a line that says so.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "vitest";
import type { tf } from "#toolkit/tensor/index.ts";
import { openSafetensors, toTensor } from "#toolkit/weights/index.ts";

export const golden: string = join(
  process.env.BUNSEN_SHARED ?? resolve(import.meta.dirname, "../../../shared"),
  "data/golden",
);

/** A test that needs the golden folder. */
export const goldenTest: typeof test.skip = existsSync(golden) ? test : test.skip;
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
