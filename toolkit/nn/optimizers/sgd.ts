// Stochastic gradient descent, with optional momentum (torch.optim.SGD's form: v ← μv + g, p ← p − lr·v) and coupled
// weight decay (added to the gradient).
import { tf } from "#toolkit/tensor/index.ts";
import type { Named, Optimizer } from "./contract.ts";

export interface SgdOptions {
  readonly momentum?: number;
  readonly weightDecay?: number;
}

export function sgd(options: SgdOptions = {}): Optimizer {
  const { momentum = 0, weightDecay = 0 } = options;
  return {
    name: "sgd",
    init: (parameters) => ({
      step: tf.scalar(0),
      velocity:
        momentum === 0
          ? {}
          : Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, tf.zerosLike(tensor)])),
    }),
    update(gradients, state, parameters, learningRate) {
      const updated: Record<string, tf.Tensor> = {};
      const velocity: Record<string, tf.Tensor> = {};
      const old = state.velocity as Named;
      for (const [name, parameter] of Object.entries(parameters)) {
        const gradient = gradients[name];
        if (!gradient) {
          updated[name] = parameter;
          if (old[name]) velocity[name] = old[name];
          continue;
        }
        let direction: tf.Tensor = weightDecay === 0 ? gradient : tf.add(gradient, tf.mul(parameter, weightDecay));
        if (momentum !== 0) {
          direction = tf.add(tf.mul(old[name]!, momentum), direction);
          velocity[name] = direction;
        }
        updated[name] = tf.sub(parameter, tf.mul(direction, learningRate(name)));
      }
      return { parameters: updated, state: { step: tf.add(state.step, 1), velocity } };
    },
  };
}
