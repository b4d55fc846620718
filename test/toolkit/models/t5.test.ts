// T5: position buckets, where dropout stands, ports, generation, loading and saving. Numbers of the reference are in
// test/parity; here is what they do not show.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createGenerator,
  encode,
  forward,
  loadT5,
  parseT5Config,
  randomT5,
  saveT5,
  shiftRight,
  type T5Model,
} from "#toolkit/models/t5/index.ts";
import { relativeBias, relativeBiasAt, relativeBucket } from "#toolkit/models/t5/relative-bias.ts";
import { createPass, decoderStack, encoderStack, keysAndValues } from "#toolkit/models/t5/stack.ts";
import { t5Shapes } from "#toolkit/models/t5/weights.ts";
import { random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { relativeDifference } from "../golden.ts";
import { tinyBatch, tinyConfig, tinyT5 } from "../methods/tiny.ts";

let model: T5Model;
beforeAll(async () => {
  await useEngine("wasm");
  model = tinyT5();
});

describe("relative positions", () => {
  const encoder = { bidirectional: true, count: 32, maxDistance: 128 };
  const decoder = { bidirectional: false, count: 32, maxDistance: 128 };

  test("fall into T5's buckets: exact when near, logarithmic to the largest distance, one side each for encoders", () => {
    expect([0, -1, -7, -8, -127, -5000].map((r) => relativeBucket(r, encoder))).toEqual([0, 1, 7, 8, 15, 15]);
    expect([1, 7, 8, 127, 5000].map((r) => relativeBucket(r, encoder))).toEqual([17, 23, 24, 31, 31]);
    expect([0, -1, -15, -16, -127, -5000, 3].map((r) => relativeBucket(r, decoder))).toEqual([0, 1, 15, 16, 31, 31, 0]);
  });

  test("give a bias matrix whose rows are those of single decoding steps, at any offset", () => {
    const table = tf.tensor2d(
      Float32Array.from({ length: 64 }, (_, i) => i),
      [32, 2],
    );
    const [queries, keys, offset] = [4, 7, 3];
    const matrix = relativeBias(table, queries, keys, decoder, offset);
    expect(matrix.shape).toEqual([1, 2, queries, keys]);
    const values = matrix.arraySync() as number[][][][];
    for (let q = 0; q < queries; q++)
      for (let k = 0; k < keys; k++)
        for (let head = 0; head < 2; head++)
          expect(values[0]![head]![q]![k]).toBe(2 * relativeBucket(k - (q + offset), decoder) + head);
    const row = relativeBiasAt(table, tf.scalar(5, "int32"), keys, decoder).arraySync() as number[][][][];
    expect(row[0]![1]![0]!.slice(0, 6)).toEqual(values[0]![1]![2]!.slice(0, 6));
  });
});

describe("dropout", () => {
  test("stands exactly where T5 has it: embeddings, attention weights, inside feed-forward, every sublayer, both ends", () => {
    const shapes: string[] = [];
    const pass = {
      ...createPass(model, {}),
      dropout: (x: tf.Tensor): tf.Tensor => {
        shapes.push(x.shape.join("×"));
        return x;
      },
    };
    const [b, t, h, heads, ff] = [1, 3, tinyConfig.hiddenSize, tinyConfig.numHeads, tinyConfig.feedForwardSize];
    encoderStack(pass, tf.zeros([b, t, h]), tf.zeros([1, heads, t, t]));
    const [state, scores, inner] = [`${b}×${t}×${h}`, `${b}×${heads}×${t}×${t}`, `${b}×${t}×${ff}`];
    const encoderLayer = [scores, state, inner, state];
    expect(shapes).toEqual([state, ...encoderLayer, ...encoderLayer, state]);

    shapes.length = 0;
    const cross = keysAndValues(pass, "decoder.block.0.layer.1.EncDecAttention", tf.zeros([b, t, h]));
    decoderStack(
      pass,
      tf.zeros([b, t, h]),
      (_, own) => own,
      tf.zeros([1, heads, t, t]),
      () => cross,
      tf.zeros([1, 1, 1, t]),
    );
    const decoderLayer = [scores, state, scores, state, inner, state];
    expect(shapes).toEqual([state, ...decoderLayer, ...decoderLayer, ...decoderLayer, state]);
  });

  test("is off without a key, repeats with the same key and differs with another", () => {
    const { inputIds, attentionMask, labels } = tinyBatch();
    const logits = (seed?: number): tf.Tensor =>
      forward(model, { inputIds, attentionMask, labels, ...(seed === undefined ? {} : { key: random.key(seed) }) })
        .logits;
    expect(relativeDifference(logits(), logits())).toBe(0);
    expect(relativeDifference(logits(1), logits(1))).toBe(0);
    expect(relativeDifference(logits(1), logits())).toBeGreaterThan(1e-3);
    expect(relativeDifference(logits(1), logits(2))).toBeGreaterThan(1e-3);
  });
});

describe("forward", () => {
  test("padding changes nothing, and neither do tokens behind it", () => {
    const { labels } = tinyBatch();
    const row = [5, 9, 13];
    const one = forward(model, {
      inputIds: tf.tensor2d(row, [1, 3], "int32"),
      attentionMask: tf.ones([1, 3], "int32"),
      labels: tf.slice(labels, [0, 0], [1, 2]),
    });
    const padded = forward(model, {
      inputIds: tf.tensor2d([...row, 7, 8], [1, 5], "int32"),
      attentionMask: tf.tensor2d([1, 1, 1, 0, 0], [1, 5], "int32"),
      labels: tf.slice(labels, [0, 0], [1, 2]),
    });
    expect(relativeDifference(padded.logits, one.logits)).toBeLessThan(1e-5);
  });

  test("a label that is ignored is padding to the decoder and nothing to the loss", () => {
    const shifted = shiftRight(tf.tensor2d([4, -100, 6], [1, 3], "int32"), 0);
    expect([...shifted.dataSync()]).toEqual([0, 4, 0]);
  });

  test("a prompt of token embeddings equals those tokens in front of the text", () => {
    const { inputIds, attentionMask, labels } = tinyBatch();
    const prompt = tf.gather(model.weights.get("shared.weight")!, tf.tensor1d([21, 22], "int32"));
    const withPrompt = forward(model, { inputIds, attentionMask, labels, ports: { encoderPrompt: prompt } });
    const front = tf.tensor2d([21, 22, 21, 22, 21, 22], [3, 2], "int32");
    const asText = forward(model, {
      inputIds: tf.concat([front, inputIds], 1),
      attentionMask: tf.concat([tf.onesLike(front), attentionMask], 1),
      labels,
    });
    expect(relativeDifference(withPrompt.logits, asText.logits)).toBeLessThan(1e-6);
    expect(withPrompt.encoder.last.shape).toEqual([3, 7, 16]);
  });

  test("a decoder prompt stands before the start token and has no logits of its own", () => {
    const { inputIds, attentionMask, labels } = tinyBatch();
    const prompt = tf.mul(tf.ones([2, 16]), 0.3);
    const out = forward(model, { inputIds, attentionMask, labels, ports: { decoderPrompt: prompt } });
    expect(out.logits.shape).toEqual([3, 2, 40]);
    expect(out.decoderHiddenStates.at(-1)!.shape).toEqual([3, 4, 16]);
  });

  test("hidden states are the embeddings, every layer's output and the normed last one", () => {
    const { inputIds, attentionMask, labels } = tinyBatch();
    const out = forward(model, { inputIds, attentionMask, labels });
    expect(out.encoder.hiddenStates.length).toBe(tinyConfig.numEncoderLayers + 1);
    expect(out.decoderHiddenStates.length).toBe(tinyConfig.numDecoderLayers + 1);
    const embeddings = tf.gather(model.weights.get("shared.weight")!, inputIds as tf.Tensor2D);
    expect(relativeDifference(out.encoder.hiddenStates[0]!, embeddings)).toBe(0);
    expect(encode(model, { inputIds, attentionMask }).last.shape).toEqual([3, 5, 16]);
  });

  test("a port that names a missing weight is told", () => {
    expect(() => createPass(model, {}).weight("encoder.block.9.x")).toThrow(/no weight encoder.block.9.x/);
  });
});

describe("generation", () => {
  const batch = {
    inputIds: Int32Array.of(5, 9, 13, 1, 7, 3, 1, 0),
    attentionMask: Int32Array.of(1, 1, 1, 1, 1, 1, 1, 0),
    batchSize: 2,
    inputLength: 4,
  };

  test("beam search never scores below greedy, and one beam is greedy", async () => {
    const score = async (rows: readonly number[][]): Promise<number[]> => {
      const length = 5;
      const labels = rows.map((row) => [...row, ...new Array<number>(length).fill(-100)].slice(0, length));
      return Promise.all(
        labels.map(async (row, i) => {
          const inputIds = tf.tensor2d(batch.inputIds.slice(4 * i, 4 * i + 4), [1, 4], "int32");
          const attentionMask = tf.tensor2d(batch.attentionMask.slice(4 * i, 4 * i + 4), [1, 4], "int32");
          const { loss } = forward(model, {
            inputIds,
            attentionMask,
            labels: tf.tensor2d([row], [1, length], "int32"),
          });
          return -(await loss.data())[0]!;
        }),
      );
    };
    const run = async (numBeams: number): Promise<number[][]> => {
      const generator = createGenerator(model, { maxNewTokens: 5, numBeams });
      const rows = await generator.generate(batch, {});
      generator.dispose();
      return rows;
    };
    const greedy = await run(1);
    const [greedyScores, beamScores] = [await score(greedy), await score(await run(4))];
    for (const [i, value] of beamScores.entries()) expect(value).toBeGreaterThanOrEqual(greedyScores[i]! - 1e-5);
  });

  test("frees what it allocates", async () => {
    const generator = createGenerator(model, { maxNewTokens: 3 });
    await generator.generate(batch, {});
    const before = tf.memory().numTensors;
    await generator.generate(batch, {});
    expect(tf.memory().numTensors).toBe(before);
    generator.dispose();
  });

  test("names all options out of range at once", () => {
    expect(() => createGenerator(model, { maxNewTokens: 0, numBeams: 1000, lengthPenalty: Number.NaN })).toThrow(
      /maxNewTokens must be at least 1, not 0; numBeams must be 1 to 64, not 1000; lengthPenalty/,
    );
  });
});

describe("shapes and files", () => {
  const sizes = {
    "t5-small": [{ d_model: 512, d_ff: 2048, num_layers: 6, num_heads: 8 }, 60_506_624],
    "t5-base": [{ d_model: 768, d_ff: 3072, num_layers: 12, num_heads: 12 }, 222_903_552],
    "t5-large": [{ d_model: 1024, d_ff: 4096, num_layers: 24, num_heads: 16 }, 737_668_096],
    "t5-3b": [{ d_model: 1024, d_ff: 16384, d_kv: 128, num_layers: 24, num_heads: 32 }, 2_851_598_336],
    "v1.1-small": [
      { d_model: 512, d_ff: 1024, num_layers: 8, num_heads: 6, feed_forward_proj: "gated-gelu" },
      76_961_152,
    ],
    "v1.1-base": [
      { d_model: 768, d_ff: 2048, num_layers: 12, num_heads: 12, feed_forward_proj: "gated-gelu" },
      247_577_856,
    ],
    "v1.1-xl": [
      { d_model: 2048, d_ff: 5120, num_layers: 24, num_heads: 32, feed_forward_proj: "gated-gelu" },
      2_849_757_184,
    ],
  } as const;
  test.each(Object.entries(sizes))("%s has the published number of parameters", (_name, [fields, published]) => {
    const config = parseT5Config({ model_type: "t5", ...fields });
    let count = config.gated ? config.vocabSize * config.hiddenSize : 0;
    for (const shape of t5Shapes(config).values()) count += shape.reduce((product, n) => product * n, 1);
    expect(count).toBe(published);
  });

  test("a saved model loads with the same answers, tied or not", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bunsen-t5-"));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    const { inputIds, attentionMask, labels } = tinyBatch();
    for (const tied of [true, false]) {
      const config = {
        ...tinyConfig,
        gated: !tied,
        activation: tied ? "relu" : "gelu_new",
        scaleDecoderOutputs: tied,
      } as const;
      const original = randomT5(config, { seed: 8, tied });
      await saveT5(original, join(folder, String(tied)));
      const loaded = loadT5(join(folder, String(tied)));
      expect(loaded.config).toEqual(config);
      const [a, b] = [original, loaded].map((m) => forward(m, { inputIds, attentionMask, labels }).logits);
      expect(relativeDifference(a!, b!)).toBe(0);
      loaded.dispose();
    }
  });
});
