// What an optimiser is: `{init, update}` over flat named parameters, values in and values out. Learning rates and the
// step number are tensors, so that one compiled step serves a whole schedule. Types only.
import type { tf } from "#toolkit/tensor/index.ts";

export type Named = Readonly<Record<string, tf.Tensor>>;

/** Tensors only, by name, so that it is saved and restored as it is. */
export interface OptimizerState {
  readonly [slot: string]: tf.Tensor | Named;
  /** Updates done so far, float32 scalar. */
  readonly step: tf.Tensor;
}

export interface Updated {
  readonly parameters: Named;
  readonly state: OptimizerState;
}

export interface Optimizer {
  readonly name: string;
  init(parameters: Named): OptimizerState;
  /**
   * One update. `learningRate(name)` is the scalar tensor of that parameter's group. Parameters without a gradient
   * pass unchanged.
   */
  update(
    gradients: Named,
    state: OptimizerState,
    parameters: Named,
    learningRate: (name: string) => tf.Tensor,
  ): Updated;
}
