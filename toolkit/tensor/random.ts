// Random numbers for tensors: counter-based and keyed. The same key gives the same numbers on every engine, and no
// hidden state is advanced; a key is a tensor, so inside a compiled step it is an argument and never a constant.
// Not a stream: whoever needs new numbers derives a new key (`foldIn`, `split`).
import * as tf from "@tensorflow/tfjs-core";
import { randomKernels } from "./random-names.ts";
import { foldKey, randomBernoulli, randomUniform, splitKey } from "./threefry.ts";

/** A random key, [2] int32. */
export type Key = tf.Tensor;

const run = (name: string, inputs: tf.NamedTensorMap, attributes: tf.NamedAttrMap = {}): tf.Tensor =>
  tf.engine().runKernel(name, inputs, attributes) as tf.Tensor;

function checkKey(key: Key, caller: string): Key {
  if (key.shape.length === 1 && key.shape[0] === 2 && key.dtype === "int32") return key;
  throw new TypeError(
    `random.${caller} expected a key ([2] int32, from random.key, split or foldIn), got ${key.dtype} [${key.shape}]`,
  );
}

/** The key of a seed: a safe integer, negative ones as two's complement in 64 bits. */
export function key(seed: number): Key {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`a seed is a safe integer, got ${seed}`);
  const wide = BigInt.asUintN(64, BigInt(seed));
  return tf.tensor1d(Int32Array.of(Number(wide >> 32n) | 0, Number(wide & 0xffffffffn) | 0), "int32");
}

/** A new key from a key and an integer (a step, a layer): a number, or an int32 scalar tensor. */
export function foldIn(from: Key, data: number | tf.Tensor): Key {
  checkKey(from, "foldIn");
  if (typeof data === "number" && !Number.isInteger(data))
    throw new RangeError(`random.foldIn expected an integer, got ${data}`);
  const value = typeof data === "number" ? tf.scalar(data | 0, "int32") : data;
  if (value.size !== 1 || value.dtype !== "int32") {
    throw new TypeError(`random.foldIn expected an int32 scalar, got ${value.dtype} [${value.shape}]`);
  }
  return run(randomKernels.foldIn, { key: from, data: value });
}

/** `count` independent keys. */
export function split(from: Key, count = 2): Key[] {
  checkKey(from, "split");
  const keys = run(randomKernels.split, { key: from }, { count });
  return tf.unstack(keys);
}

/** float32 in [minimum, maximum). */
export function uniform(from: Key, shape: readonly number[], minimum = 0, maximum = 1): tf.Tensor {
  checkKey(from, "uniform");
  const unit = run(randomKernels.uniform, { key: from }, { shape: [...shape] });
  return minimum === 0 && maximum === 1 ? unit : tf.add(tf.mul(unit, maximum - minimum), minimum);
}

/**
 * float32 of the normal distribution (Box–Muller, one uniform pair per number). The uniform numbers are equal on
 * every engine bit for bit; logarithm and cosine are the engine's own, so these differ in the last places.
 */
export function normal(from: Key, shape: readonly number[], mean = 0, deviation = 1): tf.Tensor {
  checkKey(from, "normal");
  return tf.tidy(() => {
    const pair = uniform(from, [2, ...shape]);
    const [radius, angle] = tf.unstack(pair) as [tf.Tensor, tf.Tensor];
    // 1 - u is in (0, 1]: the logarithm is finite.
    const length = tf.sqrt(tf.mul(tf.log(tf.sub(1, radius)), -2));
    const unit = tf.mul(length, tf.cos(tf.mul(angle, 2 * Math.PI)));
    return tf.add(tf.mul(unit, deviation), mean);
  });
}

/** bool, true with this probability: where the uniform number of the same key and place is below it. */
export function bernoulli(from: Key, probability: number, shape: readonly number[]): tf.Tensor {
  checkKey(from, "bernoulli");
  return run(randomKernels.bernoulli, { key: from }, { shape: [...shape], probability });
}

/**
 * Inverted dropout: zeroes each element with probability `rate` and scales the others by 1 / (1 - rate).
 * Rate 0 returns `x` itself.
 */
export function dropout(from: Key, x: tf.Tensor, rate: number): tf.Tensor {
  if (!(rate >= 0 && rate < 1)) throw new RangeError(`a dropout rate is in [0, 1), got ${rate}`);
  if (rate === 0) return x;
  return tf.tidy(() => tf.mul(x, tf.mul(tf.cast(bernoulli(from, 1 - rate, x.shape), "float32"), 1 / (1 - rate))));
}

/** The part of a tfjs backend that these kernels need. */
interface HostBackend {
  readSync(dataId: object): ArrayLike<number>;
  write(values: Float32Array | Int32Array | Uint8Array, shape: number[], dtype: tf.DataType): object;
}

type HostKernel = (
  inputs: Record<string, tf.TensorInfo>,
  attributes: Record<string, unknown>,
  backend: HostBackend,
) => { readonly values: Float32Array | Int32Array | Uint8Array; readonly shape: number[] };

const hostKernels: Readonly<Record<string, HostKernel>> = {
  [randomKernels.split]: ({ key: from }, { count }, backend) => {
    const words = backend.readSync(from!.dataId);
    return { values: splitKey(words[0]!, words[1]!, count as number), shape: [count as number, 2] };
  },
  [randomKernels.foldIn]: ({ key: from, data }, _attributes, backend) => {
    const words = backend.readSync(from!.dataId);
    return { values: foldKey(words[0]!, words[1]!, backend.readSync(data!.dataId)[0]!), shape: [2] };
  },
  [randomKernels.uniform]: ({ key: from }, { shape }, backend) => {
    const words = backend.readSync(from!.dataId);
    return {
      values: randomUniform(words[0]!, words[1]!, tf.util.sizeFromShape(shape as number[])),
      shape: shape as number[],
    };
  },
  [randomKernels.bernoulli]: ({ key: from }, { shape, probability }, backend) => {
    const words = backend.readSync(from!.dataId);
    const size = tf.util.sizeFromShape(shape as number[]);
    return { values: randomBernoulli(words[0]!, words[1]!, size, probability as number), shape: shape as number[] };
  },
};

/** Lets a backend that reads on the host compute the random kernels. Safe to call twice. */
export function registerHostRandom(backendName: string): void {
  for (const [kernelName, kernel] of Object.entries(hostKernels)) {
    if (tf.getKernel(kernelName, backendName)) continue;
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs, backend }) => {
        const host = backend as unknown as HostBackend;
        const { values, shape } = kernel(
          inputs as Record<string, tf.TensorInfo>,
          (attrs ?? {}) as Record<string, unknown>,
          host,
        );
        const dtype = values instanceof Float32Array ? "float32" : values instanceof Int32Array ? "int32" : "bool";
        return { dataId: host.write(values, shape, dtype) as tf.TensorInfo["dataId"], shape, dtype };
      },
    });
  }
}
