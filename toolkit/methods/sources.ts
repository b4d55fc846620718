// What a source stage left behind, seen as prompts: one [P, H] a task, whatever method trained them. SPoT, ATTEMPT,
// BMTPT start from these. Similarity between prompts and retrieval by it live here too.
import { tf } from "#toolkit/tensor/index.ts";
import type { Parameters, SourceShape, SourceState } from "./contract.ts";

export interface SourcePrompt {
  readonly task: string;
  /** [P, H] */
  readonly prompt: tf.Tensor;
}

/** P* ∘ (U_k V_k) of one task of an MPT state, or the prompt itself where there is no decomposition. */
export function collapsePrompt(parameters: Parameters, task: number): tf.Tensor {
  const shared = parameters.prompt_embeddings;
  if (!shared)
    throw new Error(`a source state needs the tensor prompt_embeddings; it has ${Object.keys(parameters).join(", ")}`);
  const { prefix_task_cols: cols, prefix_task_rows: rows } = parameters;
  if (!cols || !rows) return shared;
  return tf.tidy(() => {
    const u = tf.squeeze(tf.slice(cols, [task, 0, 0], [1, -1, -1]), [0]) as tf.Tensor2D;
    const v = tf.squeeze(tf.slice(rows, [task, 0, 0], [1, -1, -1]), [0]) as tf.Tensor2D;
    return tf.mul(shared, tf.matMul(u, v));
  });
}

/**
 * One prompt a task, in order.
 * @throws Error where sources have prompts of different shapes, naming them
 */
export function sourcePrompts(sources: readonly SourceState[]): SourcePrompt[] {
  const prompts = sources.flatMap(({ tasks, parameters }) =>
    tasks.map((task, k) => ({ task, prompt: collapsePrompt(parameters, k) })),
  );
  const shapes = new Set(prompts.map(({ prompt }) => prompt.shape.join(" × ")));
  if (shapes.size > 1)
    throw new Error(
      `source prompts must have one shape; they have ${prompts.map(({ task, prompt }) => `${task}: ${prompt.shape.join(" × ")}`).join(", ")}`,
    );
  return prompts;
}

/** One shape a source task, in the order of `sourcePrompts`; null where it holds no prompt. */
export function sourcePromptShapes(
  sources: readonly SourceShape[],
): { readonly task: string; readonly shape: readonly number[] | null }[] {
  return sources.flatMap(({ tasks, parameters }) =>
    tasks.map((task) => ({ task, shape: parameters.prompt_embeddings?.shape ?? null })),
  );
}

/** What keeps prompts of other tasks from being those that `rows` × `width` asks for. */
export function promptShapeProblems(sources: readonly SourceShape[], rows: number, width: number): string[] {
  const wanted = `${rows} × ${width}`;
  const found = sourcePromptShapes(sources);
  const shown = (shape: readonly number[] | null): string => shape?.join(" × ") ?? "none";
  const wrong = found.filter(({ shape }) => shown(shape) !== wanted);
  if (wrong.length === 0) return [];
  const shapes = new Set(wrong.map(({ shape }) => shown(shape)));
  const are =
    shapes.size === 1 ? [...shapes][0] : wrong.map(({ task, shape }) => `${task}: ${shown(shape)}`).join(", ");
  return [`source prompts are ${are}; numVirtualTokens and the backbone ask for ${wanted}`];
}

/** @throws Error with all problems, where there are any */
export function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(problems.join("; "));
}

export type Similarity = "mean" | "pairs";

/**
 * Similarity of two prompts in [−1, 1] (SPoT, Vu et al. 2022, section 3: cosine of the averaged tokens, or the average
 * cosine of all pairs of tokens). Reads values.
 */
export function promptSimilarity(a: tf.Tensor, b: tf.Tensor, how: Similarity = "mean"): number {
  return tf.tidy(() => {
    const normed = (x: tf.Tensor): tf.Tensor => tf.div(x, tf.maximum(tf.norm(x, 2, -1, true), 1e-12));
    if (how === "pairs") return tf.mean(tf.matMul(normed(a), normed(b), false, true)).dataSync()[0]!;
    return tf.sum(tf.mul(normed(tf.mean(a, 0)), normed(tf.mean(b, 0)))).dataSync()[0]!;
  });
}

export interface Retrieved extends SourcePrompt {
  readonly similarity: number;
}

/** The sources by similarity to a target's own (briefly trained) prompt, most similar first. */
export function retrievePrompts(
  target: tf.Tensor,
  sources: readonly SourcePrompt[],
  how: Similarity = "mean",
): Retrieved[] {
  return sources
    .map((source) => ({ ...source, similarity: promptSimilarity(target, source.prompt, how) }))
    .sort((a, b) => b.similarity - a.similarity);
}
