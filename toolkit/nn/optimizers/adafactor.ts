// Adafactor (Shazeer and Stern, 2018): second moments of matrices kept as a row and a column mean. The form prompt
// tuning is trained with: an outer learning rate, no first moment; relative step sizes are not offered.
import { tf } from "#toolkit/tensor/index.ts";
import type { Named, Optimizer } from "./contract.ts";

export interface AdafactorOptions {
  /** β2 at step t is 1 − t^(−decayRate) (section 7.2). */
  readonly decayRate?: number;
  /** Added to squared gradients (ε1). */
  readonly epsilon?: number;
  /** Updates whose root mean square exceeds it are scaled down (section 6). */
  readonly clipThreshold?: number;
  /** Multiply the rate by the parameter's own root mean square (section 8), at least 1e-3. */
  readonly scaleParameter?: boolean;
  readonly weightDecay?: number;
}

export function adafactor(options: AdafactorOptions = {}): Optimizer {
  const { decayRate = 0.8, epsilon = 1e-30, clipThreshold = 1, scaleParameter = false, weightDecay = 0 } = options;
  const factored = (tensor: tf.Tensor): boolean => tensor.rank >= 2;
  const pick = (parameters: Named, make: (tensor: tf.Tensor) => tf.Tensor | undefined): Named =>
    Object.fromEntries(
      Object.entries(parameters).flatMap(([name, tensor]) => {
        const made = make(tensor);
        return made ? [[name, made]] : [];
      }),
    );
  return {
    name: "adafactor",
    init: (parameters) => ({
      step: tf.scalar(0),
      row: pick(parameters, (t) => (factored(t) ? tf.zeros(t.shape.slice(0, -1)) : undefined)),
      column: pick(parameters, (t) => (factored(t) ? tf.zeros([...t.shape.slice(0, -2), t.shape.at(-1)!]) : undefined)),
      full: pick(parameters, (t) => (factored(t) ? undefined : tf.zerosLike(t))),
    }),
    update(gradients, state, parameters, learningRate) {
      const step = tf.add(state.step, 1);
      const old = { row: state.row as Named, column: state.column as Named, full: state.full as Named };
      const row: Record<string, tf.Tensor> = { ...old.row };
      const column: Record<string, tf.Tensor> = { ...old.column };
      const full: Record<string, tf.Tensor> = { ...old.full };
      const updated: Record<string, tf.Tensor> = {};
      // 1 − β2 = t^(−decay), written with exp and log: engines need no power kernel.
      const fresh = tf.exp(tf.mul(tf.log(step), -decayRate));
      const blend = (before: tf.Tensor, now: tf.Tensor): tf.Tensor =>
        tf.add(before, tf.mul(tf.sub(now, before), fresh));
      for (const [name, parameter] of Object.entries(parameters)) {
        const gradient = gradients[name];
        if (!gradient) {
          updated[name] = parameter;
          continue;
        }
        const squared = tf.add(tf.square(gradient), epsilon);
        let direction: tf.Tensor;
        if (factored(parameter)) {
          row[name] = blend(row[name]!, tf.mean(squared, -1));
          column[name] = blend(column[name]!, tf.mean(squared, -2));
          const rowFactor = tf.rsqrt(tf.div(row[name], tf.mean(row[name], -1, true)));
          const columnFactor = tf.rsqrt(column[name]);
          direction = tf.mul(tf.mul(gradient, tf.expandDims(rowFactor, -1)), tf.expandDims(columnFactor, -2));
        } else {
          full[name] = blend(full[name]!, squared);
          direction = tf.mul(gradient, tf.rsqrt(full[name]));
        }
        direction = tf.div(direction, tf.maximum(tf.div(rootMeanSquare(direction), clipThreshold), 1));
        let rate = learningRate(name);
        if (scaleParameter) rate = tf.mul(rate, tf.maximum(rootMeanSquare(parameter), 1e-3));
        const kept = weightDecay === 0 ? parameter : tf.mul(parameter, tf.sub(1, tf.mul(rate, weightDecay)));
        updated[name] = tf.sub(kept, tf.mul(direction, rate));
      }
      return { parameters: updated, state: { step, row, column, full } };
    },
  };
}

function rootMeanSquare(x: tf.Tensor): tf.Tensor {
  return tf.sqrt(tf.mean(tf.square(x)));
}
