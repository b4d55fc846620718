// Generation on a processor encodes a few rows at a time, so that their activations stay in its cache: the ids are those
// of the whole batch at once, prompts of each row's task included. Skipped where libtensorflow is absent: no other
// engine does it.
import { describe, expect, test, vi } from "vitest";
import { createGenerator, forward, randomT5 } from "#toolkit/models/t5/index.ts";
import { hostRandom } from "#toolkit/nn/index.ts";
import { tf, useEngine } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { tinyConfig } from "../methods/tiny.ts";

// XLA compiles three pieces in seconds; a busy machine makes minutes of them.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: no encoder works on a few rows at a time");

const [rows, inputLength, maxNewTokens] = [6, 400, 4];
const numbers = hostRandom(21);
const inputIds = Int32Array.from({ length: rows * inputLength }, () => 3 + numbers.integer(37));
const attentionMask = new Int32Array(rows * inputLength).fill(1);
for (const [row, kept] of [400, 17, 250, 399, 3, 120].entries())
  for (let t = kept; t < inputLength; t++)
    [inputIds[row * inputLength + t], attentionMask[row * inputLength + t]] = [0, 0];
// Tasks that change inside a slice and between slices.
const taskIds = Int32Array.of(0, 1, 2, 0, 2, 1);
const batch = { inputIds, attentionMask, taskIds, batchSize: rows, inputLength };

/** Ids of a fresh generator on the engine in use, the rows that its encoder was built for, and what teacher forcing chooses. */
async function generate(): Promise<{ ids: number[][]; built: number[]; forced: number[][] }> {
  const random = randomT5({ ...tinyConfig, numEncoderLayers: 2, numDecoderLayers: 1, dropoutRate: 0 }, { seed: 4 });
  // A random decoder hardly looks at its input: with louder cross-attention each row has an answer of its own.
  const louder = [...random.weights].map(([name, weight]): [string, tf.Tensor] => [
    name,
    /EncDecAttention\.[qo]\./.test(name) ? tf.keep(tf.mul(weight, 100)) : weight,
  ]);
  const model = { ...random, weights: new Map(louder) };
  const parameters = { prompts: tf.mul(tf.reshape(tf.range(0, 3 * 2 * 16), [3, 2, 16]), 0.02) };
  const built: number[] = [];
  const generator = createGenerator<typeof parameters>(model, {
    maxNewTokens,
    ports: ({ prompts }, inputs) => {
      built.push(inputs.inputIds.shape[0]!);
      return { encoderPrompt: tf.gather(prompts, inputs.taskIds as tf.Tensor1D) };
    },
  });
  const ids = await generator.generate(batch, parameters);
  const labels = ids.map((row) => [...row, ...new Array<number>(maxNewTokens).fill(-100)].slice(0, maxNewTokens));
  const { logits } = forward(model, {
    inputIds: tf.tensor2d(inputIds, [rows, inputLength], "int32"),
    attentionMask: tf.tensor2d(attentionMask, [rows, inputLength], "int32"),
    labels: tf.tensor2d(labels, [rows, maxNewTokens], "int32"),
    ports: { encoderPrompt: tf.gather(parameters.prompts, tf.tensor1d(taskIds, "int32")) },
  });
  const best = (await tf.argMax(logits, -1).array()) as number[][];
  generator.dispose();
  model.dispose();
  return { ids, built, forced: ids.map((row, i) => best[i]!.slice(0, row.length)) };
}

describe.skipIf(!hasNative)("encoding a few rows at a time", () => {
  test("gives the ids of the whole batch at once, on either engine and by teacher forcing", async () => {
    await useEngine("wasm");
    const whole = await generate();
    expect(new Set(whole.built)).toEqual(new Set([rows])); // wasm takes all rows
    await useEngine("cpu");
    const sliced = await generate();
    expect(sliced.built).toContain(2); // 1024 positions are two rows of 400, and 2 divides 6
    expect(sliced.ids).toEqual(whole.ids);
    expect(sliced.forced).toEqual(sliced.ids);
    expect(new Set(whole.ids.map((row) => row.join())).size).toBeGreaterThan(1); // rows differ: an exchange would show
  });
});
