// Losses over teacher-forced logits and hidden states. Every one is a scalar mean, so that batches of different size
// weigh alike; padding and ignored labels count nowhere. Not here: what a training step sums up (training/).
import { tf } from "#toolkit/tensor/index.ts";
import { positions, rowMaximum } from "./layers.ts";

/** The label that no loss counts. */
export const ignoredLabel = -100;

/**
 * Mean cross-entropy over the labels that are not −100. The gradient is softmax − one-hot in closed form.
 * @param logits [.., V]
 * @param labels [..] int32
 * @returns scalar; 0 where every label is ignored
 */
export function crossEntropy(logits: tf.Tensor, labels: tf.Tensor): tf.Scalar {
  const { losses, weights } = tokenLosses(logits, labels);
  return tf.div(tf.sum(losses), tf.maximum(tf.sum(weights), 1)) as tf.Scalar;
}

/**
 * Negative log-likelihood of each label, 0 where it is ignored.
 * @returns losses and weights, each [N] float32, N = number of labels
 */
export function tokenLosses(logits: tf.Tensor, labels: tf.Tensor): { losses: tf.Tensor; weights: tf.Tensor } {
  const size = logits.shape.at(-1)!;
  const flat = tf.reshape(logits, [-1, size]);
  const ids = tf.reshape(labels, [-1]);
  const weights = tf.cast(tf.greaterEqual(ids, tf.scalar(0, "int32")), "float32");
  const own = tf.maximum(ids, tf.scalar(0, "int32"));
  const targets = tf.mul(tf.cast(tf.oneHot(own, size), "float32"), tf.expandDims(weights, 1));
  const count = flat.shape[0]!;
  const places = tf.add(tf.mul(positions(count), tf.scalar(size, "int32")), own);
  const op = tf.customGrad((input, save) => {
    const x = input as tf.Tensor;
    const largest = rowMaximum(x);
    const exponentials = tf.exp(tf.sub(x, largest));
    const total = tf.sum(exponentials, -1, true);
    const shifted = tf.sub(tf.gather(tf.reshape(x, [count * size]), places as tf.Tensor1D), tf.squeeze(largest, [1]));
    const value = tf.mul(tf.sub(tf.log(tf.squeeze(total, [1])), shifted), weights);
    (save as tf.GradSaveFunc)([tf.div(exponentials, total), targets, weights]);
    return {
      value,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [probabilities, hot, weight] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
        return tf.mul(tf.sub(tf.mul(probabilities, tf.expandDims(weight, 1)), hot), tf.expandDims(dy, 1));
      },
    };
  });
  return { losses: op(flat), weights };
}

/**
 * Mean over counted positions of KL(softmax(teacher/T) ‖ softmax(student/T)). No gradient reaches the teacher.
 * Hinton et al. multiply by T² to keep gradients of one size over temperatures; here only where `scaled`.
 * @param teacher [.., V]
 * @param student [.., V]
 * @param weights [..] 1 where a position counts, 0 elsewhere
 */
export function klDivergence(
  teacher: tf.Tensor,
  student: tf.Tensor,
  weights: tf.Tensor,
  temperature = 1,
  scaled = false,
): tf.Scalar {
  const size = student.shape.at(-1)!;
  const from = tf.div(tf.reshape(teacher, [-1, size]), temperature);
  const weight = tf.reshape(tf.cast(weights, "float32"), [-1]);
  const op = tf.customGrad((input, save) => {
    const to = tf.div(input as tf.Tensor, temperature);
    const logP = logSoftmax(from);
    const logQ = logSoftmax(to);
    const p = tf.exp(logP);
    const value = tf.sum(tf.mul(p, tf.sub(logP, logQ)), -1);
    (save as tf.GradSaveFunc)([tf.div(tf.sub(tf.exp(logQ), p), temperature)]);
    return {
      value,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(saved[0]!, tf.expandDims(dy, 1)),
    };
  });
  const divergences = op(tf.reshape(student, [-1, size]));
  const mean = tf.div(tf.sum(tf.mul(divergences, weight)), tf.maximum(tf.sum(weight), 1));
  return (scaled ? tf.mul(mean, temperature * temperature) : mean) as tf.Scalar;
}

/** Log of softmax over the last axis. Not differentiated here: its users give their gradients themselves. */
function logSoftmax(x: tf.Tensor): tf.Tensor {
  const shifted = tf.sub(x, rowMaximum(x));
  return tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), -1, true)));
}

/**
 * Mean of squared differences over the positions that count and all H features.
 * @param a [B, T, H]
 * @param b [B, T, H]
 * @param weights [B, T]
 */
export function meanSquaredError(a: tf.Tensor, b: tf.Tensor, weights: tf.Tensor): tf.Scalar {
  const weight = tf.cast(weights, "float32");
  const perPosition = tf.mean(tf.square(tf.sub(a, b)), -1);
  return tf.div(tf.sum(tf.mul(perPosition, weight)), tf.maximum(tf.sum(weight), 1)) as tf.Scalar;
}
