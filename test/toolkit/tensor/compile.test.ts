// What `compile` promises beyond numbers: errors that say what to do, captures, donation, signatures, no leaks of the
// tracing backend. Tracing needs no native library; calls run where libtensorflow is installed.
import { beforeAll, describe, expect, it } from "vitest";
import { compileFor, type Device, type Executable } from "#toolkit/tensor/compile.ts";
import {
  CompileError,
  compile,
  disposeTree,
  EngineError,
  random,
  tf,
  useEngine,
  valueAndGrads,
} from "#toolkit/tensor/index.ts";
import { plainCompile } from "#toolkit/tensor/plain-compile.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { foldKey, randomBernoulli, randomUniform } from "#toolkit/tensor/threefry.ts";
import { trace, tracingBackend } from "#toolkit/tensor/tracer.ts";

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: compiled calls are not tested");

const options = { name: "f", precision: "f32", isNarrow: () => false } as const;

beforeAll(async () => {
  await useEngine(hasNative ? "cpu" : "wasm");
});

describe("tracing", () => {
  it("restores the backend after success, after an error, and leaves no tensor behind", () => {
    const before = [tf.getBackend(), tf.memory().numTensors];
    trace((x: tf.Tensor) => [tf.add(x, 1)], [tf.zeros([2])], options);
    expect(() =>
      trace(
        () => {
          throw new Error("mine");
        },
        [],
        options,
      ),
    ).toThrow("mine");
    expect([tf.getBackend(), tf.memory().numTensors - 1]).toEqual(before);
  });
  it.each([
    ["dataSync", (x: tf.Tensor) => [tf.scalar(x.dataSync()[0]!)]],
    ["arraySync", (x: tf.Tensor) => [tf.tensor(x.arraySync())]],
  ])("refuses %s and says what to do instead", (_, fn) => {
    expect(() => trace(fn, [tf.zeros([1])], { ...options, name: "my step" })).toThrow(CompileError);
    expect(() => trace(fn, [tf.zeros([1])], { ...options, name: "my step" })).toThrow(
      /my step reads a tensor's value.*choose with tf.where/s,
    );
  });
  it("names a kernel that cannot be compiled and the line that called it", () => {
    const uses = (x: tf.Tensor): tf.Tensor[] => [tf.image.resizeBilinear(x as tf.Tensor3D, [4, 4])];
    expect(() => trace(uses, [tf.zeros([2, 2, 1])], options)).toThrow(
      /f uses the kernel ResizeBilinear, which cannot be compiled \(.*compile\.test\.ts/,
    );
  });
  it("refuses an asynchronous function and a compiled call inside another", () => {
    expect(() => trace((async (x: tf.Tensor) => [x]) as never, [tf.zeros([1])] as never, options)).toThrow(
      "is asynchronous",
    );
    expect(() =>
      trace((x: tf.Tensor) => trace((y: tf.Tensor) => [y], [x], options).out, [tf.zeros([1])], options),
    ).toThrow("while f is being compiled");
  });
  it.each([
    ["a product", (x: tf.Tensor) => tf.matMul(x, x), "matMul of shapes [2,3] and [2,3]: the inner sizes differ"],
    ["a sum", (x: tf.Tensor) => tf.add(x, tf.ones([4])), "shapes [2,3] and [4] do not broadcast"],
    ["a reshape", (x: tf.Tensor) => tf.reshape(x, [5]), "6 elements do not have the shape [5]"],
  ])("refuses %s of shapes that do not match, by name", (_, op, message) => {
    expect(() => trace((x: tf.Tensor) => [op(x)], [tf.zeros([2, 3])], options)).toThrow(message);
  });
  it("refuses a tensor that was kept from an earlier trace", () => {
    let stolen: tf.Tensor | undefined;
    trace(
      (x: tf.Tensor) => {
        stolen = tf.keep(tf.add(x, 1));
        return [stolen];
      },
      [tf.zeros([1])],
      options,
    );
    expect(() => stolen!.dataSync()).toThrow("while it is compiled");
  });
  it("writes equal operations once and unused ones not at all", () => {
    const { program } = trace(
      (x: tf.Tensor) => {
        tf.exp(tf.mul(x, 7));
        return [tf.add(tf.sin(x), tf.sin(x))];
      },
      [tf.zeros([2])],
      options,
    );
    expect(program.text.match(/stablehlo\.sine/g)).toHaveLength(1);
    expect(program.text).not.toContain("exponential");
  });
  it("passes frozen weights as arguments and small constants as text", () => {
    const weight = tf.ones([4, 4]);
    const { program, sources } = trace(
      (x: tf.Tensor) => [tf.matMul(x, weight), tf.mul(x, tf.tensor1d([1, 2, 3, 4])), tf.add(x, tf.range(0, 4))],
      [tf.zeros([1, 4])],
      options,
    );
    expect(sources.map(({ kind }) => kind)).toEqual(["argument", "captured"]);
    expect(program.flops).toBe(2 * 4 * 4);
  });
  it("gives frozen weights no gradient operations", () => {
    const weight = tf.ones([8, 8]);
    const backward = trace(
      (x: tf.Tensor) => [valueAndGrads((p: tf.Tensor) => tf.sum(tf.matMul(p, weight)), x).grads],
      [tf.zeros([2, 8])],
      options,
    );
    expect(backward.program.text.match(/dot_general/g)).toHaveLength(1);
  });
  describe("products with several batch dimensions, where the device is slow with them", () => {
    const operands = (): [tf.Tensor, tf.Tensor] => [
      tf.randomNormal([3, 2, 64, 16], 0, 1, "float32", 1),
      tf.randomNormal([3, 2, 64, 8], 0, 1, "float32", 2),
    ];
    const product = (a: tf.Tensor, b: tf.Tensor): tf.Tensor[] => [tf.matMul(a, b, true, false)];
    const text = (precision: "f32" | "bf16", mergedBatches: boolean): string =>
      trace(product, operands(), { ...options, precision, mergedBatches }).program.text;

    it("have one, and turn the smaller operand instead of contracting the first one's rows", () => {
      const turned = (element: string): RegExp =>
        new RegExp(
          `batching_dims = \\[0\\] x \\[0\\], contracting_dims = \\[2\\] x \\[1\\].* : \\(tensor<6x8x64x${element}>, tensor<6x64x16x${element}>\\)`,
        );
      expect(text("bf16", true)).toMatch(turned("bf16"));
      expect(text("f32", true)).toMatch(turned("f32"));
    });
    it("stay as they are elsewhere", () => {
      const plain = "batching_dims = [0,1] x [0,1], contracting_dims = [2] x [2]";
      expect(text("bf16", false)).toContain(plain);
      expect(text("f32", false)).toContain(plain);
    });
    it.skipIf(!hasNative).each([
      ["f32", 1e-6],
      ["bf16", 2e-2],
    ] as const)("are the same products in %s", async (precision, tolerance) => {
      const [x, y] = operands();
      const compiled = compile(product, { precision });
      const [value] = await compiled(x, y);
      const expected = tf.matMul(x, y, true, false);
      expect(value!.shape).toEqual([3, 2, 16, 8]);
      const off = tf.max(tf.abs(tf.sub(value!, expected))).dataSync()[0]!;
      expect(off).toBeLessThan(tolerance * tf.max(tf.abs(expected)).dataSync()[0]!);
      compiled.dispose();
    });
  });
  it("keeps what products read as bf16 alone in bf16, where its maker says so", async () => {
    const exp = (x: tf.Tensor): tf.Tensor[] => {
      const value: tf.Tensor = tf.engine().runKernel("Exp", { x }, { operand: true });
      return [tf.add(value, 0), tf.matMul(value, value)];
    };
    const x = tf.tensor2d([0.1, 0.2, 0.3, 0.4], [2, 2]);
    expect(trace(exp, [x], options).program.text).not.toContain("bf16");
    const { text } = trace(exp, [x], { ...options, precision: "bf16" }).program;
    // Narrowed once; the other user reads the same bits.
    expect(text.match(/convert .*-> tensor<2x2xbf16>/g)).toHaveLength(1);
    expect(text).toContain("bitcast_convert");
    if (!hasNative) return;
    const compiled = compile(exp, { precision: "bf16" });
    const [sum] = await compiled(x);
    // The 16 high bits of e^x, rounded to nearest.
    expect(Array.from(sum!.dataSync())).toEqual([1.1015625, 1.21875, 1.3515625, 1.4921875]);
    compiled.dispose();
  });
  it("writes one reshape for several in a row, and none where they lead back", () => {
    const { text } = trace(
      (x: tf.Tensor) => {
        const folded = tf.reshape(tf.reshape(x, [6, 4]), [24]);
        return [tf.exp(folded), tf.sin(tf.reshape(folded, [2, 3, 4]))];
      },
      [tf.zeros([2, 3, 4])],
      options,
    ).program;
    expect(text.match(/stablehlo.reshape/g)).toHaveLength(1);
    expect(text).toMatch(/stablehlo.sine %arg0/);
  });
  it("writes a sum of many numbers as sums of windows, where the device's compiler does not", () => {
    const total = (shape: number[], windowedSums: boolean): string =>
      trace((x: tf.Tensor) => [tf.sum(x)], [tf.zeros(shape)], { ...options, windowedSums }).program.text;
    expect(total([300, 300], true)).toMatch(/reduce_window.*window_dimensions = array<i64: 32,32>/s);
    expect(total([300, 300], false)).not.toContain("reduce_window");
    expect(total([4, 768], true)).not.toContain("reduce_window");
  });
  it("sums the segments of a few parts by looking at all, and scatters many", () => {
    const sums = (parts: number): string =>
      trace(
        (x: tf.Tensor, at: tf.Tensor) => [tf.unsortedSegmentSum(x, at as tf.Tensor1D, 64)],
        [tf.zeros([parts, 128]), tf.zeros([parts], "int32")],
        options,
      ).program.text;
    expect(sums(128)).not.toContain("scatter");
    expect(sums(129)).toContain("scatter");
  });
  it("narrows the operands of dots in bf16 and nothing else", () => {
    const { program } = trace((x: tf.Tensor) => [tf.exp(tf.matMul(x, x))], [tf.zeros([2, 2])], {
      ...options,
      precision: "bf16",
    });
    expect(program.text).toMatch(/dot_general .*\(tensor<2x2xbf16>, tensor<2x2xbf16>\) -> tensor<2x2xf32>/);
    expect(program.text).toMatch(/exponential .*tensor<2x2xf32>/);
  });
});

describe("a function that is run op by op", () => {
  it("gives results that the caller may dispose, also of what it closes over", async () => {
    const captured = tf.tensor1d([1, 2, 3]);
    const before = tf.memory().numTensors;
    const f = plainCompile((x: tf.Tensor) => ({ sum: tf.add(x, captured), captured, x }), {});
    const x = tf.ones([3]);
    for (let call = 0; call < 2; call++) {
      const out = await f(x);
      expect([...out.captured.dataSync(), ...out.x.dataSync()]).toEqual([1, 2, 3, 1, 1, 1]);
      disposeTree(out);
    }
    expect([x.isDisposed, captured.isDisposed]).toEqual([false, false]);
    expect(tf.memory().numTensors).toBe(before + 1);
  });
  it("gives two tensors for a result that it returns twice", async () => {
    const f = plainCompile((x: tf.Tensor) => {
      const y = tf.add(x, 1);
      return { a: y, b: [y] };
    }, {});
    const { a, b } = await f(tf.ones([2]));
    a.dispose();
    expect([...b[0]!.dataSync()]).toEqual([2, 2]);
  });
});

describe("compile, whatever the device", () => {
  const executable: Executable = {
    call: async () => [tf.scalar(7)],
    prepare: async () => undefined,
    compileMs: 1,
    dispose: () => undefined,
  };
  const deviceOf = (prepare: Device["prepare"]): Device => ({ isNarrow: () => false, mergedBatches: false, prepare });
  const constant = Float32Array.from({ length: 100 }, (_, index) => index);
  const withConstant = (x: tf.Tensor): tf.Tensor[] => [tf.add(x, tf.tensor1d(constant))];

  it("frees its constants when a program is refused", async () => {
    const x = tf.ones([100]);
    const before = tf.memory().numTensors;
    const f = compileFor(
      deviceOf(() => Promise.reject(new EngineError("refused", "INTERNAL"))),
      withConstant,
      {},
    );
    await expect(f(x)).rejects.toThrow("refused");
    expect(tf.memory().numTensors).toBe(before);
  });
  it("frees what it compiles when it is disposed meanwhile", async () => {
    const x = tf.ones([100]);
    const before = tf.memory().numTensors;
    let disposals = 0;
    let accept!: (made: Executable) => void;
    const device = deviceOf(() => new Promise((resolve) => (accept = resolve)));
    const f = compileFor(device, withConstant, { name: "f" });
    const refused = [f(x), f(x), f.prepare(x)].map((call) => expect(call).rejects.toThrow("f was disposed"));
    f.dispose();
    accept({ ...executable, dispose: () => (disposals += 1) });
    await Promise.all(refused);
    expect([tf.memory().numTensors, disposals]).toEqual([before, 1]);
  });
  it("donates no argument that comes back as a result", async () => {
    const donations: (readonly number[])[] = [];
    const device = deviceOf(async (_program, _name, donated) => {
      donations.push(donated);
      return executable;
    });
    const f = compileFor(device, (a: tf.Tensor, b: tf.Tensor) => [tf.add(a, b), a], { donate: [0, 1] });
    const [a, b] = [tf.tensor1d([1]), tf.tensor1d([2])];
    const [, passed] = await f(a, b);
    expect(donations).toEqual([[1]]);
    expect([a.isDisposed, b.isDisposed, passed!.dataSync()[0]]).toEqual([true, true, 1]);
  });
  it("writes a program whose bf16 products are lost again, for a call, for `prepare` and for both at once", async () => {
    const lost = (): Promise<never> =>
      Promise.reject(new EngineError("Unsupported element type for DotThunk::DotOp: BF16", "UNIMPLEMENTED"));
    const asked = new Set<string>();
    const works = compileFor(
      deviceOf(async (program) => {
        const narrow =
          /dot_general .*-> tensor<2x2xf32>/.test(program.text) && program.text.includes("xbf16>, tensor<");
        asked.add(program.text);
        return narrow ? { ...executable, call: lost, prepare: lost } : executable;
      }),
      (x: tf.Tensor) => [tf.matMul(x, x)],
      { precision: "bf16" },
    );
    const x = tf.ones([2, 2]);
    await works.prepare(x);
    expect(asked.size).toBe(2);
    const [[value]] = await Promise.all([works(x), works.prepare(x)]);
    expect(value!.dataSync()[0]).toBe(7);
    expect(asked.size).toBe(2);
  });
});

describe.skipIf(!hasNative)("compile", () => {
  it("makes one executable per structure, shape and dtype", async () => {
    const f = compile((x: { a: tf.Tensor }) => [tf.add(x.a, 1)]);
    await f({ a: tf.zeros([2]) });
    await f({ a: tf.ones([2]) });
    await f({ a: tf.zeros([3]) });
    await f({ a: tf.zeros([2], "int32") });
    expect(f.stats).toMatchObject({ executables: 3, calls: 4 });
    expect(f.stats.compileMs).toBeGreaterThan(0);
  });
  it.each(["2 × 3", "größe", "a.b/c"])("takes any name: %s", async (name) => {
    const [doubled] = await compile((x: tf.Tensor) => [tf.mul(x, 2)], { name })(tf.tensor1d([1]));
    expect(doubled!.dataSync()[0]).toBe(2);
  });
  it("counts a compilation and its time after one call, and none before", async () => {
    const fine = compile((x: tf.Tensor) => [tf.exp(x)]);
    expect(fine.stats).toMatchObject({ executables: 0, compileMs: 0 });
    await fine(tf.zeros([3]));
    expect(fine.stats.executables).toBe(1);
    expect(fine.stats.compileMs).toBeGreaterThan(0);
  });
  it("prepares a program beside other calls, without taking its arguments or giving results", async () => {
    const handles = (): number => tf.memory().numTensors;
    const f = compile((x: tf.Tensor, y: tf.Tensor) => [tf.add(tf.mul(x, 3), y)], { donate: [0] });
    const busy = compile((x: tf.Tensor) => [tf.exp(tf.matMul(x, x))]);
    const [x, y] = [tf.tensor1d([1, 2]), tf.tensor1d([10, 20])];
    const before = handles();
    const square = tf.ones([64, 64]);
    const [[other]] = await Promise.all([busy(square), f.prepare(x, y)]);
    disposeTree([other!, square]);
    expect(x.isDisposed).toBe(false);
    expect(handles()).toBe(before);
    expect(f.stats).toMatchObject({ executables: 1, calls: 0 });
    // Again: nothing to do.
    await f.prepare(x, y);
    const [sum] = await f(x, y);
    expect(Array.from(sum!.dataSync())).toEqual([13, 26]);
    expect(f.stats).toMatchObject({ executables: 1, calls: 1 });
    f.dispose();
    await expect(f.prepare(y, y)).rejects.toThrow("was disposed");
  });
  it.each([0, 1, 2, 3, 4, 5, 6, 8])("may be disposed %i ticks into its first call", async (ticks) => {
    const values = Float32Array.from({ length: 100 }, (_, index) => index);
    const f = compile((x: tf.Tensor) => [tf.add(x, tf.tensor1d(values))], { name: "f" });
    const x = tf.ones([100]);
    const before = tf.memory().numTensors;
    // Once its library has it, a call ends as if nothing had happened.
    const call = f(x).then(
      ([sum]) => {
        expect(sum!.dataSync()[99]).toBe(100);
        disposeTree(sum!);
      },
      (error: unknown) => {
        expect(error).toBeInstanceOf(CompileError);
        expect(error).toHaveProperty("message", "f was disposed");
      },
    );
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
    f.dispose();
    await call;
    expect(tf.memory().numTensors).toBe(before);
  });
  it("reads a captured tensor at each call, not at the first", async () => {
    const captured = tf.variable(tf.scalar(1));
    const f = compile((x: tf.Tensor) => [tf.add(x, captured)]);
    expect((await f(tf.scalar(1)))[0]!.dataSync()[0]).toBe(2);
    captured.assign(tf.scalar(10));
    expect((await f(tf.scalar(1)))[0]!.dataSync()[0]).toBe(11);
  });
  it("refuses a disposed capture and a donated argument used again, by name", async () => {
    const captured = tf.ones([2]);
    const f = compile((x: tf.Tensor) => [tf.add(x, captured)], { name: "f", donate: [0] });
    const x = tf.ones([2]);
    await f(x);
    await expect(f(x)).rejects.toThrow(/f was called with a tensor of shape \[2\] that is disposed/);
    captured.dispose();
    await expect(f(tf.ones([2]))).rejects.toThrow(/f closes over was disposed/);
  });
  it("takes arguments of another backend", async () => {
    await tf.setBackend("cpu");
    const x = tf.tensor1d([1, 2]);
    await useEngine("cpu");
    const f = compile((a: tf.Tensor) => [tf.mul(a, 2)]);
    expect([...(await f(x))[0]!.dataSync()]).toEqual([2, 4]);
  });
  it("retries after a failed compile", async () => {
    let broken = true;
    const f = compile((x: tf.Tensor) => {
      if (broken) throw new Error("not yet");
      return [tf.neg(x)];
    });
    await expect(f(tf.scalar(1))).rejects.toThrow("not yet");
    broken = false;
    expect((await f(tf.scalar(1)))[0]!.dataSync()[0]).toBe(-1);
  });
  it.each<[string, (x: tf.Tensor) => tf.Tensor]>([
    ["max", (x) => tf.max(x, 1)],
    ["max of all", (x) => tf.max(x)],
    ["min", (x) => tf.min(x, 1, true)],
    ["maximum", (x) => tf.maximum(x, 0)],
    ["minimum", (x) => tf.minimum(x, 0)],
    ["maximum, as the second operand", (x) => tf.maximum(0, x)],
    ["minimum, as the second operand", (x) => tf.minimum(0, x)],
    ["clipByValue", (x) => tf.clipByValue(x, -1, 1)],
    ["relu", (x) => tf.relu(x)],
    ["softmax", (x) => tf.softmax(x)],
    ["logSumExp", (x) => tf.logSumExp(x, 1)],
  ])("gives NaN where eager %s does", async (_, fn) => {
    const x = tf.tensor2d([1, Number.NaN, -3, 1, 2, 3, -2, -1, Number.NaN], [3, 3]);
    const [compiled] = await compile((value: tf.Tensor) => [fn(value)])(x);
    const places = (values: ArrayLike<number>): boolean[] => Array.from(values, Number.isNaN);
    expect(places(compiled!.dataSync())).toEqual(places(fn(x).dataSync()));
    expect(places(compiled!.dataSync())).toContain(true);
  });
  it.each([1, 0])("finds the places that eager argMax and argMin find, also where NaN is (axis %i)", async (axis) => {
    const [nan, far] = [Number.NaN, Number.POSITIVE_INFINITY];
    const pairs = [
      ...[nan, nan, 1, nan, nan, 1, 2, 3, 3, 3],
      ...[nan, -far, -far, nan, nan, far, far, nan, -far, -far],
    ];
    // Long rows take other code than short ones, and NaN in each of their parts.
    const long = Array.from({ length: 4 * 1000 }, (_, at) => (at % 97 === 5 ? nan : (at * 7919) % 1013));
    const rows = axis === 1 ? [tf.tensor2d(pairs, [10, 2]), tf.tensor2d(long, [4, 1000])] : [];
    const columns = axis === 0 ? [tf.tensor2d(pairs, [10, 2]).transpose(), tf.tensor2d(long, [1000, 4])] : [];
    for (const x of [...rows, ...columns, tf.tensor2d([3, 1, 3, 1], [2, 2], "int32")]) {
      const places = (value: tf.Tensor): tf.Tensor[] => [tf.argMax(value, axis), tf.argMin(value, axis)];
      const found = await compile(places)(x);
      expect(found.map((one) => one.arraySync())).toEqual(places(x).map((one) => one.arraySync()));
      expect(found.map((one) => one.dtype)).toEqual(["int32", "int32"]);
    }
  });
  it.each<[string, (x: tf.Tensor) => tf.Tensor]>([
    ["exp", (x) => tf.exp(x)],
    ["expm1", (x) => tf.expm1(x)],
    ["log1p", (x) => tf.log1p(x)],
    ["reciprocal", (x) => tf.reciprocal(x)],
    ["sinh", (x) => tf.sinh(x)],
    ["atan", (x) => tf.atan(x)],
    ["asin", (x) => tf.asin(x)],
    ["acos", (x) => tf.acos(x)],
    ["asinh", (x) => tf.asinh(x)],
    ["acosh", (x) => tf.acosh(x)],
    ["atanh", (x) => tf.atanh(x)],
    ["softplus", (x) => tf.softplus(x)],
    ["selu", (x) => tf.selu(x)],
    ["prelu", (x) => tf.prelu(x, tf.scalar(0.5))],
    ["isInf", (x) => tf.isInf(x)],
    ["isFinite", (x) => tf.isFinite(x)],
    ["logSoftmax", (x) => tf.logSoftmax(x)],
  ])("takes integers as floats and leaves them to the caller, eager and compiled: %s", async (_, fn) => {
    const x = tf.tensor1d([1, 0, 3], "int32");
    const wanted = fn(tf.tensor1d([1, 0, 3]));
    const [compiled] = await compile((value: tf.Tensor) => [fn(value)])(x);
    const before = tf.memory().numTensors;
    const eager = tf.tidy(() => fn(x));
    expect(tf.memory().numTensors).toBe(before + 1);
    expect(x.isDisposed).toBe(false);
    for (const one of [eager, compiled!]) {
      expect(one.dtype).toBe(wanted.dtype);
      const values = [...one.dataSync()];
      [...wanted.dataSync()].forEach((value, at) => {
        if (Number.isFinite(value)) expect(values[at]).toBeCloseTo(value, 5);
        else expect(values[at]).toBe(value);
      });
    }
  });
  it("ranges as eager ops do, also away from their end", async () => {
    const ranges = (): tf.Tensor[] => [
      tf.range(0, 5, -1),
      tf.range(5, 0, 2),
      tf.range(5, 0),
      tf.range(5, 0, -2, "int32"),
      tf.range(0, 5, 2),
      tf.range(3, 3),
    ];
    const compiled = await compile((x: tf.Tensor) => [x, ...ranges()])(tf.scalar(0));
    expect(compiled.slice(1).map((one) => one.arraySync())).toEqual(ranges().map((one) => one.arraySync()));
  });
  it.each<[string, (x: tf.Tensor) => tf.Tensor]>([
    ["sinh", (x) => tf.sinh(x)],
    ["cosh", (x) => tf.cosh(x)],
    ["asinh", (x) => tf.asinh(x)],
    ["acosh", (x) => tf.acosh(x)],
  ])("keeps the digits of %s for small and large numbers", async (_, fn) => {
    const sizes = [0, 1e-30, 1e-6, 1e-4, 0.01, 0.3, 0.9999987, 1, 1 + 2 ** -20, 1.5, 5, 20, 88, 89, 90, 8191, 8193];
    const x = tf.tensor1d(
      [...sizes, 1e19, 1e38, Number.POSITIVE_INFINITY, Number.NaN].flatMap((size) => [size, -size]),
    );
    const wanted = fn(x).dataSync();
    const [compiled] = await compile((value: tf.Tensor) => [fn(value)])(x);
    const values = compiled!.dataSync();
    wanted.forEach((value, at) => {
      if (Number.isFinite(value) && value !== 0) expect(Math.abs(values[at]! / value - 1)).toBeLessThan(1e-6);
      else expect(values[at]).toBe(value);
    });
  });
  it.each<[string, number[], (x: tf.Tensor) => tf.Tensor, number]>([
    ["all of it", [2050, 2049], (x) => tf.sum(x), 2050 * 2049],
    ["long columns", [100_003, 3], (x) => tf.sum(x, 0), 100_003],
    ["long rows", [3, 100_003], (x) => tf.sum(x, 1, true), 100_003],
    ["short rows", [70, 769], (x) => tf.sum(x, 1), 769],
  ])("sums many equal numbers without losing digits: %s", async (_, shape, sum, count) => {
    // Added one by one in float32, 4 million tenths are 2 % off; a window's thousand at most 3e-5.
    const x = tf.fill(shape, 0.1);
    const [compiled] = await compile((value: tf.Tensor) => [sum(value)])(x);
    for (const value of compiled!.dataSync())
      expect(Math.abs(value / (count * Math.fround(0.1)) - 1)).toBeLessThan(1e-4);
    tf.dispose([x, compiled!]);
  });
  it("returns NaN as a value: whoever trains decides what to do", async () => {
    const f = compile((x: tf.Tensor) => [tf.log(x)]);
    expect((await f(tf.scalar(-1)))[0]!.dataSync()[0]).toBeNaN();
  });
  it("takes a key that depends on an earlier draw of the same shape", async () => {
    const draws = (key: tf.Tensor): tf.Tensor[] => {
      const first = random.uniform(random.foldIn(key, 1), [3]);
      const chosen = random.foldIn(key, tf.cast(tf.reshape(tf.argMax(first), []), "int32"));
      return [first, random.uniform(random.foldIn(chosen, 5), [3])];
    };
    const got = await compile(draws)(random.key(7));
    for (const [i, expected] of draws(random.key(7)).entries()) expect(got[i]!.dataSync()).toEqual(expected.dataSync());
  });
  it("gives other randomness for another key without compiling again", async () => {
    const f = compile((key: tf.Tensor) => [random.uniform(key, [4])]);
    const [first] = await f(random.key(1));
    const [second] = await f(random.key(2));
    expect([...first!.dataSync()]).not.toEqual([...second!.dataSync()]);
    expect(f.stats.executables).toBe(1);
  });
  const masks = (key: tf.Tensor): tf.Tensor[] =>
    [7, 1, 4, 1].flatMap((layer) => {
      const own = random.foldIn(key, layer);
      return [random.bernoulli(own, 0.4, [8, 9]), random.uniform(random.foldIn(own, layer), [50])];
    });
  it("draws many masks as the reference does, those of keys made from keys too", async () => {
    const compiled = compile(masks);
    const drawn = await compiled(random.key(11));
    [7, 1, 4, 1].forEach((layer, index) => {
      const own = foldKey(0, 11, layer);
      const inner = foldKey(own[0]!, own[1]!, layer);
      expect(drawn[2 * index]!.dataSync()).toEqual(randomBernoulli(own[0]!, own[1]!, 72, 0.4));
      expect(drawn[2 * index + 1]!.dataSync()).toEqual(randomUniform(inner[0]!, inner[1]!, 50));
    });
  });
  it("writes no constant offset into a mask's code, which would be compiled for each mask anew", () => {
    const { text } = trace(masks, [random.key(11)], options).program;
    expect(text).not.toMatch(/stablehlo\.slice .*x72xi1>/);
    expect(text.match(/stablehlo\.dynamic_slice %\d+#\d+, %arg\d+,.*x72xi1>/g)).toHaveLength(3);
  });
  it("never shows the tracing backend to code that runs meanwhile", async () => {
    const seen = new Set<string>();
    const timer = setInterval(() => seen.add(tf.getBackend()), 1);
    const fs = Array.from({ length: 4 }, (_, n) => compile((x: tf.Tensor) => [tf.add(tf.sin(x), n)]));
    await Promise.all(fs.map((f) => f(tf.ones([10]))));
    clearInterval(timer);
    expect(seen.has(tracingBackend)).toBe(false);
  });
});
