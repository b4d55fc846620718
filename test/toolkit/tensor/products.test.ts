// How products are written for a processor: sums of them as one, small ones as multiplications, a gather that many
// kernels read as one, and bf16 joined by its bits. That the numbers stay is tested where libtensorflow is installed.
import { beforeAll, describe, expect, it } from "vitest";
import { relativeBias } from "#toolkit/models/t5/relative-bias.ts";
import { compile, tensorFromBytes, tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { trace } from "#toolkit/tensor/tracer.ts";

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: compiled products are not run");

type Precision = "f32" | "bf16";
const written = (fn: (...args: tf.Tensor[]) => tf.Tensor[], args: tf.Tensor[], precision: Precision = "f32") =>
  trace(fn, args, { name: "f", precision, isNarrow: () => false, mergedBatches: true }).program;
const count = (text: string, op: string): number => text.split(`stablehlo.${op} `).length - 1;
const random = (shape: number[], seed: number): tf.Tensor => tf.randomNormal(shape, 0, 1, "float32", seed);

/** Largest difference, relative to the largest number. */
function difference(a: tf.Tensor, b: tf.Tensor): number {
  const scale = tf.max(tf.abs(b)).dataSync()[0]!;
  return tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]! / scale;
}

beforeAll(async () => {
  await useEngine(hasNative ? "cpu" : "wasm");
});

describe("a sum of products of equal shapes", () => {
  const layers = 5;
  const states = (): tf.Tensor => random([2, 24, 40], 1);
  const rows = (): tf.Tensor[] => Array.from({ length: layers }, (_, index) => random([2, 8, 40], 2 + index));
  /** What each layer attends to is the same: its gradient is a sum over layers. */
  const gradient = (x: tf.Tensor, ...layer: tf.Tensor[]): tf.Tensor[] => {
    const attended = (s: tf.Tensor): tf.Scalar =>
      tf.addN(layer.map((q) => tf.sum(tf.square(tf.matMul(q, s, false, true))))) as tf.Scalar;
    return [valueAndGrads(attended, x).grads as tf.Tensor];
  };

  it("is one product of the joined operands, with as many operations", () => {
    const { text, flops } = written(gradient, [states(), ...rows()]);
    // Forward each layer's own, backward one for all.
    expect(count(text, "dot_general")).toBe(layers + 1);
    expect(text).toMatch(/concatenate .*dim = 2 .* -> tensor<2x24x40xf32>/);
    expect(text).toMatch(/dot_general .*\(tensor<2x24x40xf32>, tensor<2x40x40xf32>\) -> tensor<2x24x40xf32>/);
    expect(flops).toBe(2 * layers * (2 * 2 * 24 * 8 * 40));
  });
  it("joins bf16 by its bits, which XLA would widen", () => {
    const { text } = written(gradient, [states(), ...rows()], "bf16");
    expect(text).toMatch(/concatenate .* -> tensor<2x24x40xui16>/);
    expect(text).not.toMatch(/concatenate .*bf16/);
  });
  it.skipIf(!hasNative).each([
    ["f32", 1e-5],
    ["bf16", 2e-2],
  ] as const)("is the same sum in %s", async (precision, tolerance) => {
    const args: [tf.Tensor, ...tf.Tensor[]] = [states(), ...rows()];
    const [compiled] = await compile(gradient, { precision })(...args);
    expect(difference(compiled!, gradient(...args)[0]!)).toBeLessThan(tolerance);
  });

  const pair = (): tf.Tensor[] => [random([4, 64], 1), random([64, 80], 2), random([4, 64], 3), random([64, 80], 4)];
  const product = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => tf.matMul(a, b);
  it("stays as it is where joining would copy more than it spares", () => {
    const sum = ([a, b, c, d]: tf.Tensor[]): tf.Tensor[] => [tf.add(product(a!, b!), product(c!, d!))];
    expect(count(written((...all) => sum(all), pair()).text, "dot_general")).toBe(2);
  });
  it("stays as it is where one of the products is read by anything else, or is a result", () => {
    const wide = [random([64, 4], 1), random([4, 80], 2), random([64, 4], 3), random([4, 80], 4)];
    const products = (result: (x: tf.Tensor, y: tf.Tensor) => tf.Tensor[]): number =>
      count(written((a, b, c, d) => result(product(a!, b!), product(c!, d!)), wide).text, "dot_general");
    expect(products((x, y) => [tf.add(x, y)])).toBe(1);
    expect(products((x, y) => [tf.add(x, y), x])).toBe(2);
    expect(products((x, y) => [tf.add(x, y), tf.exp(y)])).toBe(2);
    // A partial sum that is read twice is computed once.
    expect(products((x, y) => [tf.exp(tf.add(x, y)), tf.neg(tf.add(x, y))])).toBe(1);
  });
  it("keeps what else is added, products of other shapes too", async () => {
    const sum = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor, e: tf.Tensor, f: tf.Tensor): tf.Tensor[] => [
      tf.add(tf.add(tf.add(product(a, b), tf.exp(product(a, d))), product(e, f)), tf.add(product(c, d), 1)),
    ];
    const args = [random([64, 4], 1), random([4, 80], 2), random([64, 4], 3), random([4, 80], 4)].concat(
      random([64, 70], 5),
      random([70, 80], 6),
    ) as Parameters<typeof sum>;
    expect(count(written((...all) => sum(...(all as Parameters<typeof sum>)), args).text, "dot_general")).toBe(3);
    if (!hasNative) return;
    const [compiled] = await compile(sum)(...args);
    expect(difference(compiled!, sum(...args)[0]!)).toBeLessThan(1e-5);
  });
});

