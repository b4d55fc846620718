// Programs that are cut into parts: what is one part and who calls it, that the numbers are those of the whole program and
// of eager ops, and that no tensor is lost or kept. What needs libtensorflow is skipped where it is not installed.
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { compile, random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import type { Program } from "#toolkit/tensor/stablehlo/builder.ts";
import { trace } from "#toolkit/tensor/tracer.ts";

const tensorflow = discoverTensorflow().path;
if (tensorflow === undefined) console.log("libtensorflow is not installed here: programs in parts are not run");

const asked = process.env.BUNSEN_PARTS;
const parts = (value: string | undefined): void => {
  if (value === undefined) delete process.env.BUNSEN_PARTS;
  else process.env.BUNSEN_PARTS = value;
};
afterEach(() => parts(asked));

beforeAll(async () => {
  await useEngine(tensorflow === undefined ? "wasm" : "cpu");
});

type Fn = (...args: tf.Tensor[]) => tf.Tensor[];
const width = 16;
const normal = (shape: number[], seed: number, deviation = 1): tf.Tensor =>
  tf.randomNormal(shape, 0, deviation, "float32", seed);

const norm = (x: tf.Tensor): tf.Tensor =>
  tf.mul(x, tf.expandDims(tf.div(1, tf.sqrt(tf.add(tf.mean(tf.square(x), -1), 1e-6))), -1));
/** A residual block: twelve operations and more, and as many again in its gradient. */
const block = (x: tf.Tensor, w: tf.Tensor, v: tf.Tensor): tf.Tensor => {
  const h = tf.add(x, tf.matMul(tf.relu(tf.matMul(norm(x), w)), v));
  return tf.add(h, tf.matMul(tf.tanh(tf.matMul(norm(h), v)), w));
};
const weights = (count: number): tf.Tensor[] =>
  Array.from({ length: count }, (_, index) => normal([width, width], 10 + index, 0.2));
/** Loss and gradients of a stack of blocks, after an input of its own kind and before a sum. */
const stack =
  (layer: (x: tf.Tensor, w: tf.Tensor, v: tf.Tensor, index: number) => tf.Tensor = block): Fn =>
  (x, ...w) => {
    const loss = (input: tf.Tensor): tf.Scalar => {
      let h: tf.Tensor = tf.sigmoid(input);
      for (let i = 0; i + 1 < w.length; i += 2) h = layer(h, w[i]!, w[i + 1]!, i / 2);
      return tf.mean(tf.square(h));
    };
    const { value, grad } = tf.valueAndGrad(loss)(x!) as unknown as { value: tf.Tensor; grad: tf.Tensor };
    return [value, grad];
  };

const traced = (fn: Fn, args: tf.Tensor[], cut = { leastRepeated: 1, leastFlops: 0 }): Program =>
  trace(fn, args, { name: "f", precision: "f32", isNarrow: () => false, cut }).program;

/** How often each part is called, in the order in which they first are. */
function timesCalled({ parts }: Program): number[] {
  const times: number[] = [];
  for (const { part } of parts?.calls ?? []) times[part] = (times[part] ?? 0) + 1;
  return times;
}

describe("a program of repeated layers", () => {
  it("is cut into the layers and what is around them, forwards and backwards", () => {
    const program = traced(stack(), [normal([4, width], 1), ...weights(72)]);
    const repeated = timesCalled(program).filter((times) => times > 1);
    expect(repeated.length).toBeGreaterThanOrEqual(2);
    // Of 36 layers, several in each call.
    expect(Math.min(...repeated)).toBeGreaterThanOrEqual(5);
    expect(Math.max(...repeated)).toBeLessThanOrEqual(12);
    const text = program.parts!.parts.reduce((sum, part) => sum + part.text.length, 0);
    expect(text).toBeLessThan(0.6 * program.text.length);
  });

  it("passes each part what an earlier one made, and ends with all results", () => {
    const program = traced(stack(), [normal([4, width], 1), ...weights(8)]);
    const { parts, calls } = program.parts!;
    const known = new Set(program.arguments.map(({ value }) => value.name));
    for (const { part, takes, gives } of calls) {
      expect(takes.filter((name) => !known.has(name))).toEqual([]);
      expect(takes).toHaveLength(parts[part]!.takes.length);
      expect(gives).toHaveLength(parts[part]!.gives.length);
      for (const name of gives) known.add(name);
    }
    expect(program.results.filter(({ name }) => !known.has(name))).toEqual([]);
  });

  it("takes two kinds of layers that take turns as one, and what is left over with what comes after", () => {
    const other = (x: tf.Tensor, w: tf.Tensor): tf.Tensor => {
      const gate = tf.exp(tf.neg(tf.abs(tf.matMul(norm(x), w))));
      const h = tf.sub(x, tf.matMul(tf.sin(tf.matMul(norm(gate), w)), w));
      return tf.sub(h, tf.matMul(tf.cos(tf.matMul(norm(h), w)), w));
    };
    const turns: Fn = (x, ...w) => {
      let h = tf.sigmoid(x!);
      for (let i = 0; i < 4; i++) {
        h = block(h, w[0]!, w[1]!);
        if (i < 3) h = other(h, w[2]!);
      }
      return [tf.sum(tf.floor(tf.softplus(h)))];
    };
    expect(timesCalled(traced(turns, [normal([4, width], 1), ...weights(3)]))).toEqual([1, 3, 1]);
  });

  it("stays whole where it is short, quick or without repeats", () => {
    const args = [normal([4, width], 1), ...weights(12)];
    expect(traced(stack(), args, { leastRepeated: 500, leastFlops: 0 }).parts).toBeUndefined();
    expect(traced(stack(), args, { leastRepeated: 1, leastFlops: 1e9 }).parts).toBeUndefined();
    expect(traced((x, w, v) => [block(x!, w!, v!)], args.slice(0, 3)).parts).toBeUndefined();
  });

  it("turns a value where it is made, once for all that read it laid out", () => {
    const calledProducts = { target: "product", elements: ["f32" as const] };
    const turned = (x: tf.Tensor, w: tf.Tensor, v: tf.Tensor): tf.Tensor => {
      const heads = tf.transpose(tf.reshape(tf.matMul(norm(x), w), [4, 4, 4]), [1, 0, 2]);
      // Turned so that no stride says it, and read by a product here and by one of the gradient.
      return tf.add(x, tf.tanh(tf.matMul(tf.reshape(heads, [4, width]), v)));
    };
    const args = [normal([4, width], 1), ...weights(12)];
    const options = { name: "f", precision: "f32" as const, isNarrow: () => false, calledProducts };
    const loss = (...all: tf.Tensor[]): tf.Scalar => {
      let h: tf.Tensor = tf.sigmoid(args[0]!);
      for (let i = 0; i + 1 < all.length; i += 2) h = turned(h, all[i]!, all[i + 1]!);
      return tf.mean(tf.square(h));
    };
    const fn: Fn = (...w) => tf.valueAndGrads(loss)(w).grads;
    const cut = { leastRepeated: 1, leastFlops: 0 };
    const { parts, text } = trace(fn, args.slice(1), { ...options, cut }).program;
    const turns = (of: string): number => of.match(/stablehlo\.transpose/g)?.length ?? 0;
    expect(turns(text)).toBeGreaterThanOrEqual(12);
    expect(parts!.calls.reduce((sum, { part }) => sum + turns(parts!.parts[part]!.text), 0)).toBe(turns(text));
  });

  it("lets whoever runs a part to compile it leave its products out", () => {
    const calledProducts = { target: "product", elements: ["f32" as const] };
    const options = { name: "f", precision: "f32" as const, isNarrow: () => false, calledProducts };
    const args = [normal([4, width], 1), ...weights(8)];
    const cut = { leastRepeated: 1, leastFlops: 0 };
    const { program, sources } = trace(stack(), args, { ...options, cut });
    const place = program.arguments.findIndex(({ value }) => value.name === program.rehearsal?.name);
    expect(sources[place]).toMatchObject({ values: Int32Array.of(0) });
    for (const { text, takes } of program.parts!.parts) {
      const calls = [...text.matchAll(/custom_call @product\(([^)]*)\)/g)].map(([, operands]) => operands!.split(", "));
      expect(calls.filter((operands) => operands.at(-1) !== program.rehearsal!.name)).toEqual([]);
      expect(takes.some(({ name }) => name === program.rehearsal!.name)).toBe(calls.length > 0);
    }
    expect(trace(stack(), args, options).program.rehearsal).toBeUndefined();
  });

  it("does not follow a chain of cheap operations for each of its readers", () => {
    // From two vectors a matrix, and from that by 200 steps, each reading the last one twice, another: 2^200 paths.
    const chained = (x: tf.Tensor, w: tf.Tensor, v: tf.Tensor): tf.Tensor => {
      let outer = tf.mul(tf.expandDims(tf.sum(w, 1), 1), tf.expandDims(tf.sum(v, 0), 0));
      for (let i = 0; i < 200; i++) outer = tf.mul(tf.sub(outer, 0.5), outer);
      return block(x, w, outer);
    };
    const program = traced(stack(chained), [normal([4, width], 1), ...weights(8)]);
    expect(Math.max(...timesCalled(program))).toBeGreaterThanOrEqual(3);
  });
});

