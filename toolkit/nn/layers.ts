// Stateless layers on tensors of the engine: linear, RMS norm, activations, attention. Differentiable, no values are
// read, every shape is static, so that a step made of them can be traced and compiled. Not here: models and weights.
import { tf } from "#toolkit/tensor/index.ts";

/** What is added to a score where attention is not allowed: far below any score, yet finite, so no NaN can arise. */
const masked = -1e9;

/**
 * y = x · Wᵀ, without a bias. The leading axes are folded first: a matMul that broadcasts a shared weight over a batch
 * multiplies memory, and its gradient too.
 * @param x [.., in]
 * @param weight [out, in], as checkpoints store it
 * @returns [.., out]
 */
export function linear(x: tf.Tensor, weight: tf.Tensor): tf.Tensor {
  const [outputs, inputs] = weight.shape as [number, number];
  const flat = tf.reshape(x, [-1, inputs]);
  return tf.reshape(tf.matMul(flat as tf.Tensor2D, weight as tf.Tensor2D, false, true), [
    ...x.shape.slice(0, -1),
    outputs,
  ]);
}

/**
 * Root-mean-square norm (T5): no mean is subtracted, no bias. Its gradient is given in closed form, which is four times
 * fewer kernels than the tape would record.
 * @param x [.., H]
 * @param weight [H]
 */
export function rmsNorm(x: tf.Tensor, weight: tf.Tensor, epsilon = 1e-6): tf.Tensor {
  return tf.mul(normalize(x, epsilon), weight);
}

function normalize(x: tf.Tensor, epsilon: number): tf.Tensor {
  const op = tf.customGrad((input, save) => {
    const source = input as tf.Tensor;
    // Not rsqrt: engines approximate it, and a norm's error goes through every later layer.
    const scale = tf.expandDims(tf.div(1, tf.sqrt(tf.add(tf.mean(tf.square(source), -1), epsilon))), -1);
    const value = tf.mul(source, scale);
    // The normed value is one product to make anew; kept, it would be a second array of x's size.
    (save as tf.GradSaveFunc)([source, scale]);
    return {
      value,
      // d/dx of x·r(x): r·(dy − y·mean(dy·y)), y being the normed value.
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [x, r] = saved as [tf.Tensor, tf.Tensor];
        const y = tf.mul(x, r);
        return tf.mul(r, tf.sub(dy, tf.mul(y, tf.mean(tf.mul(dy, y), -1, true))));
      },
    };
  });
  return op(x);
}

/** Layer norm with mean, bias and scale. x [.., H], weight and bias [H]. */
export function layerNorm(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, epsilon = 1e-5): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), weight), bias);
}

/** The tanh form of GELU (`gelu_new`): x · sigmoid(2·√(2/π)·(x + 0.044715 x³)), which is the same function. */
export function geluNew(x: tf.Tensor): tf.Tensor {
  const cubic = tf.mul(x, tf.add(1, tf.mul(tf.square(x), 0.044715)));
  return tf.mul(x, tf.sigmoid(tf.mul(cubic, 2 * Math.sqrt(2 / Math.PI))));
}

/** The sigmoid form of GELU that OpenAI's CLIP has (`quick_gelu`): x · sigmoid(1.702 x). */
export function quickGelu(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)));
}

/** GELU as defined: x · Φ(x), with the error function. */
export function gelu(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.mul(x, 0.5), tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
}

/**
 * max(x, 0), for a product to read. The gradient looks at the result instead of `x`: a step keeps the one that the product
 * needs anyway, under `bf16` in half the memory.
 */
export function relu(x: tf.Tensor): tf.Tensor {
  const op = tf.customGrad((input, save) => {
    const value: tf.Tensor = tf.engine().runKernel("Relu", { x: input as tf.Tensor }, { operand: true });
    (save as tf.GradSaveFunc)([value]);
    return { value, gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, tf.step(saved[0]!)) };
  });
  return op(x);
}

/** x · sigmoid(x). */
export function silu(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.sigmoid(x));
}

/** x / ‖x‖ over the last axis. */
export function l2Normalize(x: tf.Tensor): tf.Tensor {
  return tf.div(x, tf.sqrt(tf.sum(tf.square(x), -1, true)));
}

/** [B, T, K·D] → [B, K, T, D]. */
export function splitHeads(x: tf.Tensor, heads: number): tf.Tensor {
  const [batch, length, width] = x.shape as [number, number, number];
  return tf.transpose(tf.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, K, T, D] → [B, T, K·D]. */
export function mergeHeads(x: tf.Tensor): tf.Tensor {
  const [batch, heads, length, size] = x.shape as [number, number, number, number];
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, length, heads * size]);
}

/**
 * softmax((Q·scale)·Kᵀ + bias)·V. The division by the softmax's sum comes after the product with V, where rows are D
 * long instead of S: less work, and the order of rounding of the fused kernels that reference numbers are made with.
 * @param query [B, K, Q, D]
 * @param key [B, K, S, D]
 * @param value [B, K, S, D]
 * @param bias broadcastable to [B, K, Q, S]: relative positions and masks, additive
 * @param dropout applied to the probabilities
 * @returns [B, Q, K·D], heads side by side
 */
