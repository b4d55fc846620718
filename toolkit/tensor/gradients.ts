// Gradients over trees: tfjs-core's own tape, with named parameters in and named gradients out. Works eagerly and
// inside `compile`. Not an autodiff of its own.
import * as tf from "@tensorflow/tfjs-core";
// tfjs-core alone registers no gradients: without this line every gradient fails with "gradient function not found".
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import "./mended-gradients.ts";
import type { TensorTree } from "./contract.ts";
import { treeLeaves, treeWithLeaves } from "./trees.ts";

/** What `valueAndGrads` gives: the scalar loss, a gradient per parameter, and whatever else the loss function returned. */
export interface ValueAndGrads<P extends TensorTree, A extends TensorTree> {
  readonly value: tf.Tensor;
  readonly grads: P;
  readonly aux: A;
}

/**
 * Value and gradients of a scalar loss with respect to every leaf of `parameters`. The loss may return
 * `[value, aux]`, where aux is a tree of further tensors (parts of the loss, predictions), not differentiated.
 * A parameter that the loss does not use has a gradient of zeros.
 * @throws TypeError when the loss is not a scalar.
 */
export function valueAndGrads<P extends TensorTree, A extends TensorTree = readonly []>(
  loss: (parameters: P) => tf.Tensor | readonly [tf.Tensor, A],
  parameters: P,
): ValueAndGrads<P, A> {
  const leaves = treeLeaves(parameters);
  let aux: TensorTree = [];
  const { value, grads } = tf.engine().gradients(
    () => {
      const result = loss(parameters);
      const [scalar, rest] = Array.isArray(result) ? (result as readonly [tf.Tensor, A]) : [result as tf.Tensor, []];
      if (scalar.rank !== 0) throw new TypeError(`valueAndGrads expected a scalar loss, got shape [${scalar.shape}]`);
      // The tape's own tidy would free aux with the other intermediates.
      aux = treeWithLeaves(
        rest,
        treeLeaves(rest).map((leaf) => tf.keep(tf.clone(leaf))),
      );
      return scalar;
    },
    leaves,
    undefined,
    true,
  );
  for (const leaf of treeLeaves(aux)) release(leaf);
  const filled = leaves.map((leaf, index) => (grads[index] as tf.Tensor | null | undefined) ?? tf.zerosLike(leaf));
  return { value, grads: treeWithLeaves(parameters, filled), aux: aux as A };
}

/** Hands a kept tensor back to the surrounding `tf.tidy`, as if it had been made there. */
function release(tensor: tf.Tensor): void {
  tensor.kept = false;
  (tf.engine() as unknown as { track(tensor: tf.Tensor): void }).track(tensor);
}