describe("small products of a batch", () => {
  const args = (): [tf.Tensor, tf.Tensor] => [random([3, 4, 8, 16], 1), random([3, 4, 6, 16], 2)];
  it.each([
    ["a·bᵀ", (a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b, false, true)],
    ["a·b", (a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, tf.transpose(b, [0, 1, 3, 2]))],
    ["aᵀ·b", (a: tf.Tensor, b: tf.Tensor) => tf.matMul(tf.transpose(a, [0, 1, 3, 2]), b, true, true)],
  ])("are multiplications and a sum: %s", async (_, product) => {
    expect(count(written((a, b) => [product(a!, b!)], args()).text, "dot_general")).toBe(0);
    if (!hasNative) return;
    for (const precision of ["f32", "bf16"] as const) {
      const [compiled] = await compile((a: tf.Tensor, b: tf.Tensor) => [product(a, b)], { precision })(...args());
      expect(difference(compiled!, product(...args()))).toBeLessThan(precision === "f32" ? 1e-6 : 2e-2);
    }
  });
  it("are products from 4,096 multiplications each on", () => {
    const product = (rows: number): string =>
      written((a, b) => [tf.matMul(a!, b!)], [random([2, 3, rows, 16], 1), random([2, 3, 16, 16], 2)]).text;
    expect(count(product(16), "dot_general")).toBe(0);
    expect(count(product(17), "dot_general")).toBe(1);
  });
});

describe("a product that XLA turns into one it cannot compute", () => {
  /** Turned results: on a processor XLA folds these transposes into products of bf16 after it widened those it must. */
  const chain = (a: tf.Tensor, b: tf.Tensor): tf.Tensor[] => {
    const y = tf.transpose(tf.matMul(a, b));
    return [tf.matMul(y, a), tf.transpose(tf.relu(tf.matMul(y, y, false, true)))];
  };
  /** A turned operand that is a turned number itself, in batches. */
  const batches = (x: tf.Tensor): tf.Tensor[] => {
    const y = tf.reshape(tf.transpose(tf.relu(x), [1, 0, 2, 3]), [2, 3, 48, 48]);
    return [tf.matMul(y, y, true)];
  };
  const cases: [string, (...args: tf.Tensor[]) => tf.Tensor[], () => tf.Tensor[]][] = [
    ["results", chain as never, () => [random([96, 96], 1), random([96, 64], 2)]],
    ["operands", batches as never, () => [random([2, 3, 48, 48], 1)]],
  ];
  it.each(cases)("can be written in f32, of rounded operands: %s", (_, fn, args) => {
    const traced = trace(fn, args(), {
      name: "f",
      precision: "bf16",
      isNarrow: () => false,
      mergedBatches: true,
      wideProducts: true,
    });
    expect(traced.program.text).toMatch(/dot_general .*xf32>, .*xf32>\) ->/);
    expect(traced.program.text).not.toMatch(/dot_general .*bf16/);
    expect(traced.program.text).toMatch(/convert .* -> tensor<.*bf16>/);
  });
  it.skipIf(!hasNative).each(cases)(
    "is right in bf16, in the first call and in later ones: %s",
    async (_, fn, args) => {
      const wanted = fn(...args());
      const compiled = compile(fn, { precision: "bf16" });
      const several = [compiled(...args()), compiled(...args())];
      for (const call of [...several, compiled(...args())]) {
        const got = await call;
        wanted.forEach((want, index) => {
          expect(difference(got[index]!, want)).toBeLessThan(2e-2);
          expect(difference(got[index]!, want)).toBeGreaterThan(1e-5);
        });
      }
      // One program, or one that failed and the one instead of it, however many calls there were.
      expect(compiled.stats.executables).toBeLessThanOrEqual(2);
    },
  );
});

