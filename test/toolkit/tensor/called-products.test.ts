// Products that a library computes: what becomes a call and how it is described, that the numbers are the eager ones for
// every arrangement of operands, oneDNN against plain loops, and files that are no oneDNN. What needs the libraries is
// skipped where they are not installed.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attend, relu } from "#toolkit/nn/index.ts";
import { compile, currentEngine, NativeLibraryError, tf, useEngine } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { discoverOnednn } from "#toolkit/tensor/runtimes/onednn/discover.ts";
import { type Onednn, startOnednn } from "#toolkit/tensor/runtimes/onednn/library.ts";
import { reshapedView, turnedView, type View } from "#toolkit/tensor/stablehlo/called-products.ts";
import { trace } from "#toolkit/tensor/tracer.ts";

const tensorflow = discoverTensorflow().path;
const isInstalled = tensorflow !== undefined && discoverOnednn().path !== undefined;
if (!isInstalled) console.log("libtensorflow or oneDNN is not installed here: called products are not run");

const folder = mkdtempSync(join(tmpdir(), "bunsen-onednn-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Precision = "f32" | "bf16";
type Fn = (...args: tf.Tensor[]) => tf.Tensor[];
const written = (fn: Fn, args: tf.Tensor[], precision: Precision = "f32", softmax = false): string =>
  trace(fn, args, {
    name: "f",
    precision,
    isNarrow: () => false,
    mergedBatches: true,
    calledProducts: { target: "product", elements: ["f32", "bf16"], softmax },
  }).program.text;
const descriptions = (text: string): string[] =>
  [...text.matchAll(/custom_call @product\(.*backend_config = {product = "([^"]*)"}/g)].map(([, found]) => found!);
const random = (shape: number[], seed: number): tf.Tensor => tf.randomNormal(shape, 0, 1, "float32", seed);

/** Attention without its softmax, as layers write it: heads are folded out of the last dimension and back. */
const attention: Fn = (x, wq, wk) => {
  const heads = (y: tf.Tensor): tf.Tensor => tf.transpose(tf.reshape(y, [2, 16, 4, 32]), [0, 2, 1, 3]);
  const project = (w: tf.Tensor): tf.Tensor => tf.reshape(tf.matMul(tf.reshape(x, [32, 128]), w), [2, 16, 128]);
  const [q, k] = [heads(project(wq!)), heads(project(wk!))];
  const mixed = tf.matMul(tf.matMul(q, k, false, true), k);
  return [tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [2, 16, 128])];
};
const attentionArgs = (): tf.Tensor[] => [random([2, 16, 128], 1), random([128, 128], 2), random([128, 128], 3)];

/** Largest difference, relative to the largest number. */
const error = (a: tf.Tensor, b: tf.Tensor): number =>
  tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]! / tf.max(tf.abs(b)).dataSync()[0]!;

beforeAll(async () => {
  await useEngine(tensorflow === undefined ? "wasm" : "cpu");
});

describe("a called product", () => {
  it("takes what was turned before it, and what is turned after it, as strides", () => {
    const text = written(attention, attentionArgs());
    expect(text).not.toMatch(/stablehlo\.(transpose|dot_general)/);
    expect(descriptions(text)).toEqual([
      "32 32 2 32 128 128 128 1 128 1 128 1",
      "32 32 2 32 128 128 128 1 128 1 128 1",
      // [2, 4] heads of [16, 32] by [32, 16]: a head's rows are 128 numbers apart.
      "32 32 4 2 4 16 32 16 2048 32 128 1 2048 32 1 128 1024 256 16 1",
      "32 32 4 2 4 16 16 32 1024 256 16 1 2048 32 128 1 2048 32 128 1",
    ]);
  });
  it("says the layout of operands and result, which XLA would choose otherwise", () => {
    expect(written(attention, attentionArgs())).toMatch(
      /operand_layouts = \[dense<\[2,1,0\]> : tensor<3xindex>, dense<\[1,0\]> : tensor<2xindex>\], result_layouts = \[dense<\[1,0\]> : tensor<2xindex>\]/,
    );
  });
  it("writes bf16 where nothing else is read", () => {
    const text = written(attention, attentionArgs(), "bf16");
    expect(text.match(/custom_call .*-> tensor<32x128xbf16>/g)).toHaveLength(2);
    expect(text).toMatch(/custom_call .*-> tensor<2x16x4x32xf32>/);
    const both = written(
      (a, b) => [tf.matMul(tf.matMul(a!, b!), b!), tf.matMul(a!, b!)],
      [random([64, 64], 1), random([64, 64], 2)],
      "bf16",
    );
    expect(both).not.toMatch(/custom_call .*-> tensor<64x64xbf16>/);
  });
  it("is the product of the turned operands where its result is turned", () => {
    const text = written((a, b) => [tf.transpose(tf.matMul(a!, b!))], [random([8, 16], 1), random([16, 32], 2)]);
    expect(text).not.toContain("stablehlo.transpose");
    expect(descriptions(text)).toEqual(["32 32 2 32 16 8 1 32 1 16 8 1"]);
  });
  it("joins a sum of products without turning their operands", () => {
    const sum: Fn = (x, ...w) => [
      tf.addN(w.map((each) => tf.matMul(tf.mul(x!, tf.slice(each, [0, 0], [1, 1])), each, true))),
    ];
    const text = written(sum, [random([4, 64], 1), ...[2, 3, 4, 5].map((seed) => random([4, 64], seed))]);
    expect(descriptions(text)).toEqual(["32 32 2 64 16 64 1 64 64 1 64 1"]);
    expect(text).not.toContain("stablehlo.transpose");
  });
  it("reads the exponents of an attention too, so that exponentials are not written over them", () => {
    const readsOf = (length: number, precision: Precision, fn = attend): number[] => {
      const args = [1, 2, 3].map((seed) => random([2, 4, length, 32], seed));
      return [...written(fn, args, precision).matchAll(/custom_call @product\(([^)]*)\)/g)].map(
        ([, operands]) => operands!.split(", ").length,
      );
    };
    const attend: Fn = (q, k, v) => {
      const scores = tf.matMul(q!, k!, false, true);
      const weights = tf.exp(tf.sub(scores, tf.max(scores, -1, true)));
      return [tf.mul(tf.matMul(weights, v!), tf.div(1, tf.sum(weights, -1, true)))];
    };
    expect(readsOf(64, "f32")).toEqual([2, 3]);
    // Their sum reads them in f32, so they are written so, and then again as bf16.
    expect(readsOf(64, "bf16")).toEqual([2, 3]);
    // Short loops are quick either way.
    expect(readsOf(16, "f32")).toEqual([2, 2]);
    // They need not stay for the backward pass: one product alone reads them.
    const backwards: Fn = (q, k, v) => {
      const { grads } = tf.valueAndGrads((...args: tf.Tensor[]) => tf.sum(attend(...args)[0]!))([q!, k!, v!]);
      return grads;
    };
    const text = written(
      backwards,
      [1, 2, 3].map((seed) => random([2, 4, 64, 32], seed)),
    );
    const [scores] = /%\d+(?= = stablehlo.custom_call @product.* -> tensor<2x4x64x64xf32>)/.exec(text)!;
    const readers = [...text.matchAll(/custom_call @product\(([^)]*)\)/g)].filter(([, operands]) =>
      operands!.split(", ").includes(scores),
    );
    expect(readers).toHaveLength(1);
  });
  it.each<[string, Fn, () => tf.Tensor[]]>([
    ["of integers", (a, b) => [tf.matMul(a!, b!)], () => [tf.ones([8, 8], "int32"), tf.ones([8, 8], "int32")]],
    ["over nothing", (a, b) => [tf.matMul(a!, b!)], () => [tf.zeros([8, 0]), tf.zeros([0, 8])]],
    [
      "whose rows are no stretch",
      (a, b) => [tf.einsum("abc,bd->acd", a!, b!)],
      () => [random([8, 9, 10], 1), random([9, 8], 2)],
    ],
  ])("is none %s", (_, fn, args) => {
    const text = written(fn, args());
    expect(text).toContain("stablehlo.dot_general");
    expect(text).not.toContain("custom_call");
  });
});

