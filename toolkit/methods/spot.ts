// SPoT: prompt tuning that starts from a prompt trained on another task.
//
// From the paper (Vu et al., ACL 2022): the transfer of one source prompt (generic SPoT, section 2), retrieval by
// prompt similarity (section 3: cosine of mean tokens, or mean cosine of all token pairs; best of the top k, or their
// average weighted by similarity). From public code (ATTEMPT): the multi-path average, weights being normalised
// similarities. Our own reading: how the target's own, briefly trained prompt is told apart (a source state whose
// task is the target itself).
import { tf } from "#toolkit/tensor/index.ts";
import type { InitContext, Method, SourceContext } from "./contract.ts";
import { defaultsOf, type Fields, promptLength } from "./options.ts";
import { promptTuning } from "./prompt-tuning.ts";
import {
  promptShapeProblems,
  refuse,
  retrievePrompts,
  type Similarity,
  type SourcePrompt,
  sourcePromptShapes,
  sourcePrompts,
} from "./sources.ts";

export type SpotOptions = {
  numVirtualTokens: number;
  /** Which sources the prompt starts from. */
  transfer: "given" | "average" | "best" | "weighted";
  /** With `given`: index among the sources. */
  source: number;
  similarity: Similarity;
  /** With `weighted`: how many of the most similar sources take part. */
  topK: number;
};

const fields: Fields<SpotOptions> = {
  numVirtualTokens: promptLength,
  transfer: {
    kind: "choice",
    default: "given",
    values: ["given", "average", "best", "weighted"],
    about: "given: the source of that index; best, weighted: by similarity to the target's own prompt",
  },
  source: { kind: "integer", default: 0, min: 0, max: 100_000, about: "index among the sources" },
  similarity: { kind: "choice", default: "mean", values: ["mean", "pairs"], about: "cosine of means, or of all pairs" },
  topK: { kind: "integer", default: 3, min: 1, max: 1000, about: "sources in a weighted start" },
};

export const spot: Method<SpotOptions> = {
  name: "spot",
  title: "SPoT",
  source: "Vu et al., SPoT: Better Frozen Model Adaptation through Soft Prompt Transfer (ACL 2022), sections 2 and 3",
  defaults: defaultsOf(fields),
  fields,
  needsSources: true,
  checkSources,
  init: (options, context) => ({ prompt_embeddings: startFrom(options, context) }),
  group: () => "prompt",
  learningRates: { prompt: 0.3 },
  ports: (parameters) => ({ encoderPrompt: parameters.prompt_embeddings! }),
  countParameters: (options, backbone, tasks) => (options.numVirtualTokens * backbone.hiddenSize) / tasks,
  // The result is an ordinary prompt, and PEFT reads it as one.
  toFile: (parameters, options, backbone) =>
    promptTuning.toFile(parameters, { ...promptTuning.defaults, numVirtualTokens: options.numVirtualTokens }, backbone),
  fromFile(config, tensors) {
    const { options, parameters } = promptTuning.fromFile(config, tensors);
    return { options: { ...spot.defaults, numVirtualTokens: options.numVirtualTokens }, parameters };
  },
};

function checkSources(options: SpotOptions, { backbone, tasks, sources = [] }: SourceContext): string[] {
  const found = sourcePromptShapes(sources);
  const own = found.find(({ task }) => tasks.includes(task));
  const others = found.length - (own ? 1 : 0);
  if (others === 0) return ["spot needs a source: a prompt trained on another task"];
  const problems = promptShapeProblems(sources, options.numVirtualTokens, backbone.hiddenSize);
  if (options.transfer === "given" && options.source >= others)
    problems.push(`source must be below the ${others} sources, not ${options.source}`);
  if ((options.transfer === "best" || options.transfer === "weighted") && !own)
    problems.push(
      `transfer "${options.transfer}" compares with the target's own prompt: add a source whose task is the target`,
    );
  return problems;
}

function startFrom(options: SpotOptions, context: InitContext): tf.Tensor {
  refuse(checkSources(options, context));
  const prompts = sourcePrompts(context.sources ?? []);
  const own = prompts.find(({ task }) => context.tasks.includes(task));
  const others = prompts.filter((prompt) => prompt !== own);
  return tf.tidy(() => combine(options, others, own));
}

function combine(options: SpotOptions, others: readonly SourcePrompt[], own: SourcePrompt | undefined): tf.Tensor {
  if (options.transfer === "given") return tf.clone(others[options.source]!.prompt);
  if (options.transfer === "average") return tf.mean(tf.stack(others.map(({ prompt }) => prompt)), 0);
  const ranked = retrievePrompts(own!.prompt, others, options.similarity);
  if (options.transfer === "best") return tf.clone(ranked[0]!.prompt);
  const top = ranked.slice(0, options.topK);
  const total = top.reduce((sum, { similarity }) => sum + Math.max(0, similarity), 0);
  const weights = top.map(({ similarity }) => (total > 0 ? Math.max(0, similarity) / total : 1 / top.length));
  return tf.addN(top.map(({ prompt }, i) => tf.mul(prompt, weights[i]!)));
}
