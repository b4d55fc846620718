// A tiny random T5 and a batch for the tests of methods: made here, no file needed.

import type { InitContext } from "#toolkit/methods/index.ts";
import { parseT5Config, randomT5, type T5Config, type T5Model } from "#toolkit/models/t5/index.ts";
import { tf } from "#toolkit/tensor/index.ts";

export const tinyConfig: T5Config = parseT5Config({
  model_type: "t5",
  vocab_size: 40,
  d_model: 16,
  d_kv: 8,
  num_heads: 2,
  d_ff: 24,
  num_layers: 2,
  num_decoder_layers: 3,
  relative_attention_num_buckets: 8,
  relative_attention_max_distance: 16,
});

export function tinyT5(seed = 3): T5Model {
  return randomT5(tinyConfig, { seed, name: "tiny-random-t5" });
}

export interface TinyBatch {
  readonly inputIds: tf.Tensor;
  readonly attentionMask: tf.Tensor;
  readonly labels: tf.Tensor;
  readonly taskIds: tf.Tensor;
}

/** Three rows of two tasks, with padding and ignored labels. */
export function tinyBatch(): TinyBatch {
  return {
    inputIds: tf.tensor2d([5, 9, 13, 2, 1, 7, 3, 1, 0, 0, 30, 31, 8, 1, 0], [3, 5], "int32"),
    attentionMask: tf.tensor2d([1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0], [3, 5], "int32"),
    labels: tf.tensor2d([4, 1, 6, 1, 11, -100], [3, 2], "int32"),
    taskIds: tf.tensor1d([0, 1, 0], "int32"),
  };
}

export function tinyContext(model: T5Model, numTasks: number, seed = 1): InitContext {
  const tasks = Array.from({ length: numTasks }, (_, i) => `task-${i}`);
  return {
    backbone: model.backbone,
    numTasks,
    seed,
    tasks,
    textIds: [5, 6, 7, 1],
    labelIds: [
      [8, 1],
      [9, 1],
    ],
  };
}
