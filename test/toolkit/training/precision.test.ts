// Every method trained a few steps in bf16 on the compiling engine, backbone stored as bf16, against the same steps in
// float32 on wasm: the losses stay close. Not a test of quality. Skipped where libtensorflow is absent: wasm knows no bf16.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type MethodName, methods } from "#toolkit/methods/index.ts";
import { loadT5, randomT5, saveT5 } from "#toolkit/models/t5/index.ts";
import { adamw, type Named } from "#toolkit/nn/index.ts";
import { disposeTree, keepTree, type Precision, random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { createStep, type TrainState, takeStep } from "#toolkit/training/step.ts";
import { names, startMethod } from "../methods/rows.ts";
import { tinyBatch, tinyConfig } from "../methods/tiny.ts";

// XLA compiles each of these in a second or two; a busy machine makes a minute of them.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: no method is trained in bf16");

const root = mkdtempSync(join(tmpdir(), "bunsen-precision-"));
const steps = 4;
/** bf16 has 8 bits: a rounding is up to 0.4 %, and a tiny model's loss is a mean over five tokens only. */
const tolerance = 2e-2;

/** Losses of the same few steps, all on one batch. */
async function losses(name: MethodName, engine: "wasm" | "cpu", precision: Precision): Promise<number[]> {
  await useEngine(engine);
  const folder = join(root, name === "adapter-drop" ? "two" : "one");
  const model = loadT5(folder, { store: precision === "bf16" ? "bf16" : "f32" });
  const method = methods[name];
  const { options, parameters } = startMethod(name, model, 2);
  const trained = ([parameter]: readonly [string, tf.Tensor]): boolean => method.group(parameter, options) !== null;
  const trainable = Object.fromEntries(Object.entries(parameters).filter(trained)) as Named;
  const frozen = Object.fromEntries(Object.entries(parameters).filter((entry) => !trained(entry)));
  const groups = Object.keys(method.learningRates);
  const optimizer = adamw({ weightDecay: 0 });
  const step = createStep({ model, method, options, frozen, optimizer, clipNorm: 1, groups, precision });
  let state: TrainState = { parameters: trainable, optimizer: tf.tidy(() => keepTree(optimizer.init(trainable))) };
  const batch = tinyBatch();
  const rates = tf.tensor1d(groups.map((group) => Math.min(0.03, method.learningRates[group]!)));
  const out: number[] = [];
  for (let at = 0; at < steps; at++) {
    const key = random.key(at);
    const result = await takeStep(step, state, { ...batch }, key, rates);
    state = result.state;
    out.push((await result.numbers.loss!.data())[0]!);
    disposeTree([key, result.numbers as never]);
  }
  step.dispose();
  disposeTree([state as never, frozen, rates, ...Object.values(batch)]);
  model.dispose();
  return out;
}

describe.skipIf(!hasNative)("a few steps in bf16 have the losses of float32", () => {
  beforeAll(async () => {
    await useEngine("wasm");
    // As few layers as show every kind of sublayer; one method leaves the first out.
    for (const [folder, numEncoderLayers] of [
      ["one", 1],
      ["two", 2],
    ] as const) {
      const config = { ...tinyConfig, numEncoderLayers, numDecoderLayers: 1, dropoutRate: 0 };
      const model = randomT5(config, { seed: 3 });
      await saveT5(model, join(root, folder));
      model.dispose();
    }
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test.each(names)("%s", async (name) => {
    const wide = await losses(name, "wasm", "f32");
    const narrow = await losses(name, "cpu", "bf16");
    for (const [at, loss] of narrow.entries())
      expect(Math.abs(loss - wide[at]!) / wide[at]!, `step ${at + 1}`).toBeLessThan(tolerance);
    // It did train, and it did round.
    expect(narrow.at(-1)!).toBeLessThan(narrow[0]!);
    expect(narrow).not.toEqual(wide);
    if (process.env.BUNSEN_TEST_VERBOSE) console.log(name, wide, narrow);
  });
});