describe("what is done to a product before it is written", () => {
  const heads = [2, 4, 256, 32];
  const mask = (): tf.Tensor => random([2, 1, 1, 256], 4);
  const places = (): tf.Tensor => random([1, 4, 256, 256], 5);
  const attention: Fn = (q, k, v, a, b) => [attend(q!, k!, v!, tf.add(a!, b!))];
  const attentionArgs = (): tf.Tensor[] => [...[1, 2, 3].map((seed) => random(heads, seed)), mask(), places()];
  const softmaxes = (fn: Fn, args = attentionArgs(), precision: Precision = "bf16", softmax = true): string[] =>
    descriptions(written(fn, args, precision, softmax)).filter((description) => description.endsWith("softmax"));

  it("is attention's softmax, with what is added to its scores", () => {
    const text = written(attention, attentionArgs(), "bf16", true);
    expect(descriptions(text)).toEqual([
      "16 16 4 2 4 256 32 256 32768 8192 32 1 32768 8192 1 32 262144 65536 256 1 add 256 0 0 1 add 0 65536 256 1 softmax",
      // Heads side by side, divided by nothing: the softmax did.
      "16 16 4 2 4 256 256 32 262144 65536 256 1 32768 8192 32 1 32768 32 128 1",
    ]);
    expect(text).not.toMatch(/stablehlo\.(exponential|divide|multiply|subtract|reduce)/);
  });
  it("is that of a step's forward pass, too, whose gradient reads the weights", () => {
    const step: Fn = (q, k, v, a, b) => {
      const loss = (...all: tf.Tensor[]): tf.Scalar => tf.sum(tf.square(attention(...all, a!, b!)[0]!));
      return tf.valueAndGrads(loss)([q!, k!, v!]).grads;
    };
    const found = softmaxes(step);
    expect(found).toHaveLength(1);
  });
  it("may have no, one and whole sums of numbers added", () => {
    const [found] = softmaxes((q, k, v) => [attend(q!, k!, v!, undefined)]);
    expect(found).not.toContain("add");
    const whole = [...attentionArgs().slice(0, 3), random([2, 4, 256, 256], 6)];
    expect(softmaxes((q, k, v, a) => [attend(q!, k!, v!, a!)], whole)[0]).toMatch(/ add 262144 65536 256 1 softmax$/);
    // With dropout the weights are kept as they are, for the gradient.
    expect(softmaxes((q, k, v, a, b) => [attend(q!, k!, v!, tf.add(a!, b!), (x) => tf.mul(x, 2))])).toHaveLength(1);
  });
  it.each<[string, () => string[]]>([
    ["in f32", () => softmaxes(attention, attentionArgs(), "f32")],
    ["where the library has none", () => softmaxes(attention, attentionArgs(), "bf16", false)],
    [
      "of few scores",
      () =>
        softmaxes(
          (q, k, v) => [attend(q!, k!, v!, undefined)],
          [1, 2, 3].map((seed) => random([2, 4, 16, 32], seed)),
        ),
    ],
    [
      "of scores that are read by others",
      () => softmaxes((...args) => [...attention(...args), tf.matMul(args[0]!, args[1]!, false, true)]),
    ],
    [
      "with numbers that are the same along rows",
      () =>
        softmaxes(
          (q, k, v, a) => [attend(q!, k!, v!, a!)],
          [...attentionArgs().slice(0, 3), random([2, 1, 256, 1], 6)],
        ),
    ],
  ])("is no softmax %s", (_, found) => {
    expect(found()).toEqual([]);
  });
});

