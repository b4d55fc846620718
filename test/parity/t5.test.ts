// T5 against transformers: loss, logits, last hidden states and greedy ids of every golden case.
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { forward } from "#toolkit/models/t5/model.ts";
import { loadT5 } from "#toolkit/models/t5/weights.ts";
import { tf, useEngine } from "#toolkit/tensor/index.ts";
import { golden, goldenTensors, goldenTest, relativeDifference } from "../toolkit/golden.ts";

beforeAll(async () => {
  await useEngine("wasm");
});

describe.each(["t5-tiny", "t5-v1_1-random", "t5-long-random"])("%s", (name) => {
  goldenTest("gives the reference's loss, logits and hidden states", () => {
    const model = loadT5(join(golden, name));
    const io = goldenTensors(name);
    const out = forward(model, { inputIds: io.input_ids!, attentionMask: io.attention_mask!, labels: io.labels! });
    const pairs: [tf.Tensor, tf.Tensor][] = [
      [out.loss, io.loss!],
      [out.logits, io.logits!],
      [out.encoder.last, io.encoder_last!],
      [out.decoderHiddenStates.at(-1)!, io.decoder_last!],
    ];
    for (const [ours, theirs] of pairs) expect(relativeDifference(ours, theirs)).toBeLessThan(1e-4);
    // The comparison itself must be able to fail.
    for (const [ours, theirs] of pairs) expect(relativeDifference(tf.zerosLike(ours), theirs)).toBe(1);
    model.dispose();
  });
});
