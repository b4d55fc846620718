// A step's three programs: what is compiled when, and that the update compiled in advance is the very update. What the
// parts of a step add up to is in parts.test.ts.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { methods } from "#toolkit/methods/index.ts";
import { randomT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { adamw, type Named } from "#toolkit/nn/index.ts";
import { disposeTree, keepTree, random, tf, treeLeaves, useEngine } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { type BatchTensors, createStep, type Step, type TrainState, takeStep } from "#toolkit/training/step.ts";
import { startMethod } from "../methods/rows.ts";
import { tinyBatch } from "../methods/tiny.ts";
import { tinyT5 } from "./tiny-config.ts";

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: no step is compiled");

const method = methods.mpt;
const groups = Object.keys(method.learningRates);

function prepared(model: T5Model, name: "mpt" | "full-fine-tuning" = "mpt"): { step: Step; state: TrainState } {
  const method = methods[name];
  const groups = Object.keys(method.learningRates);
  const { options, parameters } = startMethod(name, model, 2);
  const optimizer = adamw();
  const step = createStep({ model, method, options, frozen: {}, optimizer, clipNorm: 1, groups, precision: "f32" });
  const trainable = parameters as Named;
  return { step, state: { parameters: trainable, optimizer: tf.tidy(() => keepTree(optimizer.init(trainable))) } };
}

/** The batch with so many more columns of padding. */
function padded(batch: BatchTensors, columns: number): BatchTensors {
  const right: [[number, number], [number, number]] = [
    [0, 0],
    [0, columns],
  ];
  const wider = (x: tf.Tensor): tf.Tensor => tf.pad2d(x as tf.Tensor2D, right);
  return { ...batch, inputIds: wider(batch.inputIds), attentionMask: wider(batch.attentionMask) };
}

describe.skipIf(!hasNative)("a compiled step", () => {
  let model: T5Model;
  beforeAll(async () => {
    await useEngine("cpu");
    model = randomT5({ ...tinyT5, vocabSize: 64 }, { seed: 3 });
  });
  afterAll(() => model.dispose());

  it("compiles one update for all input lengths", async () => {
    const { step, state: first } = prepared(model);
    const rates = tf.fill([groups.length], 0.1);
    let state = first;
    for (const columns of [0, 4, 0, 8]) {
      const key = random.key(columns);
      const out = await takeStep(step, state, padded(tinyBatch(), columns), key, rates);
      state = out.state;
      disposeTree([key, out.numbers as never]);
    }
    expect(step.stats.gradients).toMatchObject({ executables: 3, calls: 4 });
    expect(step.stats.update).toMatchObject({ executables: 1, calls: 4 });
    step.dispose();
    disposeTree([state as never, rates]);
  });

  it("compiles the update of many tensors, and runs that of a prompt op by op", async () => {
    for (const name of ["mpt", "full-fine-tuning"] as const) {
      const { step, state } = prepared(model, name);
      const rates = tf.fill([Object.keys(methods[name].learningRates).length], 0.1);
      const key = random.key(1);
      const batch = tinyBatch();
      const out = await takeStep(step, state, batch, key, rates);
      expect(step.stats.update).toMatchObject({ executables: 1, calls: 1 });
      expect(step.stats.update.compileMs > 0).toBe(name === "full-fine-tuning");
      step.dispose();
      disposeTree([out.state as never, out.numbers as never, key, rates, ...Object.values(batch)]);
    }
  });

  it("has compiled the update when the first gradients are there, and leaves nothing behind", async () => {
    const { step, state } = prepared(model);
    const batch = tinyBatch();
    const key = random.key(1);
    const shares = tf.ones([3]);
    const before = tf.memory().numTensors;
    const out = await step.gradients(state.parameters, batch, key, shares);
    const rates = tf.fill([groups.length], 0.1);
    expect(step.stats.update.calls).toBe(0);
    const updated = await step.update(state, out.gradients, rates);
    // One signature: the call took the program that was made in advance.
    expect(step.stats.update).toMatchObject({ executables: 1, calls: 1 });
    const fresh = treeLeaves([updated.state as never, updated.numbers as never, out as never, rates]).length;
    // The old state was consumed.
    const consumed = treeLeaves(state as never).length;
    expect(tf.memory().numTensors - before).toBe(fresh - consumed);
    step.dispose();
    disposeTree([updated as never, out as never, rates, key, shares, ...Object.values(batch)]);
  });

  it("survives a state that is gone before the update was compiled", async () => {
    const { step, state } = prepared(model);
    const batch = tinyBatch();
    const key = random.key(1);
    const shares = tf.ones([3]);
    const gradients = step.gradients(state.parameters, batch, key, shares);
    step.dispose();
    disposeTree(state as never);
    await expect(gradients).rejects.toThrow();
    disposeTree([key, shares, ...Object.values(batch)]);
  });
});
