// DePT: a shorter prompt, and a low-rank update of the frozen input embeddings, within one parameter budget.
//
// From the paper and its code (Shi and Lipani, ICLR 2024): m prompt rows, A [s, r] · B [r, H] added to the first s
// positions' embeddings, two learning rates, budget m·H + r·(s + H) equal to that of 100 prompt rows ((m, r) = (40,
// 45), (60, 30) or (80, 15) at s = 256, H = 768). Our own reading: B starts at zero and A from N(0, 0.02), so that
// training begins at the frozen embeddings; positions beyond s are left as they are; names of the tensors.
import { tf } from "#toolkit/tensor/index.ts";
import type { Method } from "./contract.ts";
import { initPrompt, normalTensor, type PromptInit, promptInitField } from "./initialisers.ts";
import { defaultsOf, type Fields, promptLength } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { expectTensors } from "./tensors.ts";

export type DeptOptions = {
  numVirtualTokens: number;
  rank: number;
  /** s: positions of the input that are updated. */
  maxLength: number;
  init: PromptInit;
};

const fields: Fields<DeptOptions> = {
  numVirtualTokens: { ...promptLength, default: 60 } as typeof promptLength,
  rank: { kind: "integer", default: 30, min: 1, max: 1024, about: "rank r of the embeddings' update" },
  maxLength: { kind: "integer", default: 256, min: 1, max: 8192, about: "input positions s that are updated" },
  init: promptInitField,
};

export const dept: Method<DeptOptions> = {
  name: "dept",
  title: "DePT",
  source: "Shi and Lipani, DePT: Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning (ICLR 2024)",
  defaults: defaultsOf(fields),
  fields,
  check: ({ rank }, backbone) =>
    backbone === null || rank <= backbone.hiddenSize
      ? []
      : [`rank must be at most the backbone's width ${backbone.hiddenSize}, not ${rank}`],
  init(options, context) {
    return {
      prompt_embeddings: initPrompt(options.init, options.numVirtualTokens, context),
      lora_embedding_A: normalTensor(context.seed * 1009 + 37, [options.maxLength, options.rank], 0.02),
      lora_embedding_B: tf.zeros([options.rank, context.backbone.hiddenSize]),
    };
  },
  group: (name) => (name === "prompt_embeddings" ? "prompt" : "lowRank"),
  learningRates: { prompt: 0.3, lowRank: 5e-4 },
  ports(parameters) {
    const a = required(parameters, "lora_embedding_A") as tf.Tensor2D;
    const b = required(parameters, "lora_embedding_B") as tf.Tensor2D;
    return {
      encoderPrompt: required(parameters, "prompt_embeddings"),
      encoderEmbeddings(embeddings) {
        const length = embeddings.shape[1]!;
        const covered = Math.min(length, a.shape[0]);
        const update = tf.matMul(tf.slice(a, [0, 0], [covered, -1]), b);
        const whole =
          covered === length
            ? update
            : tf.pad(update, [
                [0, length - covered],
                [0, 0],
              ]);
        return tf.add(embeddings, whole);
      },
    };
  },
  countParameters: (options, backbone, tasks) =>
    (options.numVirtualTokens * backbone.hiddenSize + options.rank * (options.maxLength + backbone.hiddenSize)) / tasks,
  toFile: (parameters, options) => ({ config: ownConfig("dept", options), tensors: parameters }),
  fromFile(config, tensors) {
    const options = ownOptions(config, "dept", dept.defaults);
    const width = tensors.prompt_embeddings?.shape[1] ?? null;
    const parameters = expectTensors(tensors, {
      prompt_embeddings: [options.numVirtualTokens, width],
      lora_embedding_A: [options.maxLength, options.rank],
      lora_embedding_B: [options.rank, width],
    });
    return { options, parameters };
  },
};
