// Vanilla prompt tuning: P rows in front of the encoder's input embeddings, trained alone.
//
// From the paper (Lester et al., EMNLP 2021, section 3): the prompt, its starts (random, vocabulary, class labels).
// From public code: U(−0.5, 0.5) and the 5,000 most frequent tokens (google-research/prompt-tuning), the start from a
// text (PEFT), learning rate 0.3 with AdamW at P = 100 (ATTEMPT's baseline, which MPT compares with).
// With several tasks one prompt serves all of them.

import { tf } from "#toolkit/tensor/index.ts";
import type { Method } from "./contract.ts";
import { initPrompt, type PromptInit, promptInitField } from "./initialisers.ts";
import { defaultsOf, type Fields, promptLength } from "./options.ts";
import { configInteger, expectType, peftConfig, peftSizes } from "./peft-config.ts";
import { expectTensors } from "./tensors.ts";

export type PromptTuningOptions = {
  numVirtualTokens: number;
  init: PromptInit;
};

export const promptTuningFields: Fields<PromptTuningOptions> = {
  numVirtualTokens: promptLength,
  init: promptInitField,
};

export const promptTuning: Method<PromptTuningOptions> = {
  name: "prompt-tuning",
  title: "Prompt tuning",
  source: "Lester et al., The Power of Scale for Parameter-Efficient Prompt Tuning (EMNLP 2021), section 3",
  peftType: "PROMPT_TUNING",
  defaults: defaultsOf(promptTuningFields),
  fields: promptTuningFields,
  init(options, context) {
    return { prompt_embeddings: initPrompt(options.init, options.numVirtualTokens, context) };
  },
  group: () => "prompt",
  learningRates: { prompt: 0.3 },
  ports: (parameters) => ({ encoderPrompt: parameters.prompt_embeddings! }),
  countParameters: (options, backbone, tasks) => (options.numVirtualTokens * backbone.hiddenSize) / tasks,
  toFile(parameters, options, backbone) {
    const config = peftConfig("PROMPT_TUNING", {
      ...peftSizes(backbone),
      num_transformer_submodules: 1,
      num_virtual_tokens: options.numVirtualTokens,
      prompt_tuning_init: "RANDOM",
      prompt_tuning_init_text: null,
      token_dim: parameters.prompt_embeddings!.shape[1],
      tokenizer_kwargs: null,
      tokenizer_name_or_path: null,
    });
    return { config, tensors: parameters };
  },
  fromFile(config, tensors) {
    expectType(config, "PROMPT_TUNING");
    const rows = configInteger(config, "num_virtual_tokens");
    const submodules = configInteger(config, "num_transformer_submodules", 2);
    const { prompt_embeddings: all } = expectTensors(tensors, { prompt_embeddings: [rows * submodules, null] });
    // PEFT keeps a second half for the decoder that its own forward never uses with prompt tuning.
    const prompt = submodules === 1 ? all! : tf.slice(all!, [0, 0], [rows, -1]);
    return { options: { ...promptTuning.defaults, numVirtualTokens: rows }, parameters: { prompt_embeddings: prompt } };
  },
};
