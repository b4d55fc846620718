// From a method and its parameters to ports: the one place where a model's call and a method's context meet.
import type { Backbone, Ports } from "#toolkit/models/contract.ts";
import type { Key, tf } from "#toolkit/tensor/index.ts";
import type { Parameters, PortContext } from "./contract.ts";
import type { AnyMethod } from "./methods.ts";

export interface FillInputs {
  readonly backbone: Backbone;
  /** [B] int32 */
  readonly taskIds: tf.Tensor;
  /** [B, T] */
  readonly attentionMask: tf.Tensor;
  /** This step's randomness; given: training. */
  readonly key?: Key;
}

/** What a model's `ports` argument takes: makes the ports once the input's embeddings [B, T, H] are known. */
export function fillPorts(
  method: AnyMethod,
  options: Record<string, unknown>,
  parameters: Parameters,
  inputs: FillInputs,
): (inputEmbeddings: tf.Tensor) => Ports {
  return (inputEmbeddings) => method.ports(parameters, options, portContext(inputs, inputEmbeddings));
}

/** The context of one forward pass, for `ports` and `regularizer`. */
export function portContext(inputs: FillInputs, inputEmbeddings: tf.Tensor): PortContext {
  const { backbone, taskIds, attentionMask, key } = inputs;
  const context = { backbone, taskIds, inputEmbeddings, attentionMask, training: key !== undefined };
  return key ? { ...context, key } : context;
}
