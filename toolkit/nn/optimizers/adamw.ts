// AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019, Algorithm 2), in the form of torch.optim.AdamW:
// parameters shrink by 1 − lr·decay first, ε is added after the bias-corrected root.
import { tf } from "#toolkit/tensor/index.ts";
import type { Named, Optimizer, OptimizerState } from "./contract.ts";

export interface AdamWOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Decay of a parameter; a number for all. */
  readonly weightDecay?: number | ((name: string) => number);
}

export function adamw(options: AdamWOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  const decayOf = typeof weightDecay === "number" ? () => weightDecay : weightDecay;
  return {
    name: "adamw",
    init: (parameters) => ({ step: tf.scalar(0), first: zeros(parameters), second: zeros(parameters) }),
    update(gradients, state, parameters, learningRate) {
      const step = tf.add(state.step, 1);
      // 1 − βᵗ as 1 − exp(t·ln β): the exponent is a tensor, and engines need no power kernel.
      const correction1 = tf.sub(1, tf.exp(tf.mul(step, Math.log(beta1))));
      const correction2 = tf.sub(1, tf.exp(tf.mul(step, Math.log(beta2))));
      const [updated, first, second]: [
        Record<string, tf.Tensor>,
        Record<string, tf.Tensor>,
        Record<string, tf.Tensor>,
      ] = [{}, {}, {}];
      const [oldFirst, oldSecond] = [state.first as Named, state.second as Named];
      for (const [name, parameter] of Object.entries(parameters)) {
        const gradient = gradients[name];
        const m = oldFirst[name]!;
        const v = oldSecond[name]!;
        if (!gradient) {
          [updated[name], first[name], second[name]] = [parameter, m, v];
          continue;
        }
        const rate = learningRate(name);
        first[name] = tf.add(tf.mul(m, beta1), tf.mul(gradient, 1 - beta1));
        second[name] = tf.add(tf.mul(v, beta2), tf.mul(tf.square(gradient), 1 - beta2));
        const direction = tf.div(
          tf.div(first[name], correction1),
          tf.add(tf.sqrt(tf.div(second[name], correction2)), epsilon),
        );
        const decay = decayOf(name);
        const kept = decay === 0 ? parameter : tf.mul(parameter, tf.sub(1, tf.mul(rate, decay)));
        updated[name] = tf.sub(kept, tf.mul(direction, rate));
      }
      return { parameters: updated, state: { step, first, second } satisfies OptimizerState };
    },
  };
}

function zeros(parameters: Named): Named {
  return Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, tf.zerosLike(tensor)]));
}