describe.skipIf(tensorflow === undefined)("programs in parts on libtensorflow", () => {
  const numbers = async (tensors: readonly tf.Tensor[]): Promise<number[][]> =>
    Promise.all(tensors.map(async (tensor) => Array.from(await tensor.data())));
  const run = async (
    fn: Fn,
    args: tf.Tensor[],
    { cut, precision = "f32" }: { cut: string; precision?: "f32" | "bf16" },
  ): Promise<{ first: number[][]; second: number[][] }> => {
    parts(cut);
    const compiled = compile(fn as (...args: tf.Tensor[]) => tf.Tensor[], { precision });
    try {
      const first = await numbers(await compiled(...args));
      expect(compiled.stats.parts > 1).toBe(cut !== "off");
      return { first, second: await numbers(await compiled(...args)) };
    } finally {
      compiled.dispose();
    }
  };
  const difference = (a: readonly number[][], b: readonly number[][]): number =>
    Math.max(
      ...a.map((values, i) => {
        const largest = Math.max(...b[i]!.map(Math.abs), 1e-30);
        return Math.max(...values.map((value, j) => Math.abs(value - b[i]![j]!))) / largest;
      }),
    );

  it("give the eager numbers in f32, in the first call and in later ones", async () => {
    const args = [normal([4, width], 1), ...weights(8)];
    const eager = await numbers(stack()(...args));
    const { first, second } = await run(stack(), args, { cut: "1" });
    expect(difference(first, eager)).toBeLessThan(1e-5);
    expect(second).toEqual(first);
  });

  it("give the whole program's numbers in bf16", async () => {
    const args = [normal([4, width], 1), ...weights(8)];
    const whole = await run(stack(), args, { cut: "off", precision: "bf16" });
    const cut = await run(stack(), args, { cut: "1", precision: "bf16" });
    expect(difference(cut.first, whole.first)).toBeLessThan(2e-2);
  });

  it("draw the random numbers of the whole program", async () => {
    const key = random.key(3);
    const noisy: Fn = (...args) =>
      stack((x, w, v, index) => {
        return random.dropout(random.foldIn(key, index), block(x, w, v), 0.3);
      })(...args);
    const args = [normal([4, width], 1), ...weights(8)];
    const whole = await run(noisy, args, { cut: "off" });
    const cut = await run(noisy, args, { cut: "1" });
    expect(difference(cut.first, whole.first)).toBeLessThan(1e-5);
  });

  it("give a tensor for each result, also of one value and of an argument", async () => {
    const fn: Fn = (x, ...w) => {
      const [loss, gradient] = stack()(x!, ...w) as [tf.Tensor, tf.Tensor];
      return [loss, loss, tf.reshape(loss, [1]), gradient, x!, tf.reshape(w[0]!, [width, width])];
    };
    const args = [normal([4, width], 1), ...weights(8)];
    parts("1");
    const compiled = compile(fn as (...args: tf.Tensor[]) => tf.Tensor[]);
    const out = await compiled(...args);
    const [loss, same, flat, , x, w] = await numbers(out);
    expect([same, flat]).toEqual([loss, loss]);
    expect([x, w]).toEqual(await numbers([args[0]!, args[1]!]));
    for (const tensor of out) tensor.dispose();
    expect(await numbers([args[0]!])).toEqual([x]);
    compiled.dispose();
  });

  it("go on with arguments that are freed while they run, and keep no tensor", async () => {
    parts("1");
    const compiled = compile(stack() as (...args: tf.Tensor[]) => tf.Tensor[]);
    const made = (): tf.Tensor[] => [normal([4, width], 1), ...weights(8)];
    const before = tf.memory().numTensors;
    const expected = await numbers(stack()(...made()));
    for (let round = 0; round < 2; round++) {
      const args = made();
      const calling = compiled(...args);
      await Promise.resolve();
      // The call has begun: programs are prepared at once, their parts run later.
      const out = await Promise.race([calling, new Promise<undefined>((next) => setImmediate(() => next(undefined)))]);
      for (const arg of args) arg.dispose();
      const results = out ?? (await calling);
      expect(difference(await numbers(results), expected)).toBeLessThan(1e-5);
      for (const tensor of results) tensor.dispose();
    }
    compiled.dispose();
    // The eager run's own are what is left.
    expect(tf.memory().numTensors - before).toBeLessThanOrEqual(1 + 8 + 2);
  });

  it("go on while an eager op fails beside them", async () => {
    parts("1");
    const compiled = compile(stack() as (...args: tf.Tensor[]) => tf.Tensor[]);
    const args = [normal([4, width], 1), ...weights(8)];
    const expected = await numbers(stack()(...args));
    for (const _ of ["compiling", "compiled"]) {
      const calling = compiled(...args);
      await new Promise((next) => setImmediate(next));
      expect(() => tf.add(tf.ones([2, 3]), tf.ones([4]))).toThrow(/Incompatible shapes/);
      expect(difference(await numbers(await calling), expected)).toBeLessThan(1e-5);
    }
    compiled.dispose();
  });

  it("are right for layers of any operations", async () => {
    const operations: readonly ((x: tf.Tensor, w: tf.Tensor) => tf.Tensor)[] = [
      (x, w) => tf.matMul(x, w),
      (x) => norm(x),
      (x, w) => tf.add(x, tf.sum(w, 0)),
      (x) => tf.tanh(x),
      (x) => tf.softmax(x),
      (x, w) => tf.mul(x, tf.sigmoid(tf.matMul(x, w, false, true))),
      (x) => tf.reverse(tf.reshape(tf.transpose(tf.reshape(x, [4, 4, 4]), [1, 0, 2]), [4, width]), 0),
      (x) => tf.mul(x, tf.step(x, 0.1)),
      (x) => tf.concat([tf.slice(x, [0, 8], [4, 8]), tf.slice(x, [0, 0], [4, 8])], 1),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(operations.length - 1), { minLength: 4, maxLength: 8 }),
        fc.integer({ min: 3, max: 5 }),
        async (chosen, layers) => {
          const fn = stack((x, w, v) => {
            const inner = chosen.reduce((h, index, place) => operations[index]!(h, place % 2 ? w : v), norm(x));
            return tf.add(tf.mul(x, 0.5), tf.tanh(tf.add(inner, tf.matMul(norm(inner), w))));
          });
          const args = [normal([4, width], 1), ...weights(2 * layers)];
          const eager = await numbers(fn(...args));
          const { first } = await run(fn, args, { cut: "1" });
          expect(difference(first, eager)).toBeLessThan(1e-4);
        },
      ),
      { numRuns: 6 },
    );
  });

  it("are refused where BUNSEN_PARTS is nonsense", async () => {
    parts("many");
    const compiled = compile((x: tf.Tensor) => tf.square(x));
    await expect(compiled(normal([2], 1))).rejects.toThrow(
      /BUNSEN_PARTS is "many"; expected "off" or a whole number of operations/,
    );
  });
});