describe("a gather that is kept", () => {
  const buckets = { bidirectional: true, count: 32, maxDistance: 128 };
  const values = Float32Array.from({ length: 32 * 4 }, (_, index) => Math.sin(index + 1) * 10 ** ((index % 9) - 4));

  it("is a product, so that no layer gathers anew", () => {
    const { text } = written((table) => [relativeBias(table!, 16, 16, buckets)], [tf.tensor2d(values, [32, 4])]);
    expect(text).not.toContain("gather");
    expect(text).toMatch(/dot_general .*HIGHEST.* -> tensor<4x256xf32>/);
  });
  it("stays a gather where the product would be large", () => {
    const { text } = written((table) => [relativeBias(table!, 600, 600, buckets)], [tf.tensor2d(values, [32, 4])]);
    expect(text).toContain("stablehlo.gather");
    expect(text).not.toContain("dot_general");
  });
  it.skipIf(!hasNative).each(["f32", "bf16"] as const)("has the very bits of the table under %s", async (precision) => {
    for (const store of ["f32", "bf16"] as const) {
      const table = tensorFromBytes(new Uint8Array(values.buffer), "F32", [32, 4], { store });
      const bias = (t: tf.Tensor): tf.Tensor[] => [relativeBias(t, 12, 20, buckets, 8)];
      const [compiled] = await compile(bias, { precision })(table);
      expect(compiled!.dataSync()).toEqual(bias(table)[0]!.dataSync());
    }
  });
  it.skipIf(!hasNative)("has them too where two of them are added up", async () => {
    const pick = (x: tf.Tensor, indices: tf.Tensor): tf.Tensor =>
      tf.engine().runKernel("GatherV2", { x, indices }, { axis: 1, batchDims: 0, kept: true });
    const sum = (x: tf.Tensor, y: tf.Tensor, i: tf.Tensor, j: tf.Tensor): tf.Tensor[] => [
      tf.add(pick(x, i), pick(y, j)),
    ];
    const places = (step: number): tf.Tensor =>
      tf.tensor1d(
        Int32Array.from({ length: 256 }, (_, k) => (k * step) % 8),
        "int32",
      );
    const args = [random([64, 8], 1), random([64, 8], 2), places(1), places(3)] as const;
    const [got] = await compile(sum, { precision: "bf16" })(...args);
    expect(got!.dataSync()).toEqual(sum(...args)[0]!.dataSync());
  });
  it.skipIf(!hasNative)("has the gradient of a gather", async () => {
    const weights = random([1, 4, 12, 20], 3);
    const gradient = (t: tf.Tensor): tf.Tensor[] => [
      valueAndGrads((x: tf.Tensor) => tf.sum(tf.mul(relativeBias(x, 12, 20, buckets, 8), weights)) as tf.Scalar, t)
        .grads as tf.Tensor,
    ];
    const table = tf.tensor2d(values, [32, 4]);
    const [compiled] = await compile(gradient)(table);
    const [eager] = gradient(table);
    expect(difference(compiled!, eager!)).toBeLessThan(1e-5);
    // Head 0, bucket of distance 0: the diagonal of positions 8 + i and j.
    const diagonal = Array.from({ length: 12 }, (_, i) => weights.dataSync()[i * 20 + 8 + i]!);
    expect(eager!.dataSync()[0]).toBeCloseTo(
      diagonal.reduce((sum, value) => sum + value, 0),
      4,
    );
  });
});

describe.skipIf(!hasNative)("a function whose computing is small", () => {
  it("runs op by op, compiles nothing, and frees what it was given to keep", async () => {
    const f = compile((state: tf.Tensor, x: tf.Tensor) => [tf.add(tf.mul(state, 2), x)], {
      small: () => true,
      donate: [0],
    });
    const [state, x] = [tf.tensor1d([1, 2]), tf.tensor1d([10, 20])];
    const [sum] = await f(state, x);
    expect([...sum!.dataSync()]).toEqual([12, 24]);
    expect(state.isDisposed).toBe(true);
    expect(f.stats).toMatchObject({ calls: 1, compileMs: 0, traceMs: 0 });
  });
});
