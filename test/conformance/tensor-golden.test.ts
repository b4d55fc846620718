// The golden models through `compile`: what XLA makes of T5's forward and backward equals the reference's numbers, in
// float32 and in bf16, and equals the same function run eagerly. Skipped where libtensorflow or the files are absent.
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { forward, loadT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { compile, type TensorTree, tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { golden, goldenTensors, goldenTest, relativeDifference } from "../toolkit/golden.ts";

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: the golden files are not compiled");

type Io = Record<string, tf.Tensor>;

/** Loss, logits and hidden states, and the gradient of a prompt in front of the input. */
const step = (model: T5Model) => (io: { ids: tf.Tensor; mask: tf.Tensor; labels: tf.Tensor; prompt: tf.Tensor }) => {
  const inputs = { inputIds: io.ids, attentionMask: io.mask, labels: io.labels };
  const plain = forward(model, inputs);
  const { value, grads } = valueAndGrads(
    (prompt: tf.Tensor) => forward(model, { ...inputs, ports: { encoderPrompt: prompt } }).loss,
    io.prompt,
  );
  return {
    loss: plain.loss,
    logits: plain.logits,
    encoder: plain.encoder.last,
    decoder: plain.decoderHiddenStates.at(-1)!,
    prompted: value,
    gradient: grads,
  };
};

beforeAll(async () => {
  if (hasNative) await useEngine("cpu");
});

describe.skipIf(!hasNative).each(["t5-tiny", "t5-v1_1-random", "t5-long-random"])("%s, compiled", (name) => {
  const inputsOf = (io: Io, model: T5Model) => ({
    ids: io.input_ids!,
    mask: io.attention_mask!,
    labels: io.labels!,
    prompt: tf.slice(model.weights.get("shared.weight")!, [3, 0], [4, -1]),
  });
  const expected = (io: Io): Record<string, tf.Tensor> => ({
    loss: io.loss!,
    logits: io.logits!,
    encoder: io.encoder_last!,
    decoder: io.decoder_last!,
  });

  goldenTest("equals the reference in f32 to 1e-4, and the same function run eagerly", async () => {
    const model = loadT5(join(golden, name));
    const io = goldenTensors(name);
    const compiled = compile(step(model), { name });
    const out = (await compiled(inputsOf(io, model))) as unknown as Record<string, tf.Tensor>;
    for (const [part, reference] of Object.entries(expected(io)))
      expect(relativeDifference(out[part]!, reference), part).toBeLessThan(1e-4);
    const eager = tf.tidy(() => step(model)(inputsOf(io, model)) as unknown as tf.TensorContainer) as unknown as Record<
      string,
      tf.Tensor
    >;
    for (const part of ["prompted", "gradient"])
      expect(relativeDifference(out[part]!, eager[part]!), part).toBeLessThan(1e-4);
    model.dispose();
  });

  goldenTest("equals the reference in bf16 to 2e-2, with weights stored as bf16", async () => {
    const model = loadT5(join(golden, name), { store: "bf16" });
    const io = goldenTensors(name);
    const compiled = compile(step(model) as unknown as (io: TensorTree) => TensorTree, { name, precision: "bf16" });
    const out = (await compiled(inputsOf(io, model))) as unknown as Record<string, tf.Tensor>;
    for (const [part, reference] of Object.entries(expected(io)))
      expect(relativeDifference(out[part]!, reference), part).toBeLessThan(2e-2);
    model.dispose();
  });
});
