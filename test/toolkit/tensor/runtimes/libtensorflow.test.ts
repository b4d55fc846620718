// The libtensorflow runtime: discovery, files that are no library, lifetimes of everything that C reads, and memory
// that stays flat. The parts that need the library are skipped where it is not installed.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  compile,
  currentEngine,
  disposeTree,
  EngineError,
  EngineUnavailableError,
  NativeLibraryError,
  OutOfDeviceMemoryError,
  tensorFromBytes,
  tf,
  useEngine,
} from "#toolkit/tensor/index.ts";
import { checkLibraryFile } from "#toolkit/tensor/native/elf.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { openTensorflow, wheelVersion } from "#toolkit/tensor/runtimes/libtensorflow/library.ts";
import { startTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/runtime.ts";
import { collectingBeforeCalls, type Functions } from "./collecting.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-engine-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const libraryPath = discoverTensorflow().path;
if (!libraryPath) console.log("libtensorflow is not installed here: its runtime is not tested");
const isLinux = process.platform === "linux";

function file(name: string, content: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe("discovery", () => {
  const site = join(folder, "venv/lib/python3.12/site-packages/tensorflow");
  beforeAll(() => {
    mkdirSync(site, { recursive: true });
    writeFileSync(join(site, "libtensorflow_cc.so.2"), "");
    mkdirSync(join(folder, "project/.venv/lib/python3.11/site-packages/tensorflow"), { recursive: true });
    writeFileSync(join(folder, "project/.venv/lib/python3.11/site-packages/tensorflow/libtensorflow_cc.so.2"), "");
    mkdirSync(join(folder, "project/a/b"), { recursive: true });
  });
  it("finds the wheel of the active venv", () => {
    expect(discoverTensorflow({ VIRTUAL_ENV: join(folder, "venv") }, "/").path).toBe(
      join(site, "libtensorflow_cc.so.2"),
    );
  });
  it("finds .venv upwards from the working folder", () => {
    expect(discoverTensorflow({}, join(folder, "project/a/b")).path).toContain("project/.venv/lib/python3.11");
  });
  it("finds the prefix that a kernelspec names", () => {
    expect(discoverTensorflow({ BUNSEN_PREFIX: join(folder, "venv") }, "/").path).toContain("python3.12");
  });
  it.each([
    ["the folder", () => site],
    ["the file", () => join(site, "libtensorflow_cc.so.2")],
    ["the venv", () => join(folder, "venv")],
  ])("takes BUNSEN_TENSORFLOW as %s", (_, path) => {
    expect(discoverTensorflow({ BUNSEN_TENSORFLOW: path() }, "/").path).toBe(join(site, "libtensorflow_cc.so.2"));
  });
  it("looks nowhere else when BUNSEN_TENSORFLOW is wrong, and the error names it", async () => {
    const discovery = discoverTensorflow({ BUNSEN_TENSORFLOW: "/no/such", VIRTUAL_ENV: join(folder, "venv") }, "/");
    expect(discovery.path).toBeUndefined();
    await expect(startTensorflow(discovery)).rejects.toThrow(EngineUnavailableError);
    await expect(startTensorflow(discovery)).rejects.toThrow(
      /pip install tensorflow-cpu.*\/no\/such \(BUNSEN_TENSORFLOW\)/s,
    );
  });
});

describe.skipIf(!isLinux)("a file that is no library of this machine", () => {
  const header = (machine: number, rest = 0): Uint8Array => {
    const bytes = new Uint8Array(64 + rest);
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    new DataView(bytes.buffer).setUint16(18, machine, true);
    return bytes;
  };
  it.each([
    ["text", new TextEncoder().encode("404: not found".repeat(9)), "is not a native library"],
    ["nothing", new Uint8Array(0), "is not a native library (0 bytes"],
    ["a library of another architecture", header(process.arch === "x64" ? 183 : 62), "is built for"],
    ["32-bit code", header(3), "is built for ia32"],
  ])("(%s) is refused before the loader sees it", (name, content, message) => {
    const path = file(name.replace(/\W/g, "-"), content);
    expect(() => checkLibraryFile(path)).toThrow(NativeLibraryError);
    expect(() => openTensorflow(path)).toThrow(message);
  });
  it.skipIf(!libraryPath)("(a truncated download) is refused, where the loader would die of SIGBUS", () => {
    const start = Buffer.alloc(100_000);
    readSync(openSync(libraryPath!, "r"), start, 0, start.length, 0);
    const path = file("truncated.so", start);
    expect(() => openTensorflow(path)).toThrow(/is truncated: its header needs \d+ bytes, the file has 100000/);
  });
  it("(a foreign library) is refused with the symbol that it lacks", () => {
    const libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"].find(
      (path) => existsSync(path),
    );
    if (!libc) return console.log("no libc.so.6 in a known place: nothing to refuse");
    const copy = join(folder, "libforeign.so");
    copyFileSync(libc, copy);
    expect(() => openTensorflow(copy)).toThrow(/cannot be used as libtensorflow: .*TF_/s);
  });
});

describe.skipIf(!libraryPath)("libtensorflow", () => {
  beforeAll(async () => {
    await useEngine("cpu");
  });

  it("has the version of the wheel that it came with, which decides on flags before it is loaded", () => {
    const version = wheelVersion(libraryPath!);
    if (version !== "0.0.0") expect(currentEngine().version).toContain(version);
    expect(wheelVersion("/no/such/folder/libtensorflow_cc.so.2")).toBe("0.0.0");
  });

  it("says what it is", () => {
    expect(currentEngine()).toMatchObject({ name: "cpu" });
    expect(currentEngine().version).toMatch(/^(TensorFlow|PJRT) /);
  });

  it("gives an error with the C library's words for an op that cannot be, and goes on", () => {
    expect(() =>
      tf.engine().runKernel("BatchMatMul", { a: tf.ones([2, 3]), b: tf.ones([2, 3]) } as never, {
        transposeA: false,
        transposeB: false,
      }),
    ).toThrow();
    expect(() => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3]))).toThrow(/size-incompatible/);
    expect(tf.add(1, 2).dataSync()[0]).toBe(3);
  });

  it("keeps everything that C reads alive: a collection between any two calls changes nothing", async () => {
    const run = async (collect: () => void): Promise<number[]> => {
      const bytes = new Uint8Array(Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)).buffer);
      collect();
      const x = tensorFromBytes(bytes, "F32", [8, 8]);
      collect();
      const words = tf.tensor1d(["a", "longer than twenty-two characters, so on the heap"]);
      collect();
      const y = tf.conv2d(tf.reshape(x, [1, 8, 8, 1]) as tf.Tensor4D, tf.ones([3, 3, 1, 2]) as tf.Tensor4D, 2, "same");
      collect();
      const z = tf.concat([tf.reshape(y, [-1]), tf.reshape(tf.split(x, 2)[0]!, [-1])]);
      collect();
      const step = compile((a: tf.Tensor, b: tf.Tensor) => [tf.softmax(tf.matMul(a, b)), tf.cumsum(b, 1)]);
      collect();
      const pending = step(x, x);
      collect();
      const out = await pending;
      collect();
      const again = await step(out[0]!, x);
      collect();
      const text = words.dataSync() as unknown as string[];
      collect();
      return [...z.dataSync(), ...out[1]!.dataSync(), ...again[0]!.dataSync(), text[1]!.length];
    };
    const calm = await run(() => {});
    const collected = await run(() => {
      Bun.gc(true);
      // Fills what the collection freed, so that a stale pointer reads something else.
      for (let i = 0; i < 50; i++) new Uint8Array(64 + i * 64).fill(0xaa);
    });
    expect(collected).toEqual(calm);
  });

  // Some sixty collections of the whole test process take seconds, and minutes where the machine is busy.
  it("gives the same bits when memory is collected before every single C call", { timeout: 600_000 }, async () => {
    const bytes = new Uint8Array(Float32Array.from({ length: 4 }, (_, i) => Math.cos(i)).buffer);
    const step = compile((x: tf.Tensor, narrow: tf.Tensor) => [tf.tanh(tf.matMul(x, narrow))]);
    const work = async (): Promise<number[]> => {
      const x = tensorFromBytes(bytes, "F32", [2, 2]);
      const narrow = tensorFromBytes(bytes, "F32", [2, 2], { store: "bf16" });
      const word = tf.tensor1d(["longer than twenty-two characters, so on the heap"]);
      // Lists of inputs, outputs, types and numbers among the attributes.
      const eager = tf.concat([
        tf.avgPool(tf.reshape(x, [1, 2, 2, 1]) as tf.Tensor4D, 2, 1, "valid").flatten(),
        tf.split(x, 2)[1]!.flatten(),
      ]);
      const [out] = await step(x, narrow);
      const text = (word.dataSync() as unknown as string[])[0]!;
      const values = [...eager.dataSync(), ...out!.dataSync(), text.length];
      disposeTree([x, narrow, word, eager, out!]);
      return values;
    };
    const calm = await work();
    const { c } = openTensorflow(libraryPath!);
    const collected = await collectingBeforeCalls(c as unknown as Functions, work);
    expect(collected.calls).toBeGreaterThan(40);
    expect(collected.result).toEqual(calm);
    step.dispose();
  });

  it("keeps weights as bfloat16 that read, compute and compile as float32", async () => {
    const values = Float32Array.from({ length: 12 }, (_, i) => Math.cos(i) * 3);
    const bytes = new Uint8Array(values.buffer);
    const narrow = tensorFromBytes(bytes, "F32", [3, 4], { store: "bf16" });
    expect(narrow.dtype).toBe("float32");
    narrow.dataSync().forEach((value, place) => {
      expect(Math.abs(value - values[place]!)).toBeLessThanOrEqual(Math.abs(values[place]!) * 2 ** -8);
    });
    const eager = tf.matMul(tf.ones([2, 3]), narrow).dataSync();
    const step = compile(
      (x: tf.Tensor) => [tf.matMul(x, narrow), tf.gather(narrow, tf.tensor1d([2, 0], "int32")), tf.mul(narrow, 2)],
      { precision: "bf16" },
    );
    const [product, rows, twice] = await step(tf.ones([2, 3]));
    product!.dataSync().forEach((value, place) => {
      expect(value).toBeCloseTo(eager[place]!, 2);
    });
    expect([...rows!.dataSync()]).toEqual([...narrow.dataSync().slice(8), ...narrow.dataSync().slice(0, 4)]);
    expect([...twice!.dataSync()]).toEqual([...narrow.dataSync()].map((value) => value * 2));
  });

  it("leaves timers running while a compiled function computes", async () => {
    const size = 800;
    const x = tf.randomUniform([size, size], -1e-2, 1e-2);
    const chain = compile((a: tf.Tensor) => [
      Array.from({ length: 12 }).reduce<tf.Tensor>((sum) => tf.tanh(tf.matMul(sum, a)), a),
    ]);
    disposeTree(await chain(x));
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 5);
    const start = performance.now();
    disposeTree(await chain(x));
    const elapsed = performance.now() - start;
    clearInterval(timer);
    // A blocked loop would have ticked once at most.
    expect(ticks, `${ticks} ticks in ${elapsed} ms`).toBeGreaterThan(Math.min(5, elapsed / 40));
  });

  it("computes eager ops and several compiled functions at once without mixing them up", async () => {
    const plus = compile((x: tf.Tensor) => [tf.add(x, 1)], { name: "plus" });
    const times = compile((x: tf.Tensor) => [tf.mul(x, 3)], { name: "times" });
    const pending = Array.from({ length: 20 }, async (_, index) => {
      const x = tf.fill([4], index);
      const [a, b] = await Promise.all([plus(x), times(x)]);
      expect(tf.getBackend()).toBe(currentEngine().backend);
      return [a[0]!.dataSync()[0], b[0]!.dataSync()[3], tf.sum(x).dataSync()[0]];
    });
    expect(await Promise.all(pending)).toEqual(
      Array.from({ length: 20 }, (_, index) => [index + 1, index * 3, index * 4]),
    );
  });

  it("holds no more handles and no more memory after a thousand steps", async () => {
    const weight = tf.randomNormal([64, 64]);
    const step = compile((state: { x: tf.Tensor }) => ({ x: tf.tanh(tf.matMul(state.x, weight)) }), { donate: [0] });
    let state = { x: tf.ones([64, 64]) };
    const used: number[] = [];
    for (let index = 0; index < 1000; index++) {
      state = await step(state);
      if (index === 100 || index === 999) {
        Bun.gc(true);
        used.push(tf.memory().numTensors);
      }
    }
    expect(used[1]).toBe(used[0]);
    expect(Number.isFinite(state.x.dataSync()[0]!)).toBe(true);
  });

  it("convolves with channels first and with spaced filters on any processor, and keeps nothing of it", () => {
    const images = tf.randomNormal<tf.Rank.R4>([2, 7, 6, 3], 0, 1, "float32", 1);
    const filter = tf.randomNormal<tf.Rank.R4>([3, 2, 3, 4], 0, 1, "float32", 2);
    const first = (x: tf.Tensor4D): tf.Tensor4D => tf.transpose(x, [0, 3, 1, 2]);
    const off = (a: tf.Tensor, b: tf.Tensor): number => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;
    const round = (): number[] =>
      tf.tidy(() => {
        const convolve = (x: tf.Tensor4D, f: tf.Tensor4D, format: "NHWC" | "NCHW"): tf.Tensor4D =>
          tf.conv2d(x, f, [2, 1], "same", format);
        const turned = convolve(first(images), filter, "NCHW");
        const grads = (format: "NHWC" | "NCHW"): tf.Tensor[] =>
          tf.grads((x: tf.Tensor, f: tf.Tensor) =>
            tf.sum(tf.square(convolve(x as tf.Tensor4D, f as tf.Tensor4D, format))),
          )([format === "NCHW" ? first(images) : images, filter]);
        const [x, f] = grads("NHWC");
        const [xFirst, fFirst] = grads("NCHW");
        // A spaced filter, as a sum over its numbers of shifted images.
        const spaced = tf.depthwiseConv2d(images, filter, 1, "valid", "NHWC", [3, 2]);
        const [height, width] = [spaced.shape[1]!, spaced.shape[2]!];
        const parts = [0, 1, 2].flatMap((i) =>
          [0, 1].map((j) => {
            const shifted = tf.slice(images, [0, 3 * i, 2 * j, 0], [2, height, width, 3]);
            const by = tf.reshape(tf.slice(filter, [i, j, 0, 0], [1, 1, 3, 4]), [1, 1, 1, 3, 4]);
            return tf.reshape(tf.mul(tf.expandDims(shifted, 4), by), spaced.shape);
          }),
        );
        return [
          off(turned, first(convolve(images, filter, "NHWC"))),
          off(xFirst!, first(x as tf.Tensor4D)),
          off(fFirst!, f!),
          off(spaced, tf.addN(parts)),
        ];
      });
    expect(Math.max(...round())).toBeLessThan(1e-3);
    const before = tf.backend().numDataIds();
    for (let index = 0; index < 5; index++) round();
    expect(tf.backend().numDataIds()).toBe(before);
  });

  it("names a lack of memory, says what helps, and computes on afterwards", () => {
    // Twice the machine's memory: TensorFlow's allocator waits ten seconds for others to free some.
    const rows = Math.ceil((2 * totalmem()) / 2 ** 22);
    const tooMuch = (): tf.Tensor => tf.tile(tf.ones([1, 2 ** 20]), [rows, 1]);
    let error: unknown;
    try {
      tooMuch();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(OutOfDeviceMemoryError);
    expect((error as Error).message).toMatch(/RESOURCE_EXHAUSTED.*Use a smaller batch/s);
    expect(tf.add(1, 1).dataSync()[0]).toBe(2);
  });

  it("names an op and its shapes that do not match, and computes on afterwards", () => {
    const sum = (): tf.Tensor => tf.add(tf.ones([2, 3]), tf.ones([4]));
    expect(sum).toThrow(EngineError);
    expect(sum).toThrow(/running op Add.*: INVALID_ARGUMENT: Incompatible shapes: \[2,3\] vs\. \[4\]/);
    expect(tf.add(1, 1).dataSync()[0]).toBe(2);
  });

  it("computes a compiled function after an eager op has failed", async () => {
    const double = compile((x: tf.Tensor) => [tf.add(x, x)], { name: "double" });
    // On the device: a tensor from JavaScript would be uploaded by an op that succeeds.
    const x = tf.add(tf.ones([4]), 1);
    for (const _ of ["compiling", "compiled"]) {
      expect(() => tf.add(tf.ones([2, 3]), tf.ones([4]))).toThrow(/Incompatible shapes/);
      expect([...(await double(x))[0]!.dataSync()]).toEqual([4, 4, 4, 4]);
    }
  });

  it("names an error of a running program and computes on afterwards", async () => {
    const big = compile((x: tf.Tensor) => [tf.add(tf.fill([2 ** 22, 2 ** 23], 1), x)], { name: "a tensor of 128 TiB" });
    await expect(big(tf.scalar(1))).rejects.toThrow(EngineError);
    expect(tf.add(1, 1).dataSync()[0]).toBe(2);
  });
});
