// ATTEMPT: each input attends over frozen source prompts and its own trained one; the prompt is their mixture.
//
// From the paper (Asai et al., EMNLP 2022, section 3): queries and keys by max-pooling, the sub-network
// LayerNorm(W_up · SiLU(W_down · x)), softmax with temperature, target prompt plus mixture.
// From public code, where it differs, as `variant: "published"`: the LayerNorm is never unfrozen; padding takes part
// in the query's maximum; one learning rate for all (the separate one matched no parameter). `variant: "paper"`:
// LayerNorm trained, padding left out, attention at its own rate 0.1. In both the target prompt counts twice: it is
// among the mixed prompts and added once more. T = H·e ≈ 2,087 for T5-base in the code; 0 here means that product.
import { hostRandom, layerNorm, linear, normalValues, silu } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Method, PortContext } from "./contract.ts";
import { initPrompt, type PromptInit, promptInitField } from "./initialisers.ts";
import { defaultsOf, type Fields, promptLength } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { promptShapeProblems, refuse, sourcePrompts } from "./sources.ts";
import { expectTensors } from "./tensors.ts";

export type AttemptOptions = {
  numVirtualTokens: number;
  variant: "published" | "paper";
  bottleneck: number;
  /** 0: width · e. */
  temperature: number;
  /** Where the target prompt starts: the first source, or as in prompt tuning. */
  targetInit: "first-source" | PromptInit;
};

const fields: Fields<AttemptOptions> = {
  numVirtualTokens: promptLength,
  variant: {
    kind: "choice",
    default: "published",
    values: ["published", "paper"],
    about: "what the code does, or the paper says",
  },
  bottleneck: { kind: "integer", default: 100, min: 1, max: 4096, about: "width of the attention's sub-network" },
  temperature: { kind: "number", default: 0, min: 0, max: 1e9, about: "of the softmax; 0: width · e" },
  targetInit: {
    kind: "choice",
    default: "first-source",
    values: ["first-source", ...((promptInitField as { readonly values: readonly string[] }).values ?? [])],
    needs: { labels: "labels" },
    about: "start of the target prompt",
  },
};

const names = {
  sources: "source_prompts",
  target: "prompt_embeddings",
  down: "attention.down.weight",
  up: "attention.up.weight",
  normWeight: "attention.layer_norm.weight",
  normBias: "attention.layer_norm.bias",
} as const;

export const attempt: Method<AttemptOptions> = {
  name: "attempt",
  title: "ATTEMPT",
  source:
    "Asai et al., ATTEMPT: Parameter-Efficient Multi-task Tuning via Attentional Mixtures of Soft Prompts (EMNLP 2022)",
  defaults: defaultsOf(fields),
  fields,
  needsSources: true,
  checkSources: (options, { backbone, sources = [] }) =>
    sources.length === 0
      ? ["attempt needs sources: prompts trained on other tasks"]
      : promptShapeProblems(sources, options.numVirtualTokens, backbone.hiddenSize),
  init(options, context) {
    refuse(attempt.checkSources!(options, context));
    const prompts = sourcePrompts(context.sources!);
    const width = context.backbone.hiddenSize;
    const random = hostRandom(context.seed * 1009 + 11);
    const { bottleneck, targetInit } = options;
    return tf.tidy(() => {
      const target =
        targetInit === "first-source" ? prompts[0]!.prompt : initPrompt(targetInit, options.numVirtualTokens, context);
      return {
        [names.sources]: tf.stack(prompts.map(({ prompt }) => prompt)),
        [names.target]: tf.stack(new Array<tf.Tensor>(context.numTasks).fill(target)),
        [names.down]: tf.tensor(normalValues(random, bottleneck * width, 0.01), [bottleneck, width]),
        [names.up]: tf.tensor(normalValues(random, bottleneck * width, 0.01), [width, bottleneck]),
        [names.normWeight]: tf.ones([width]),
        [names.normBias]: tf.zeros([width]),
      };
    });
  },
  group(name, options) {
    if (name === names.sources) return null;
    if (name === names.target) return "prompt";
    if (options.variant === "published") return name.includes("layer_norm") ? null : "prompt";
    return "attention";
  },
  learningRates: { prompt: 0.3, attention: 0.1 },
  ports(parameters, options, context) {
    const sources = required(parameters, names.sources);
    const own = required(parameters, names.target);
    const batch = context.taskIds.shape[0]!;
    const [count, length, width] = sources.shape as [number, number, number];
    const query = maxOverInput(options, context);
    const hidden = linear(silu(linear(query, required(parameters, names.down))), required(parameters, names.up));
    const attended = layerNorm(hidden, required(parameters, names.normWeight), required(parameters, names.normBias));
    const single = own.shape[0] === 1;
    const target = single ? own : tf.gather(own, context.taskIds as tf.Tensor1D);
    const temperature = options.temperature || context.backbone.hiddenSize * Math.E;
    // Keys of the sources [S, H] are shared by the batch; the target's [B or 1, H] may differ by task.
    const scores = tf.matMul(attended as tf.Tensor2D, tf.max(sources, 1) as tf.Tensor2D, false, true);
    const targetScore = tf.sum(tf.mul(attended, tf.max(target, 1)), -1, true);
    const weights = tf.softmax(tf.div(tf.concat([scores, targetScore], 1), temperature));
    const mixed = tf.reshape(
      tf.matMul(
        tf.slice(weights, [0, 0], [-1, count]) as tf.Tensor2D,
        tf.reshape(sources, [count, length * width]) as tf.Tensor2D,
      ),
      [batch, length, width],
    );
    const ownWeight = tf.reshape(tf.slice(weights, [0, count], [-1, 1]), [batch, 1, 1]);
    return { encoderPrompt: tf.add(mixed, tf.mul(target, tf.add(ownWeight, 1))) };
  },
  countParameters(options, backbone, tasks) {
    const width = backbone.hiddenSize;
    // As the paper counts: the LayerNorm is included in both variants.
    return options.numVirtualTokens * width + (2 * width * options.bottleneck + 2 * width) / tasks;
  },
  toFile: (parameters, options) => ({ config: ownConfig("attempt", options), tensors: parameters }),
  fromFile(config, tensors) {
    const options = ownOptions(config, "attempt", attempt.defaults);
    const width = tensors[names.down]?.shape[1] ?? null;
    const parameters = expectTensors(tensors, {
      [names.sources]: [null, options.numVirtualTokens, width],
      [names.target]: [null, options.numVirtualTokens, width],
      [names.down]: [options.bottleneck, width],
      [names.up]: [width, options.bottleneck],
      [names.normWeight]: [width],
      [names.normBias]: [width],
    });
    return { options, parameters };
  },
};

/** Elementwise maximum over the input's token embeddings, [B, T, H] → [B, H]; padding per variant. */
function maxOverInput(options: AttemptOptions, context: PortContext): tf.Tensor {
  const { inputEmbeddings, attentionMask } = context;
  if (options.variant === "published") return tf.max(inputEmbeddings, 1);
  const away = tf.mul(tf.sub(1, tf.cast(attentionMask, "float32")), -1e9);
  return tf.max(tf.add(inputEmbeddings, tf.expandDims(away, 2)), 1);
}
