// T5's relative position bias: which of the learned buckets a distance falls into, and the bias of a whole attention
// matrix gathered from the table. It is computed once per stack and step.
import { positions } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";

export interface Buckets {
  readonly bidirectional: boolean;
  readonly count: number;
  readonly maxDistance: number;
}

/**
 * The bucket of a relative position (key − query). Up to half the buckets hold one distance each; the rest grow
 * logarithmically to maxDistance. Rounded in float32 as the reference does, or borders fall differently.
 */
export function relativeBucket(relative: number, { bidirectional, count, maxDistance }: Buckets): number {
  const buckets = bidirectional ? count / 2 : count;
  const side = bidirectional && relative > 0 ? buckets : 0;
  const distance = bidirectional ? Math.abs(relative) : Math.max(0, -relative);
  const exact = Math.floor(buckets / 2);
  if (distance < exact) return side + distance;
  const logarithm = Math.fround(Math.log(Math.fround(distance / exact)));
  const share = Math.fround(logarithm / Math.log(maxDistance / exact));
  const large = exact + Math.trunc(Math.fround(share * (buckets - exact)));
  return side + Math.min(large, buckets - 1);
}

/**
 * Bias of a full attention matrix: query i stands at position offset + i, key j at position j.
 *
 * The bucket depends on j − i alone, so a constant of Q + S integers says it all. Written as rows of that constant,
 * each shifted by one (by giving a repeated vector of length W the row length W − 1), it is the index matrix.
 * @param table [buckets, K]
 * @returns [1, K, Q, S]
 */
export function relativeBias(table: tf.Tensor, queries: number, keys: number, buckets: Buckets, offset = 0): tf.Tensor {
  const heads = table.shape[1]!;
  const width = queries + keys;
  const ids = Int32Array.from({ length: width }, (_, i) => {
    const difference = i < keys ? i : i - width;
    return relativeBucket(difference - offset, buckets);
  });
  const repeated = tf.reshape(tf.tile(tf.tensor2d(ids, [1, width], "int32"), [queries, 1]), [queries * width]);
  const shifted = tf.reshape(tf.slice(repeated, [0], [queries * (width - 1)]), [queries, width - 1]);
  const index = tf.reshape(tf.slice(shifted, [0, 0], [queries, keys]), [queries * keys]);
  const inputs = { x: tf.transpose(table), indices: index };
  // `kept`: all layers read it, head by head; a compiled step would otherwise turn [Q·S, K] in each of them anew.
  const bias: tf.Tensor = tf.engine().runKernel("GatherV2", inputs, { axis: 1, batchDims: 0, kept: true });
  return tf.reshape(bias, [1, heads, queries, keys]);
}

/**
 * Bias of one decoding step: the query stands at `position` (an int32 scalar tensor), keys at 0 … S − 1.
 * @returns [1, K, 1, S]
 */
export function relativeBiasAt(table: tf.Tensor, position: tf.Tensor, keys: number, buckets: Buckets): tf.Tensor {
  const heads = table.shape[1]!;
  const ids = tf.tensor1d(
    Int32Array.from({ length: keys }, (_, distance) => relativeBucket(-distance, buckets)),
    "int32",
  );
  const zero = tf.scalar(0, "int32");
  const distances = tf.maximum(tf.sub(position, positions(keys)), zero);
  const bias = tf.gather(table, tf.gather(ids, tf.cast(distances, "int32")) as tf.Tensor1D);
  return tf.reshape(tf.transpose(bias, [1, 0]), [1, heads, 1, keys]);
}