export function attend(
  query: tf.Tensor,
  key: tf.Tensor,
  value: tf.Tensor,
  bias: tf.Tensor | undefined,
  dropout: (x: tf.Tensor) => tf.Tensor = (x) => x,
  scale = 1,
): tf.Tensor {
  let scores: tf.Tensor = tf.matMul(scale === 1 ? query : tf.mul(query, scale), key, false, true);
  if (bias) scores = tf.add(bias, scores);
  const weights = shiftedExp(scores);
  // Dropout scales weights one by one, so it may come before the division by their sum.
  const mixed = tf.transpose(tf.matMul(dropout(weights), value), [0, 2, 1, 3]);
  const divided = divideRows(mixed, tf.transpose(tf.sum(weights, -1), [0, 2, 1]));
  const [batch, length, heads, size] = divided.shape as [number, number, number, number];
  return tf.reshape(divided, [batch, length, heads * size]);
}

/**
 * x / sums of each row, for a product to read. A compiled step under bf16 keeps `x` for the gradient as it would for a product,
 * and reads the result's gradient as the backward products do.
 * @param x [.., D]
 * @param sums [..]
 */
function divideRows(x: tf.Tensor, sums: tf.Tensor): tf.Tensor {
  const scaled = (rows: tf.Tensor, by: tf.Tensor): tf.Tensor => tf.mul(rows, tf.expandDims(tf.div(1, by), -1));
  const op = tf.customGrad((input, by, save) => {
    const kept = operand(input as tf.Tensor);
    (save as tf.GradSaveFunc)([kept, by as tf.Tensor]);
    return {
      value: operand(scaled(kept, by as tf.Tensor)),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [rows, divisor] = saved as [tf.Tensor, tf.Tensor];
        const read = operand(dy);
        // Of the rows as they came: what is subtracted from the gradients of attention's weights nearly cancels them.
        const along = tf.sum(tf.mul(read, rows), -1);
        return [scaled(read, divisor), tf.neg(tf.div(along, tf.square(divisor)))];
      },
    };
  });
  return op(x, sums);
}

/** A value that products read: a compiled step under bf16 keeps it as they do, in half the memory. */
const operand = (x: tf.Tensor): tf.Tensor => tf.engine().runKernel("Identity", { x }, { operand: true });

/**
 * Over the last axis, kept, for a softmax. A NaN may be passed over, which a compiled engine does in half the time: the
 * row's sum has it.
 */
export function rowMaximum(x: tf.Tensor): tf.Tensor {
  return tf.engine().runKernel("Max", { x }, { reductionIndices: [x.rank - 1], keepDims: true, skipsNaN: true });
}

/** exp(x − max x) over the last axis. The maximum cancels out in a softmax, so it gets no gradient. */
function shiftedExp(x: tf.Tensor): tf.Tensor {
  const op = tf.customGrad((input, save) => {
    const scores = input as tf.Tensor;
    const shifted = tf.sub(scores, rowMaximum(scores));
    // `operand`: a compiled step under bf16 keeps it as the product with V reads it, in half the memory. `anyScale`: it may
    // scale rows, since they are divided by their sums.
    const value: tf.Tensor = tf.engine().runKernel("Exp", { x: shifted }, { operand: true, anyScale: true });
    (save as tf.GradSaveFunc)([value]);
    return { value, gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, saved[0]!) };
  });
  return op(x);
}

/** Mask of 1 and 0, [B, S] → additive [B, 1, 1, S] of 0 and a large negative number. */
export function additiveMask(mask: tf.Tensor): tf.Tensor {
  const [batch, length] = mask.shape as [number, number];
  return tf.reshape(tf.mul(tf.sub(1, tf.cast(mask, "float32")), masked), [batch, 1, 1, length]);
}

/**
 * Additive causal mask [1, 1, Q, S]: query i, at position offset + i, sees the keys up to its own position.
 */
export function causalMask(queries: number, keys: number, offset = 0): tf.Tensor {
  const rows = tf.reshape(positions(queries), [queries, 1]);
  const columns = tf.reshape(positions(keys), [1, keys]);
  const future = tf.greater(columns, tf.add(rows, tf.scalar(offset, "int32")));
  return tf.reshape(tf.mul(tf.cast(future, "float32"), masked), [1, 1, queries, keys]);
}

/** 0, 1, …, length − 1 as int32. */
export function positions(length: number): tf.Tensor {
  return tf.tensor1d(
    Int32Array.from({ length }, (_, i) => i),
    "int32",
  );
}

/** Rows [P, H] → [B, P, H]; rows that have a batch already pass. A sum with zeros: its gradient is one reduction. */
export function expandBatch(rows: tf.Tensor, batch: number): tf.Tensor {
  if (rows.rank === 3) return rows;
  return tf.add(tf.expandDims(rows, 0), tf.zeros([batch, 1, 1]));
}
