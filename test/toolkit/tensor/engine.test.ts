// Engine choice, plain compile, trees, gradients and uploads on the engine that is always there (wasm).
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import {
  compile,
  currentEngine,
  engineAdvice,
  parseEngineChoice,
  tensorFromBytes,
  tf,
  treeLeaves,
  treeMap,
  treeSignature,
  treeWithLeaves,
  useEngine,
  valueAndGrads,
} from "#toolkit/tensor/index.ts";
import { decodeStored, toBfloat16 } from "#toolkit/tensor/stored.ts";

beforeAll(async () => {
  await useEngine("wasm");
});

describe("useEngine", () => {
  it("starts wasm without configuration and names it", () => {
    expect(currentEngine()).toMatchObject({ name: "wasm", backend: "wasm" });
    expect(tf.getBackend()).toBe("wasm");
  });
  it("has one line of advice on wasm", () => {
    expect(engineAdvice()).toMatch(/^running on wasm; .*pip install tensorflow-cpu/);
  });
  it("refuses an unknown engine and lists the known ones", () => {
    expect(() => parseEngineChoice("gpu")).toThrow('engine "gpu" is unknown; expected one of auto, cuda, cpu, wasm');
  });
  it("runs a kernel that wasm lacks on the host", () => {
    expect(tf.getKernel("UnsortedSegmentSum", "wasm")).toBeDefined();
    const sums = tf.unsortedSegmentSum(tf.tensor1d([1, 2, 3]), tf.tensor1d([0, 1, 0], "int32"), 2);
    expect([...sums.dataSync()]).toEqual([4, 2]);
  });
});

describe("an engine that is not there", () => {
  const root = resolve(import.meta.dirname, "../../..");
  /** What a fresh process with these variables says of an engine choice. */
  async function inProcess(choice: string, env: Record<string, string>): Promise<string> {
    const script = `import { engineAdvice, useEngine } from "#toolkit/tensor/index.ts";
      try { console.log((await useEngine("${choice}")).name, engineAdvice()); }
      catch (error) { console.log(error.name, error.message); }`;
    const { BUNSEN_ENGINE: _, BUNSEN_PJRT_PLUGIN: __, ...rest } = process.env;
    const child = Bun.spawn([process.execPath, "-e", script], {
      cwd: root,
      env: { ...rest, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    expect(await child.exited, errors).toBe(0);
    return output;
  }
  it("is an error that says where was looked and what to install", async () => {
    const nowhere = { BUNSEN_TENSORFLOW: "/no/such", BUNSEN_PJRT_PLUGIN: "/no/such/plugin.so" };
    expect(await inProcess("cuda", nowhere)).toMatch(
      /^EngineUnavailableError no PJRT plugin was found.*pip install.*\/no\/such\/plugin\.so \(BUNSEN_PJRT_PLUGIN\)/s,
    );
    expect(await inProcess("cpu", nowhere)).toMatch(/^EngineUnavailableError no libtensorflow was found.*\/no\/such/s);
  });
  it("or does not work leaves auto on wasm, and the advice says why", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bunsen-broken-"));
    const broken = join(folder, "libtensorflow_cc.so.2");
    writeFileSync(broken, "404: not found");
    const said = await inProcess("auto", { BUNSEN_TENSORFLOW: broken, BUNSEN_PJRT_PLUGIN: "/no/such/plugin.so" });
    expect(said).toMatch(
      /^wasm running on wasm; .*A native engine was found and does not work: .*libtensorflow_cc.so.2/,
    );
    expect(await inProcess("cpu", { BUNSEN_TENSORFLOW: broken })).toMatch(
      /^NativeLibraryError .*is not a native library/,
    );
    rmSync(folder, { recursive: true });
  });
});

describe("compile on an engine without a compiler", () => {
  it("runs the function, frees its temporaries and the donated arguments", async () => {
    const weight = tf.tensor1d([1, 2]);
    const step = compile((state: { x: tf.Tensor }) => ({ x: tf.add(tf.mul(state.x, weight), 1) }), { donate: [0] });
    const state = { x: tf.tensor1d([3, 4]) };
    const before = tf.memory().numTensors;
    const next = await step(state);
    expect([...(await next.x.data())]).toEqual([4, 9]);
    expect(state.x.isDisposed).toBe(true);
    expect(tf.memory().numTensors).toBe(before);
    await step(next);
    expect(step.stats).toMatchObject({ calls: 2, executables: 1 });
  });
  it("keeps a result that is the donated argument itself", async () => {
    const same = compile((x: tf.Tensor) => [x], { donate: [0] });
    const [out] = await same(tf.tensor1d([5]));
    expect([...out!.dataSync()]).toEqual([5]);
  });
});

describe("valueAndGrads", () => {
  it("gives named gradients, auxiliary results, and zeros for what the loss does not use", () => {
    const parameters = { a: tf.tensor1d([1, 2]), b: { c: tf.scalar(3) }, unused: tf.ones([2, 2]) };
    const { value, grads, aux } = valueAndGrads((p: typeof parameters) => {
      const product = tf.mul(p.a, p.b.c);
      return [tf.sum(tf.square(product)), { product }] as const;
    }, parameters);
    expect(value.dataSync()[0]).toBe(45);
    expect([...grads.a.dataSync()]).toEqual([18, 36]);
    expect(grads.b.c.dataSync()[0]).toBe(30);
    expect([...grads.unused.dataSync()]).toEqual([0, 0, 0, 0]);
    expect([...aux.product.dataSync()]).toEqual([3, 6]);
  });
  it("leaves no tensor behind inside a tidy, auxiliary results included", () => {
    const x = tf.scalar(2);
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      valueAndGrads((p: tf.Tensor) => [tf.square(p), [tf.neg(p)]] as const, x);
    });
    expect(tf.memory().numTensors).toBe(before);
  });
  it("refuses a loss that is not a scalar", () => {
    expect(() => valueAndGrads((p: tf.Tensor) => p, tf.ones([2]))).toThrow("expected a scalar loss, got shape [2]");
  });
});

