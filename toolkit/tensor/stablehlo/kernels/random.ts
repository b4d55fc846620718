// The keyed random kernels of random.ts as integer operations: threefry-2x32, the same bits as the TypeScript
// reference. `rng_bit_generator` is not used: its bits are not promised to be equal between implementations.

import { randomKernels } from "../../random-names.ts";
import { domains, parity, rotations } from "../../threefry.ts";
import { type Builder, sizeOf, type Value } from "../builder.ts";
import type { Lowering } from "./lowering.ts";

/** The two words of a key as unsigned scalars. */
function words(b: Builder, key: Value): [Value, Value] {
  const unsigned = b.bitcast(key, "ui32");
  const word = (index: number): Value => b.reshape(b.slice(unsigned, [index], [index + 1]), []);
  return [word(0), word(1)];
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
    const [x0, x1] = threefry(b, words(b, key!), domains.bits, b.iota([size], 0, "ui32"));
    const mantissa = b.with("shift_right_logical", b.binary("xor", x0, x1), 9);
    const oneToTwo = b.bitcast(b.with("or", mantissa, 0x3f800000), "f32");
    return b.reshape(b.with("subtract", oneToTwo, 1), shape);
  },
  [randomKernels.split]: (b, { key }, attributes) => {
    const count = attributes.count as number;
    const [x0, x1] = threefry(b, words(b, key!), domains.split, b.iota([count], 0, "ui32"));
    return b.bitcast(b.concatenate([b.reshape(x0, [count, 1]), b.reshape(x1, [count, 1])], 1), "i32");
  },
  [randomKernels.foldIn]: (b, { key, data }) => {
    const counter = b.reshape(b.bitcast(data!, "ui32"), [1]);
    const [x0, x1] = threefry(b, words(b, key!), domains.foldIn, counter);
    return b.bitcast(b.concatenate([x0, x1], 0), "i32");
  },
};
