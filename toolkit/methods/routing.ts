// Sparse routing over short prompts: which experts an input uses and how much of each. Shared by SMoP and its
// combination with MPT. From public code (SMoP): a bias-free linear router with orthogonal start on the masked mean of
// the input's token embeddings; in training the logits are multiplied by 1 + N(0, 1) (no gradient through the noise);
// softmax, then the best k; each chosen prompt is multiplied by its probability. A load-balance factor exists there
// but is never added to the loss; here it is an option, 0 by default, in the form of Switch Transformers.
import { hostRandom, linear, normalValues } from "#toolkit/nn/index.ts";
import { random, tf } from "#toolkit/tensor/index.ts";
import type { PortContext } from "./contract.ts";
import type { Field } from "./options.ts";

export type RoutingOptions = {
  numExperts: number;
  topK: number;
  /** Perturb the router's logits in training. */
  noise: boolean;
  /** Weight of the load-balance term; 0: none. */
  loadBalance: number;
};

export const routingFields: { readonly [Name in keyof RoutingOptions]: Field } = {
  numExperts: { kind: "integer", default: 4, min: 1, max: 256, about: "short prompts n" },
  topK: { kind: "integer", default: 1, min: 1, max: 256, about: "prompts an input uses" },
  noise: { kind: "boolean", default: true, about: "multiply training logits by 1 + N(0, 1)" },
  loadBalance: { kind: "number", default: 0, min: 0, max: 1000, about: "weight of the load-balance term" },
};

export function checkRouting(options: RoutingOptions): string[] {
  return options.topK <= options.numExperts
    ? []
    : [`topK must be at most numExperts (${options.numExperts}), not ${options.topK}`];
}

/** A router's start: rows that are orthonormal where the width allows it (Gram–Schmidt of normal rows), [n, H]. */
export function orthogonalRows(seed: number, rows: number, width: number): tf.Tensor2D {
  const generator = hostRandom(seed);
  const out = new Float32Array(rows * width);
  for (let i = 0; i < rows; i++) {
    const row = normalValues(generator, width);
    for (let j = 0; j < Math.min(i, width - 1); j++) {
      const other = out.subarray(j * width, (j + 1) * width);
      const along = row.reduce((sum, x, k) => sum + x * other[k]!, 0);
      for (let k = 0; k < width; k++) row[k]! -= along * other[k]!;
    }
    const norm = Math.hypot(...row) || 1;
    for (let k = 0; k < width; k++) out[i * width + k] = row[k]! / norm;
  }
  return tf.tensor2d(out, [rows, width]);
}

export interface Routed {
  /** [B, n]: the probability of chosen experts, 0 for the others */
  readonly weights: tf.Tensor;
  /** [B, n]: all probabilities */
  readonly probabilities: tf.Tensor;
  /** [B, n]: 1 where chosen */
  readonly chosen: tf.Tensor;
}

/** @param router [n, H] */
export function route(router: tf.Tensor, options: RoutingOptions, context: PortContext): Routed {
  const mask = tf.expandDims(tf.cast(context.attentionMask, "float32"), 2);
  const total = tf.maximum(tf.sum(mask, 1), 1);
  const mean = tf.div(tf.sum(tf.mul(context.inputEmbeddings, mask), 1), total);
  let logits = linear(mean, router);
  if (options.noise && context.training && context.key)
    logits = tf.mul(logits, tf.add(1, random.normal(random.foldIn(context.key, 2_000_000), logits.shape)));
  const probabilities = tf.softmax(logits);
  // The best k one after the other: shapes stay static and only argMax is needed.
  const experts = router.shape[0]!;
  let rest = probabilities;
  let chosen: tf.Tensor | undefined;
  for (let i = 0; i < options.topK; i++) {
    const hot = tf.cast(tf.oneHot(tf.cast(tf.argMax(rest, -1), "int32"), experts), "float32");
    chosen = chosen ? tf.add(chosen, hot) : hot;
    rest = tf.sub(rest, tf.mul(hot, 2));
  }
  return { weights: tf.mul(probabilities, chosen!), probabilities, chosen: chosen! };
}

/** n · Σ_j (share of inputs that use j) · (mean probability of j): 1 where the load is even (Fedus et al., 2022). */
export function loadBalance({ probabilities, chosen }: Routed): tf.Tensor {
  const experts = probabilities.shape[1]!;
  return tf.mul(tf.sum(tf.mul(tf.mean(chosen, 0), tf.mean(probabilities, 0))), experts);
}
