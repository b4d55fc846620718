// Where a prompt starts: rows of the vocabulary, of a text, of the class labels, or random numbers. They take token
// ids and arrays; no tokenizer is known here.
import { hostRandom, normalValues, sampleWithout, uniformValues } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { InitContext } from "./contract.ts";
import type { Field } from "./options.ts";

export const promptInits = ["vocabulary", "text", "labels", "random", "normal"] as const;
export type PromptInit = (typeof promptInits)[number];

export const promptInitField: Field = {
  kind: "choice",
  default: "vocabulary",
  values: promptInits,
  needs: { labels: "labels" },
  about:
    "vocabulary: embeddings of tokens drawn from the 5,000 most frequent; text: of textIds, repeated; labels: of labelIds, then vocabulary; random: U(−0.5, 0.5); normal: N(0, 1), PEFT's RANDOM",
};

/** Prompts are drawn from the first tokens of the vocabulary: a SentencePiece vocabulary is sorted by frequency. */
const frequentTokens = 5000;

/**
 * A new prompt [P, H].
 * @throws Error where `text` or `labels` is asked for without ids, or an id is outside the vocabulary
 */
export function initPrompt(init: PromptInit, rows: number, context: InitContext, salt = 0): tf.Tensor2D {
  const { embeddings, hiddenSize, vocabSize } = context.backbone;
  const random = hostRandom(context.seed * 1009 + salt);
  if (init === "random") return tf.tensor2d(uniformValues(random, rows * hiddenSize, -0.5, 0.5), [rows, hiddenSize]);
  if (init === "normal") return tf.tensor2d(normalValues(random, rows * hiddenSize), [rows, hiddenSize]);
  const sampled = (count: number): number[] => {
    const pool = Math.min(frequentTokens, vocabSize);
    const ids: number[] = [];
    while (ids.length < count) ids.push(...sampleWithout(random, pool, Math.min(pool, count - ids.length)));
    return ids;
  };
  let ids: number[];
  if (init === "vocabulary") ids = sampled(rows);
  else if (init === "text") {
    const text = context.textIds ?? [];
    if (text.length === 0)
      throw new Error('init "text" needs textIds: the token ids of a text that describes the task');
    ids = Array.from({ length: rows }, (_, i) => text[i % text.length]!);
  } else {
    // One row a label (the mean of its tokens would need its own path; the first token names it), then vocabulary.
    const labels = context.labelIds ?? [];
    if (labels.length === 0) throw new Error('init "labels" needs labelIds: the token ids of each class label');
    const first = labels.slice(0, rows).map((label) => label[0]!);
    ids = [...first, ...sampled(rows - first.length)];
  }
  const outside = ids.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocabSize);
  if (outside !== undefined)
    throw new Error(
      `token id ${outside} is outside the backbone's vocabulary of ${vocabSize}; the tokenizer does not fit it`,
    );
  return tf.gather(embeddings, tf.tensor1d(ids, "int32")) as tf.Tensor2D;
}

/** float32 [..shape] from N(0, deviation²). */
export function normalTensor(seed: number, shape: readonly number[], deviation: number): tf.Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return tf.tensor(normalValues(hostRandom(seed), size, deviation), [...shape]);
}

/** Glorot-uniform [outputs, inputs]: U(±√(6/(inputs + outputs))). */
export function glorotTensor(seed: number, shape: readonly number[], inputs: number, outputs: number): tf.Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  const limit = Math.sqrt(6 / (inputs + outputs));
  return tf.tensor(uniformValues(hostRandom(seed), size, -limit, limit), [...shape]);
}
