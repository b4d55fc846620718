// Clipping of gradients by their global norm, and the norm itself.
import { tf } from "#toolkit/tensor/index.ts";
import type { Named } from "./contract.ts";

/** √Σ‖g‖², float32 scalar. */
export function globalNorm(gradients: Named): tf.Scalar {
  const squares = Object.values(gradients).map((gradient) => tf.sum(tf.square(gradient)));
  return tf.sqrt(squares.length > 0 ? tf.addN(squares) : tf.scalar(0)) as tf.Scalar;
}

/** Scales all gradients by min(1, limit/norm) (torch's clip_grad_norm_, its 1e-6 included). */
export function clipByGlobalNorm(
  gradients: Named,
  limit: number,
): { readonly gradients: Named; readonly norm: tf.Scalar } {
  const norm = globalNorm(gradients);
  const factor = tf.minimum(tf.div(limit, tf.add(norm, 1e-6)), 1);
  return {
    gradients: Object.fromEntries(
      Object.entries(gradients).map(([name, gradient]) => [name, tf.mul(gradient, factor)]),
    ),
    norm,
  };
}