describe("a view", () => {
  const view = (shape: number[], permutation: number[]): View => {
    const base = { name: "%x", shape, element: "f32" as const };
    const strides = shape.map((_, index) => shape.slice(index + 1).reduce((a, b) => a * b, 1));
    return turnedView({ base, shape, strides }, permutation);
  };
  it.each([
    [[2, 3, 4, 5], [0, 2, 1, 3], [2, 4, 15], null],
    [
      [2, 3, 4, 5],
      [0, 1, 3, 2],
      [6, 5, 4],
      [20, 1, 5],
    ],
    [
      [2, 3, 4, 5],
      [2, 3, 0, 1],
      [20, 6],
      [1, 20],
    ],
    [
      [2, 1, 6],
      [2, 1, 0],
      [2, 3, 2],
      [3, 1, 6],
    ],
    [
      [4, 6],
      [1, 0],
      [6, 1, 2, 2],
      [1, 1, 12, 6],
    ],
  ])("of %j turned by %j, reshaped to %j, has strides %j", (shape, permutation, to, strides) => {
    expect(reshapedView(view(shape, permutation), to)?.strides ?? null).toEqual(strides);
  });
});

describe.skipIf(!isInstalled)("programs whose products oneDNN computes", () => {
  it("are what the engine runs", () => {
    expect(currentEngine().products).toMatch(/^oneDNN's \(f32/);
    expect(currentEngine().version).toMatch(/^TensorFlow [\d.]+, oneDNN 3\.\d+\.\d+$/);
  });

  it.each<[string, (x: tf.Tensor) => tf.Tensor]>([
    ["", (x) => x],
    [", with dropout", (x) => tf.mul(x, tf.cast(tf.greater(tf.cos(tf.mul(tf.range(0, 200), 7)), -0.5), "float32"))],
  ])("give attention and its gradients in bf16, its softmax along with the scores%s", async (_, dropout) => {
    // 200 keys: not what a processor takes at a time.
    const args = [tf.mul(random([2, 4, 192, 32], 1), 0.2), random([2, 4, 200, 32], 2), random([2, 4, 200, 32], 3)];
    const mask = tf.reshape(tf.mul(tf.cast(tf.greater(tf.range(0, 400), 330), "float32"), -1e9), [2, 1, 1, 200]);
    const bias = tf.add(random([1, 4, 192, 200], 4), mask);
    const step: Fn = (...qkv) => {
      const value = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor): tf.Tensor => attend(q, k, v, bias, dropout);
      const loss = (...all: tf.Tensor[]): tf.Scalar => tf.sum(tf.square(value(all[0]!, all[1]!, all[2]!)));
      return [value(qkv[0]!, qkv[1]!, qkv[2]!), ...tf.valueAndGrads(loss)(qkv).grads];
    };
    const expected = step(...args);
    const made = await compile(step, { precision: "bf16" })(...args);
    for (const [index, each] of made.entries())
      expect(error(each, expected[index]!), `result ${index}`).toBeLessThan(2e-2);
  });
  it("give a NaN where attention's scores or a feed-forward layer's numbers are none", async () => {
    const spoiled = tf.concat([tf.fill([1, 1, 1, 32], Number.NaN), random([1, 1, 599, 32], 1)], 2);
    const [key, weight] = [random([1, 1, 600, 32], 2), random([32, 600], 3)];
    const step = compile(
      (x: tf.Tensor) => [
        attend(x, key, key, undefined),
        tf.matMul(relu(tf.matMul(tf.reshape(x, [600, 32]), weight)), weight, false, true),
      ],
      { precision: "bf16" },
    );
    for (const each of await step(spoiled)) {
      const isNone = [...each.dataSync()].map(Number.isNaN);
      expect(isNone.slice(0, 32).every(Boolean)).toBe(true);
      expect(isNone.slice(32).some(Boolean)).toBe(false);
    }
  });

  const forms: [string, Fn, number[], number[]][] = [
    ["a row", (a, b) => [tf.matMul(a!, b!)], [1, 96], [96, 64]],
    ["a column", (a, b) => [tf.matMul(a!, b!)], [96, 64], [64, 1]],
    ["an outer product", (a, b) => [tf.matMul(a!, b!)], [96, 1], [1, 64]],
    ["one number", (a, b) => [tf.matMul(a!, b!)], [1, 96], [96, 1]],
    ["both turned", (a, b) => [tf.matMul(a!, b!, true, true)], [96, 32], [64, 96]],
    ["turned operands of a batch", (a, b) => [tf.matMul(a!, b!, true, true)], [3, 96, 32], [3, 64, 96]],
    ["a turned row", (a, b) => [tf.matMul(a!, b!, true, false)], [96, 1], [96, 64]],
    ["a batch of one", (a, b) => [tf.matMul(a!, b!, false, true)], [1, 40, 96], [1, 64, 96]],
    ["a matrix for a whole batch", (a, b) => [tf.matMul(a!, b!)], [2, 3, 40, 96], [1, 1, 96, 64]],
    ["two batch dimensions", (a, b) => [tf.matMul(a!, b!, true)], [2, 3, 96, 40], [2, 3, 96, 64]],
    ["batches in the middle", (a, b) => [tf.einsum("bthd,bshd->bhts", a!, b!)], [2, 20, 3, 32], [2, 24, 3, 32]],
    ["batches at the end", (a, b) => [tf.einsum("tdb,sdb->bts", a!, b!)], [20, 32, 3], [24, 32, 3]],
    ["two inner dimensions", (a, b) => [tf.einsum("bthd,hdm->btm", a!, b!)], [2, 20, 3, 32], [3, 32, 64]],
    ["a result turned", (a, b) => [tf.transpose(tf.matMul(a!, b!), [1, 0, 2])], [3, 40, 96], [3, 96, 64]],
    [
      "a result turned and read as it was",
      (a, b) => {
        const y = tf.matMul(a!, b!);
        return [tf.transpose(y), tf.relu(y)];
      },
      [40, 96],
      [96, 64],
    ],
    [
      "a result turned and multiplied",
      (a, b) => {
        const y = tf.transpose(tf.matMul(a!, b!));
        return [tf.matMul(y, a!), tf.matMul(y, y, false, true)];
      },
      [96, 96],
      [96, 64],
    ],
    ["rows of 4 KiB", (a, b) => [tf.matMul(a!, b!)], [64, 96], [96, 3072]],
    [
      "a sum of products",
      (a, b) => [tf.addN([0, 1, 2, 3, 4].map((by) => tf.matMul(tf.mul(a!, by), b!)))],
      [64, 96],
      [96, 64],
    ],
    ["as many threads as there are", (a, b) => [tf.matMul(a!, b!, false, true)], [256, 768], [768, 768]],
  ];
  it.each(forms)("give the eager numbers: %s", async (_, fn, left, right) => {
    const args = [random(left, 5), random(right, 6)];
    const wanted = fn(...args);
    for (const [precision, tolerance] of [
      ["f32", 1e-5],
      ["bf16", 2e-2],
    ] as const) {
      const got = await compile(fn, { precision })(...args);
      wanted.forEach((want, index) => {
        expect(got[index]!.shape).toEqual(want.shape);
        const scale = tf.max(tf.abs(want)).dataSync()[0]!;
        expect(tf.max(tf.abs(tf.sub(got[index]!, want))).dataSync()[0]!).toBeLessThanOrEqual(tolerance * scale);
      });
    }
  });

  it("are computed though whole numbers, which say whether they are, are read beside them", async () => {
    const integers = tf.tensor(
      Int32Array.from({ length: 4 * 64 * 64 }, (_, i) => 1 + (i % 5)),
      [4, 64, 64],
      "int32",
    );
    const fn: Fn = (n, w) => {
      const next = tf.add(n!, tf.scalar(1, "int32"));
      return [tf.sum(n!), tf.sum(next), tf.matMul(tf.cast(next, "float32"), w!)];
    };
    const args = [integers, random([4, 64, 64], 5)];
    const [, , got] = await compile(fn)(...args);
    const [, , expected] = fn(...args);
    const [a, b] = [got!.dataSync(), expected!.dataSync()];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-3);
  });

  it("are the same in a process that takes them from the cache", async () => {
    const engine = JSON.stringify(join(import.meta.dirname, "../../../toolkit/tensor/index.ts"));
    const file = join(folder, "cached.ts");
    writeFileSync(
      file,
      `const { compile, tf, useEngine } = await import(${engine});
      await useEngine("cpu");
      const x = tf.reshape(tf.sin(tf.range(0, 64 * 64)), [64, 64]);
      const f = compile((a) => { const y = tf.matMul(tf.relu(a), a); return [y, tf.matMul(tf.transpose(y), a)]; }, { name: "cached" });
      console.log(JSON.stringify((await f(x)).map((y) => [...y.dataSync()])));
      process.exit(0);`,
    );
    const cache = join(folder, "programs");
    const run = async (): Promise<string> => {
      const child = Bun.spawn([process.execPath, file], {
        env: { ...process.env, BUNSEN_XLA_CACHE: cache },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
      expect(err).toBe("");
      return out;
    };
    const kept = (): string[] => [...new Bun.Glob("**/*.pb").scanSync(cache)];
    const first = await run();
    const programs = kept();
    expect(programs.length).toBeGreaterThan(0);
    expect(await run()).toBe(first);
    expect(kept()).toEqual(programs);
  });

  it("go on when the JavaScript thread that registered the target has ended", async () => {
    const engine = JSON.stringify(join(import.meta.dirname, "../../../toolkit/tensor/index.ts"));
    const work = `
      const { compile, tf, useEngine } = await import(${engine});
      await useEngine("cpu");
      const [product] = await compile((a) => [tf.matMul(a, a)], { name: "f" + Math.random() })(tf.ones([64, 64]));
      const sum = tf.sum(product).dataSync()[0];`;
    const worker = join(folder, "worker.ts");
    writeFileSync(worker, `${work} postMessage(sum);`);
    const main = join(folder, "main.ts");
    writeFileSync(
      main,
      `const worker = new Worker(${JSON.stringify(worker)});
      const first = await new Promise((resolve, reject) => { worker.onmessage = (event) => resolve(event.data); worker.onerror = reject; });
      const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
      worker.terminate();
      await closed;
      for (let i = 0; i < 20; i++) { new Uint8Array(2 ** 22).fill(i); Bun.gc(true); }
      ${work} console.log(first, sum); process.exit(0);`,
    );
    const child = Bun.spawn([process.execPath, main], { stdout: "pipe", stderr: "pipe", cwd: process.cwd() });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    expect(`${out}${err}`.trim()).toBe(`${64 ** 3} ${64 ** 3}`);
    expect(await child.exited).toBe(0);
  });
});

describe.skipIf(!isInstalled)("oneDNN and plain loops", () => {
  const start = () => startOnednn(discoverOnednn(), tensorflow!, 2)!;
  const values = (count: number, seed: number): Float32Array => random([count], seed).dataSync() as Float32Array;
  const narrow = (numbers: Float32Array): Uint16Array =>
    Uint16Array.from(new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length), (bits) => bits >>> 16);
  const widen = (bits: Uint16Array): Float32Array =>
    new Float32Array(Uint32Array.from(bits, (half) => half * 65536).buffer);

  const descriptions: [string, number][] = [
    ["32 32 2 70 50 90 50 1 90 1 90 1", 1e-5],
    ["32 32 2 70 50 90 1 70 1 50 90 1", 1e-5],
    ["32 32 3 6 70 50 90 3500 50 1 4500 90 1 6300 90 1", 1e-5],
    ["32 32 4 2 4 70 16 70 4480 16 64 1 4480 16 1 64 19600 4900 70 1", 1e-5],
    ["32 32 4 2 4 70 70 16 19600 4900 70 1 4480 16 64 1 4480 16 64 1", 1e-5],
    // More than one thread: a lone product, and a batch.
    ["32 32 2 130 190 180 190 1 180 1 180 1", 1e-5],
    ["32 32 3 3 130 110 100 14300 110 1 11000 100 1 13000 100 1", 1e-5],
    ["16 32 2 70 50 90 50 1 90 1 90 1", 1e-5],
    ["16 32 2 70 50 90 50 1 1 50 90 1", 1e-5],
    ["16 16 2 70 50 90 50 1 90 1 90 1", 1e-2],
    ["16 32 4 2 4 70 16 70 4480 16 64 1 4480 16 1 64 19600 4900 70 1", 1e-5],
    ["16 16 4 2 4 70 70 16 19600 4900 70 1 4480 16 64 1 4480 16 64 1", 1e-2],
    ["16 32 2 130 190 180 190 1 180 1 180 1", 1e-5],
    ["16 16 3 3 130 110 100 14300 110 1 11000 100 1 13000 100 1", 1e-2],
    // One number left over from the eights and fours that are widened and narrowed at once.
    ["16 16 2 3 7 11 7 1 11 1 11 1", 1e-2],
  ];
  // What two threads share piece by piece on some processors: rows, columns, batches, with a last piece that is smaller.
  const cut: [string, number][] = [
    ["32 32 2 140 190 180 190 1 180 1 180 1", 1e-5],
    ["32 32 2 140 190 180 190 1 1 190 180 1", 1e-5],
    ["32 32 2 32 200 700 200 1 700 1 700 1", 1e-5],
    ["32 32 2 64 720 130 720 1 1 720 130 1", 1e-5],
    ["32 32 2 200 190 130 190 1 1 190 130 1", 1e-5],
    ["32 32 3 5 100 90 95 9000 90 1 8550 95 1 9500 95 1", 1e-5],
    ["32 32 4 2 5 70 70 90 24500 4900 1 70 31500 90 450 1 31500 90 450 1", 1e-5],
    ["16 32 2 140 190 180 190 1 180 1 180 1", 1e-5],
    ["16 16 2 140 190 180 190 1 1 190 180 1", 1e-2],
    ["16 32 2 200 190 130 190 1 1 190 130 1", 1e-5],
    ["16 16 2 32 200 700 200 1 700 1 700 1", 1e-2],
    ["16 32 2 64 720 130 720 1 1 720 130 1", 1e-5],
    ["16 16 3 5 100 90 95 9000 90 1 8550 95 1 9500 95 1", 1e-2],
    ["16 16 4 2 5 70 70 90 24500 4900 1 70 31500 90 450 1 31500 90 450 1", 1e-2],
  ];
  // What no two threads would share well: three matrices, and few rows for which each column would be turned.
  const uncut: [string, number][] = [
    ["32 32 3 3 130 110 101 14300 110 1 11110 101 1 13130 101 1", 1e-5],
    ["32 32 2 20 1700 130 1700 1 1 1700 130 1", 1e-5],
    ["16 16 2 16 1100 250 1100 1 1 1100 250 1", 1e-2],
  ];
  // Sums of a whole matrix or one row, and softmaxes: of few rows, of many at a time with some left over, of a batch.
  const fused: [string, number][] = [
    ["16 32 2 70 50 90 50 1 90 1 90 1 add 90 1", 1e-5],
    ["16 32 2 70 50 90 50 1 1 50 90 1 add 0 1 add 90 1", 1e-5],
    ["16 32 2 140 190 180 190 1 180 1 180 1 add 180 1", 1e-5],
    ["16 16 2 200 190 130 190 1 1 190 130 1 add 0 1", 1e-2],
    ["16 16 2 70 50 90 50 1 90 1 90 1 softmax", 1e-2],
    ["16 32 2 140 20 1000 20 1 1000 1 1000 1 add 0 1 softmax", 1e-5],
    ["16 16 4 2 4 70 16 70 4480 16 64 1 4480 16 1 64 19600 4900 70 1 add 0 4900 70 1 add 70 0 0 1 softmax", 1e-2],
    ["16 16 3 2 150 70 600 10500 70 1 42000 1 70 90000 600 1 add 90000 600 1 softmax", 1e-2],
  ];
  const result = (onednn: Onednn, description: string, how?: Parameters<Onednn["multiply"]>[4]): Float32Array => {
    const [type, outType] = description.split(" ").map(Number) as [number, number];
    const operand = (seed: number) => (type === 16 ? narrow(values(300_000, seed)) : values(300_000, seed));
    const out = outType === 16 ? new Uint16Array(300_000) : new Float32Array(300_000);
    const added = [3, 4].map((seed) => values(300_000, seed));
    onednn.multiply(description, operand(1), operand(2), out, how, added);
    return out instanceof Uint16Array ? widen(out) : out;
  };
  const off = (a: Float32Array, b: Float32Array): number =>
    Math.max(...a.map((value, index) => Math.abs(value - b[index]!))) / Math.max(...b.map(Math.abs));

  it.each(descriptions)("agree: %s", (description, tolerance) => {
    const onednn = start();
    const slow = onednn.slowProducts();
    const plain = result(onednn, description, "by loops");
    expect(Math.max(...plain.map(Math.abs))).toBeGreaterThan(1);
    expect(off(result(onednn, description), plain)).toBeLessThan(tolerance);
    expect(off(result(onednn, description, "widened"), plain)).toBeLessThan(tolerance);
    // Each of these has code of its own for this processor.
    expect(onednn.slowProducts()).toBe(slow);
  });

  it.each(fused)("agree: %s", (description, tolerance) => {
    const onednn = start();
    const slow = onednn.slowProducts();
    const plain = result(onednn, description, "by loops");
    expect(Math.max(...plain)).toBeGreaterThan(0.9);
    for (let round = 0; round < 3; round++) expect(off(result(onednn, description), plain)).toBeLessThan(tolerance);
    const isFast = description.endsWith("softmax") ? onednn.products.softmax : onednn.hasBf16;
    if (isFast) expect(onednn.slowProducts()).toBe(slow);
  });

  it("keep a NaN to its row of a softmax", () => {
    const left = narrow(Float32Array.of(1, 2, Number.NaN, 1, -1, -2));
    const rows = new Float32Array(6);
    start().multiply("16 32 2 3 2 2 2 1 2 1 2 1 softmax", left, narrow(Float32Array.of(1, 0, 0, 1)), rows);
    expect([...rows.slice(2, 4)]).toEqual([Number.NaN, Number.NaN]);
    expect(rows[0]! + rows[1]!).toBeCloseTo(1, 6);
    expect(rows[1]! / rows[0]!).toBeCloseTo(Math.E, 4);
  });

  const processor = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "";
  const isShared = availableParallelism() === 2 && /AuthenticAMD/.test(processor) && /\bavx512bw\b/.test(processor);
  it.each([...cut.map((each) => [...each, true] as const), ...uncut.map((each) => [...each, false] as const)])(
    "agree where two threads share the pieces: %s (± %d; %s)",
    (description, tolerance, isCut) => {
      const onednn = start();
      const [cuts, slow] = [onednn.cutProducts(), onednn.slowProducts()];
      const plain = result(onednn, description, "by loops");
      expect(Math.max(...plain.map(Math.abs))).toBeGreaterThan(1);
      for (let round = 0; round < 5; round++)
        expect(off(result(onednn, description), plain), `round ${round}`).toBeLessThan(tolerance);
      expect(onednn.cutProducts() - cuts).toBe(isShared && isCut ? 1 : 0);
      expect(onednn.slowProducts()).toBe(slow);
    },
  );

  it("agree in bf16 where pieces would be widened, on a processor with AVX-512 and no bf16", async () => {
    const file = join(folder, "narrow.ts");
    const root = join(import.meta.dirname, "../../../toolkit/tensor");
    writeFileSync(
      file,
      `const { startOnednn } = await import(${JSON.stringify(join(root, "runtimes/onednn/library.ts"))});
      const { discoverOnednn } = await import(${JSON.stringify(join(root, "runtimes/onednn/discover.ts"))});
      const { discoverTensorflow } = await import(${JSON.stringify(join(root, "runtimes/libtensorflow/discover.ts"))});
      const { useEngine } = await import(${JSON.stringify(join(root, "index.ts"))});
      await useEngine("cpu");
      const onednn = startOnednn(discoverOnednn(), discoverTensorflow().path, 2);
      const operand = (count, by) => Uint16Array.from({ length: count }, (_, i) => 0x3f80 + ((i * by) % 97) + 0x8000 * (i % 3 === 0));
      let worst = 0;
      for (const description of ["16 16 2 32 200 700 200 1 700 1 700 1", "16 16 4 1 8 96 128 64 98304 128 1024 1 65536 64 512 1 49152 64 512 1"]) {
        const [left, right] = [operand(300_000, 7), operand(300_000, 11)];
        const results = ["by loops", "as a program"].map((how) => {
          const out = new Uint16Array(300_000);
          onednn.multiply(description, left, right, out, how);
          return new Float32Array(Uint32Array.from(out, (half) => half * 65536).buffer);
        });
        const scale = Math.max(...results[0].map(Math.abs));
        worst = Math.max(worst, ...results[0].map((value, i) => Math.abs(value - results[1][i]) / scale));
      }
      console.log(worst);
      process.exit(0);`,
    );
    const child = Bun.spawn([process.execPath, file], {
      env: { ...process.env, ONEDNN_MAX_CPU_ISA: "AVX512_CORE" },
      stdout: "pipe",
      stderr: "pipe",
      cwd: process.cwd(),
    });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    expect(err).toBe("");
    expect(Number(out)).toBeLessThan(1e-2);
  });

  it.each(["by loops", "widened"] as const)("round to bf16 as one does: %s", (how) => {
    // a + b of bf16, and the sum as bf16.
    const sums: [number, number, number][] = [
      [0x3f80, 0x3b80, 0x3f80], // 1 + 2⁻⁸: halfway, to even
      [0x3f81, 0x3b80, 0x3f82],
      [0xbf81, 0xbb80, 0xbf82],
      [0x3f80, 0x3b81, 0x3f81],
      [0x7f7f, 0x7f7f, 0x7f80], // too large: infinity
      [0x7f80, 0x0000, 0x7f80],
      [0xff80, 0x3f80, 0xff80],
      [0x7f80, 0xff80, 0x7fc0], // no number
      [0x7fc0, 0x3f80, 0x7fc0],
    ];
    const left = Uint16Array.from(sums.flatMap((sum) => sum.slice(0, 2)));
    const out = new Uint16Array(sums.length);
    const description = `16 16 2 ${sums.length} 2 1 2 1 1 1 1 1`;
    start().multiply(description, left, Uint16Array.of(0x3f80, 0x3f80), out, how);
    const isNone = (bits: number): boolean => (bits & 0x7fff) > 0x7f80;
    expect([...out].map((bits) => (isNone(bits) ? 0x7fc0 : bits))).toEqual(sums.map(([, , sum]) => sum));
  });

  it("give every thread its own memory: products of one description at once are each right", async () => {
    const count = 48;
    const shapes: [number[], number[]][] = [
      [
        [2, 40, 64],
        [2, 48, 64],
      ],
      [
        [16, 128],
        [200, 128],
      ],
    ];
    for (const [left, right] of shapes)
      for (const [precision, tolerance] of [
        ["f32", 1e-5],
        ["bf16", 2e-2],
      ] as const) {
        const lefts = Array.from({ length: count }, (_, index) => random(left, 100 + index));
        const rights = Array.from({ length: count }, (_, index) => random(right, 200 + index));
        const each: Fn = (...args) =>
          args.slice(0, count).map((a, index) => tf.matMul(a, args[count + index]!, false, true));
        const wanted = each(...lefts, ...rights);
        const together = compile(each, { precision });
        for (let round = 0; round < 10; round++) {
          const got = await together(...lefts, ...rights);
          got.forEach((product, index) => {
            const difference = off(product.dataSync() as Float32Array, wanted[index]!.dataSync() as Float32Array);
            expect(difference, `${precision} ${index}`).toBeLessThan(tolerance);
            product.dispose();
          });
        }
      }
  });
});