describe("trees", () => {
  it("map, flatten and rebuild with the paths of the leaves", () => {
    const tree = { a: [tf.scalar(1), tf.scalar(2)], b: { c: tf.ones([2]) } };
    const paths: string[] = [];
    const same = treeMap(tree, (leaf, path) => {
      paths.push(path);
      return leaf;
    });
    expect(paths).toEqual(["a.0", "a.1", "b.c"]);
    expect(treeWithLeaves(same, treeLeaves(tree))).toEqual(tree);
    expect(treeSignature(tree)).toBe('{"a":(float32[];float32[]);"b":{"c":float32[2]}}');
    expect(() => treeWithLeaves(tree, [])).toThrow("more leaves");
    expect(() => treeLeaves({ a: 3 } as never)).toThrow('3 at "a"');
  });
});

describe("tensorFromBytes", () => {
  it("reads every stored type", () => {
    const bytes = (array: ArrayBufferView): Uint8Array =>
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    const values = [0.5, -2, 3];
    expect([...tensorFromBytes(bytes(Float32Array.from(values)), "F32", [3]).dataSync()]).toEqual(values);
    expect([...tensorFromBytes(bytes(Float16Array.from(values)), "F16", [3]).dataSync()]).toEqual(values);
    expect([...tensorFromBytes(bytes(toBfloat16(Float32Array.from(values))), "BF16", [3, 1]).dataSync()]).toEqual(
      values,
    );
    expect([...tensorFromBytes(bytes(BigInt64Array.from([1n, -2n])), "I64", [2]).dataSync()]).toEqual([1, -2]);
    expect([...tensorFromBytes(Uint8Array.of(1, 0), "BOOL", [2]).dataSync()]).toEqual([1, 0]);
  });
  it("reads from an odd offset of a mapped file", () => {
    const file = new Uint8Array(9);
    new DataView(file.buffer).setFloat32(1, 1.5, true);
    expect([...decodeStored(file.subarray(1, 5), "F32")]).toEqual([1.5]);
    // Node's Buffer is a Uint8Array whose slice is a view.
    expect([...decodeStored(Buffer.from(file.buffer).subarray(1, 5), "F32")]).toEqual([1.5]);
    expect(tensorFromBytes(Buffer.alloc(9).subarray(1), "F32", [2]).arraySync()).toEqual([0, 0]);
  });
  it("refuses bytes that do not fit the shape, and values that do not fit the type", () => {
    expect(() => tensorFromBytes(new Uint8Array(7), "F32", [2])).toThrow("has 8 bytes, got 7");
    expect(() => decodeStored(new Uint8Array(BigInt64Array.of(2n ** 40n).buffer), "I64")).toThrow("does not fit");
  });
  it("rounds to bfloat16 to nearest even and keeps NaN", () => {
    const back = (x: number): number => decodeStored(new Uint8Array(toBfloat16(Float32Array.of(x)).buffer), "BF16")[0]!;
    expect(back(1 + 2 ** -8)).toBe(1);
    expect(back(1 + 3 * 2 ** -8)).toBe(1 + 2 ** -6);
    expect(back(Number.NaN)).toBeNaN();
    expect(back(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
  });
});
