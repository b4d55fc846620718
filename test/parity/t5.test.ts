// T5 against transformers: loss, logits, last hidden states and greedy ids of every golden case.
import { join } from "node:path";
import { beforeAll, describe, expect } from "vitest";
import { createGenerator, forward, loadT5 } from "#toolkit/models/t5/index.ts";
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

  goldenTest("generates the reference's greedy ids with a cache", async () => {
    const model = loadT5(join(golden, name));
    const io = goldenTensors(name);
    const [batchSize, inputLength] = io.input_ids!.shape as [number, number];
    const generator = createGenerator(model, { maxNewTokens: 8 });
    const rows = await generator.generate(
      {
        inputIds: io.input_ids!.dataSync() as Int32Array,
        attentionMask: io.attention_mask!.dataSync() as Int32Array,
        batchSize,
        inputLength,
      },
      {},
    );
    const reference = (await io.generated!.array()) as number[][];
    const length = reference[0]!.length;
    const padded = rows.map((row) => [0, ...row, ...new Array<number>(length).fill(0)].slice(0, length));
    expect(padded).toEqual(reference);
    generator.dispose();
    model.dispose();
  });
});
