// Gradients of tfjs-core 4.22 that are wrong or fail, replaced: maximum, minimum and squared difference forget to sum
// over broadcast dimensions, that of a product calls a chained op that is not loaded, and that of a sum makes ones of its
// input's size on the host. Delete a row when upstream is right; the conformance suite says so.
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";

type Sides = (a: tf.Tensor, b: tf.Tensor, dy: tf.Tensor) => readonly [tf.Tensor, tf.Tensor];

/** Sums a gradient over the dimensions in which its input was broadcast. */
function unbroadcast(gradient: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, gradient.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(gradient, axes) : gradient, shape);
}

const masked = (dy: tf.Tensor, mask: tf.Tensor): tf.Tensor => tf.mul(dy, tf.cast(mask, "float32"));

const sides: Readonly<Record<string, Sides>> = {
  Maximum: (a, b, dy) => [masked(dy, tf.greaterEqual(a, b)), masked(dy, tf.less(a, b))],
  Minimum: (a, b, dy) => [masked(dy, tf.lessEqual(a, b)), masked(dy, tf.greater(a, b))],
  SquaredDifference: (a, b, dy) => {
    const slope = tf.mul(dy, tf.mul(tf.sub(a, b), 2));
    return [slope, tf.neg(slope)];
  },
};

function replace(kernelName: string, inputsToSave: string[], gradFunc: tf.GradFunc): void {
  tf.unregisterGradient(kernelName);
  tf.registerGradient({ kernelName, inputsToSave, gradFunc });
}

/**
 * Replaces them. To be called again after anything that registers tfjs's own gradients anew, which importing the
 * `@tensorflow/tfjs` package does.
 */
export function mendGradients(): void {
  for (const [kernelName, gradient] of Object.entries(sides)) {
    replace(kernelName, ["a", "b"], (dy, saved) => {
      const [a, b] = saved as [tf.Tensor, tf.Tensor];
      const pair = gradient(a, b, dy as tf.Tensor);
      return { a: () => unbroadcast(pair[0], a.shape), b: () => unbroadcast(pair[1], b.shape) };
    });
  }

  replace("Sum", ["x"], (dy, saved, attributes) => ({
    x: () => {
      const { shape } = saved[0]!;
      const axes = tf.util.parseAxisParam((attributes as { axis: number | number[] }).axis, shape);
      const kept = shape.map((size, index) => (axes.includes(index) ? 1 : size));
      // `fill` is a kernel, `ones` an array of JavaScript: 12 MiB for each attention of a T5-base step, when it is traced.
      return tf.mul(tf.reshape(dy as tf.Tensor, kept), tf.fill(shape, 1));
    },
  }));

  replace("Prod", ["x"], (dy, saved, attributes) => ({
    x: () => {
      const x = saved[0]!;
      const axes = tf.util.parseAxisParam((attributes as { axis: number | number[] }).axis, x.shape);
      const kept = x.shape.map((_, index) => index).filter((index) => !axes.includes(index));
      const order = [...kept, ...axes];
      const outer = kept.map((index) => x.shape[index]!);
      // The product of all others, as what is before times what is after: right where elements are zero, too.
      const flat = tf.reshape(tf.transpose(x, order), [...outer, -1]);
      const others = tf.mul(tf.cumprod(flat, outer.length, true), tf.cumprod(flat, outer.length, true, true));
      const slopes = tf.mul(others, tf.reshape(dy as tf.Tensor, [...outer, 1]));
      const inverse = order.map((_, index) => order.indexOf(index));
      return tf.transpose(
        tf.reshape(
          slopes,
          order.map((index) => x.shape[index]!),
        ),
        inverse,
      );
    },
  }));
}

mendGradients();
