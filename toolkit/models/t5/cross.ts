// Cross-attention for few queries: keys and values are never made. With q·Kᵀ = (q·W_k)·xᵀ and a·V = (a·x)·W_vᵀ the
// two maps act on the 8 or so decoder positions instead of the whole input: at T5-base with 256 input and 8 target
// positions that is a tenth of a training step. Equal to `attention` up to rounding. In generation it pays while few
// tokens are made (generate/cache.ts).
import { mergeHeads } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Pass } from "./stack.ts";

/** An encoder's output [B, S, H] to attend to directly. */
export interface StatesSource {
  readonly states: tf.Tensor;
}

/** Whether attending to the states directly takes fewer operations, and nothing acts on keys and values. */
export function attendsDirectly(pass: Pass, queries: number, positions: number): boolean {
  const { hiddenSize, numHeads } = pass.config;
  if (pass.ports.linear || pass.ports.prefix?.cross) return false;
  return queries * hiddenSize + numHeads * queries * positions < positions * hiddenSize + queries * positions;
}

/**
 * @param query [B, K, Q, D]
 * @param states [B, S, H]
 * @param bias [B, 1, 1, S]
 * @returns [B, Q, K·D], heads side by side
 */
export function attendStates(
  pass: Pass,
  site: string,
  query: tf.Tensor,
  states: tf.Tensor,
  bias: tf.Tensor | undefined,
): tf.Tensor {
  const [batch, heads, queries, size] = query.shape as [number, number, number, number];
  const [, positions, width] = states.shape as [number, number, number];
  const perHead = (name: string): tf.Tensor => tf.reshape(pass.weight(`${site}.${name}.weight`), [heads, size, width]);
  // Heads in front: a batch of K products, each over all rows of all examples.
  const headsFirst = (x: tf.Tensor): tf.Tensor =>
    tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [heads, batch * queries, x.shape[3]!]);
  const batchFirst = (x: tf.Tensor): tf.Tensor =>
    tf.transpose(tf.reshape(x, [heads, batch, queries, x.shape[2]!]), [1, 0, 2, 3]);
  const keyed = batchFirst(tf.matMul(headsFirst(query), perHead("k")));
  const rows = tf.reshape(keyed, [batch, heads * queries, width]);
  let scores = tf.reshape(tf.matMul(rows, states, false, true), [batch, heads, queries, positions]);
  if (bias) scores = tf.add(scores, bias);
  const shares = tf.reshape(pass.dropout(tf.softmax(scores)), [batch, heads * queries, positions]);
  const mixed = tf.reshape(tf.matMul(shares, states), [batch, heads, queries, width]);
  return mergeHeads(batchFirst(tf.matMul(headsFirst(mixed), perHead("v"), false, true)));
}