describe.skipIf(process.platform !== "linux")("discovery of oneDNN", () => {
  const library = join(folder, "venv/lib/libdnnl.so.3");
  beforeAll(() => {
    mkdirSync(join(folder, "venv/lib"), { recursive: true });
    writeFileSync(library, "not a library");
  });
  it.each([
    ["the active venv", { VIRTUAL_ENV: join(folder, "venv") }],
    ["the prefix that a kernelspec names", { BUNSEN_PREFIX: join(folder, "venv") }],
    ["BUNSEN_ONEDNN as a prefix", { BUNSEN_ONEDNN: join(folder, "venv") }],
    ["BUNSEN_ONEDNN as a folder", { BUNSEN_ONEDNN: join(folder, "venv/lib") }],
    ["BUNSEN_ONEDNN as a file", { BUNSEN_ONEDNN: library }],
  ])("finds it by %s", (_, environment) => {
    expect(discoverOnednn(environment, "/").path).toBe(library);
  });
  it("looks nowhere when it is off, and nowhere else when it is named", () => {
    expect(discoverOnednn({ BUNSEN_ONEDNN: "off", VIRTUAL_ENV: join(folder, "venv") }, "/")).toEqual({ looked: [] });
    const wrong = discoverOnednn({ BUNSEN_ONEDNN: "/no/such", VIRTUAL_ENV: join(folder, "venv") }, "/");
    expect(wrong.path).toBeUndefined();
    expect(() => startOnednn(wrong, "/no/such", 2)).toThrow(/BUNSEN_ONEDNN names \/no\/such, where no oneDNN is/);
  });
  it("refuses a file that is no library, and a libtensorflow that takes no products", () => {
    expect(() => startOnednn({ path: library, looked: [] }, "/no/such", 2)).toThrow(NativeLibraryError);
    const real = discoverOnednn();
    if (real.path === undefined) return console.log("no oneDNN here");
    const copy = join(folder, "libdnnl.so.3");
    copyFileSync(real.path, copy);
    expect(() => startOnednn({ path: copy, looked: [] }, "/no/such", 2)).toThrow(
      /does not let a product be registered/,
    );
  });
  it.skipIf(!isInstalled)("refuses another library with what it lacks", () => {
    const libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"].find(
      (path) => existsSync(path),
    );
    if (!libc) return console.log("no libc.so.6 in a known place: nothing to refuse");
    expect(() => startOnednn({ path: libc, looked: [] }, tensorflow!, 2)).toThrow(
      /it lacks a function of oneDNN 3's C API/,
    );
  });
});
