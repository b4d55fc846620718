// The keyed random kernels of random.ts as integer operations: threefry-2x32, the same bits as the TypeScript
// reference. `rng_bit_generator` is not used: its bits are not promised to be equal between implementations.

import { randomKernels } from "../../random-names.ts";
import { bernoulliThreshold, domains, parity, rotations } from "../../threefry.ts";
import { type Builder, type Element, sizeOf, type Value } from "../builder.ts";
import type { Lowering } from "./lowering.ts";

/** Keys [n, 2] ui32. */
const table = (b: Builder, keys: readonly Value[]): Value => b.bitcast(b.stack(keys), "ui32");

/** The two words of one key, [1, 2] ui32, as scalars. */
const wordsOf = (b: Builder, key: Value): [Value, Value] => [
  b.reshape(b.slice(key, [0, 0], [1, 1]), []),
  b.reshape(b.slice(key, [0, 1], [1, 2]), []),
];

/** What `finish` makes of 23 random bits, `size` of them for each key: [keys, size]. */
function draws(
  b: Builder,
  keys: readonly Value[],
  size: number,
  element: Element,
  finish: (b: Builder, bits: Value) => Value,
): Value {
  const draw = (inner: Builder, key: Value): Value => {
    const [x0, x1] = threefry(inner, wordsOf(inner, key), domains.bits, inner.iota([size], 0, "ui32"));
    return finish(inner, inner.with("shift_right_logical", inner.binary("xor", x0, x1), 9));
  };
  const all = table(b, keys);
  if (keys.length === 1) return draw(b, all);
  return b.rowsByLoop(keys.length, [size], element, [all], (inner, index, [own]) =>
    draw(inner, inner.dynamicRow(own!, index)),
  );
}

function rotateLeft(b: Builder, x: Value, distance: number): Value {
  return b.binary("or", b.with("shift_left", x, distance), b.with("shift_right_logical", x, 32 - distance));
}

/** Twenty rounds over counters (domain, c1), element by element. */
function threefry(b: Builder, [k0, k1]: readonly [Value, Value], domain: number, c1: Value): [Value, Value] {
  const k2 = b.with("xor", b.binary("xor", k0, k1), parity);
  const schedule = [k0, k1, k2];
  let x0 = b.broadcast(b.with("add", k0, domain), c1.shape);
  let x1 = b.binary("add", c1, k1);
  for (let group = 0; group < 5; group++) {
    for (const distance of rotations[group % 2]!) {
      x0 = b.binary("add", x0, x1);
      x1 = b.binary("xor", rotateLeft(b, x1, distance), x0);
    }
    x0 = b.binary("add", x0, schedule[(group + 1) % 3]!);
    x1 = b.binary("add", x1, b.with("add", schedule[(group + 2) % 3]!, group + 1));
  }
  return [x0, x1];
}

export const random: Readonly<Record<string, Lowering>> = {
  [randomKernels.uniform]: (b, { key }, attributes) => {
    const shape = attributes.shape as number[];
    const size = sizeOf(shape);
    if (size === 0) return b.splat(0, shape, "f32");
    // Random bits as the mantissa of a float in [1, 2); the subtraction is exact.
    const unit = (inner: Builder, bits: Value): Value =>
      inner.with("subtract", inner.bitcast(inner.with("or", bits, 0x3f800000), "f32"), 1);
    return b.defer(`uniform ${shape}`, key!, shape, "f32", (keys) => draws(b, keys, size, "f32", unit));
  },
  [randomKernels.bernoulli]: (b, { key }, attributes) => {
    const { shape, probability } = attributes as { shape: number[]; probability: number };
    const size = sizeOf(shape);
    if (size === 0) return b.splat(0, shape, "i1");
    const below = (inner: Builder, bits: Value): Value =>
      inner.compare("LT", bits, inner.splat(bernoulliThreshold(probability), [], "ui32"));
    return b.defer(`bernoulli ${probability} ${shape}`, key!, shape, "i1", (keys) => draws(b, keys, size, "i1", below));
  },
  [randomKernels.split]: (b, { key }, attributes) => {
    const count = attributes.count as number;
    const [x0, x1] = threefry(b, wordsOf(b, table(b, [key!])), domains.split, b.iota([count], 0, "ui32"));
    return b.bitcast(b.concatenate([b.reshape(x0, [count, 1]), b.reshape(x1, [count, 1])], 1), "i32");
  },
  [randomKernels.foldIn]: (b, { key, data }) => {
    const write = (integers: readonly Value[]): Value => {
      const fold = (inner: Builder, parent: Value, counter: Value): Value => {
        const [x0, x1] = threefry(inner, wordsOf(inner, parent), domains.foldIn, inner.bitcast(counter, "ui32"));
        return inner.bitcast(inner.concatenate([inner.reshape(x0, [1]), inner.reshape(x1, [1])], 0), "i32");
      };
      const parent = table(b, [key!]);
      const counters = b.stack(integers);
      if (integers.length === 1) return fold(b, parent, counters);
      return b.rowsByLoop(integers.length, [2], "i32", [parent, counters], (inner, index, [own, all]) =>
        fold(inner, own!, inner.dynamicRow(all!, index)),
      );
    };
    return b.defer(`foldIn ${key!.name}`, b.reshape(data!, []), [2], "i32", write, [key!]);
  },
};
