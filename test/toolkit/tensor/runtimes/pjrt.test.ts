// The PJRT runtime: struct offsets against the C header of an installed wheel, errors of plugins that are no use, and
// a real plugin where BUNSEN_PJRT_PLUGIN names one (XLA's CPU plugin will do).
import { JSCallback, ptr } from "bun:ffi";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  CompileError,
  disposeTree,
  EngineError,
  NativeLibraryError,
  OutOfDeviceMemoryError,
  tf,
} from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { PjrtBackend } from "#toolkit/tensor/runtimes/pjrt/backend.ts";
import { live } from "#toolkit/tensor/runtimes/pjrt/buffers.ts";
import { discoverPlugin } from "#toolkit/tensor/runtimes/pjrt/discover.ts";
import {
  apiFunctions,
  apiHeaderBytes,
  type FieldType,
  fieldBytes,
  layoutOf,
  type StructName,
  structs,
} from "#toolkit/tensor/runtimes/pjrt/layout.ts";
import { createClient, openPlugin, pluginAt } from "#toolkit/tensor/runtimes/pjrt/plugin.ts";
import { startPjrt } from "#toolkit/tensor/runtimes/pjrt/runtime.ts";
import { Struct } from "#toolkit/tensor/runtimes/pjrt/struct.ts";
import { collect, collectingBeforeCalls, type Functions } from "./collecting.ts";

const wheel = discoverTensorflow().path;
const headerPath = wheel ? join(dirname(wheel), "include/xla/pjrt/c/pjrt_c_api.h") : "";
const hasHeader = existsSync(headerPath);
if (!hasHeader) console.log("no TensorFlow wheel with pjrt_c_api.h here: its offsets are not compared");

/** Type of a C field: pointers, sizes and 64-bit integers are one word, enums and ints four bytes. */
function cType(declaration: string): FieldType {
  if (declaration.includes("*") || /\b(size_t|u?int64_t|PJRT_\w+[Cc]allback)\b/.test(declaration)) return "p";
  return /\bbool\b/.test(declaration) ? "b" : "i";
}

/** Fields of a struct in the header, after struct_size and extension_start, as [name, type]. */
function headerFields(header: string, name: string): [string, FieldType][] {
  const body = new RegExp(`struct ${name} \\{([\\s\\S]*?)\\n\\};`).exec(header)?.[1];
  if (body === undefined) throw new Error(`the header has no struct ${name}`);
  const plain = body.replace(/\/\/.*$/gm, "").replace(/union \{[\s\S]*?\};/, "int64_t value;");
  const declarations = plain
    .split(";")
    .map((line) => line.trim().replace(/\s+/g, " "))
    .filter(Boolean);
  return declarations
    .map((line): [string, FieldType] => [
      /(\w+)$/.exec(line)![1]!,
      cType(line.slice(0, line.lastIndexOf(" ") + 1) + (line.includes("*") ? "*" : "")),
    ])
    .filter(([field]) => field !== "struct_size" && field !== "extension_start");
}

describe.skipIf(!hasHeader)("the layout of PJRT structs", () => {
  const header = hasHeader ? readFileSync(headerPath, "utf8") : "";
  it.each(Object.keys(structs) as StructName[])("%s has the header's fields at the header's offsets", (name) => {
    const fields = headerFields(header, name);
    let end = 16;
    const expected = new Map<string, number>();
    for (const [field, type] of fields) {
      const bytes = fieldBytes[type];
      end = Math.ceil(end / bytes) * bytes;
      expected.set(field, end);
      end += bytes;
    }
    const { offsets, size } = layoutOf(name);
    expect([...offsets]).toEqual([...expected].slice(0, offsets.size));
    // What is handed over is never shorter than what the header's own size would be.
    expect(new Struct(name).bytes.byteLength).toBeGreaterThanOrEqual(end);
    expect(size).toBeLessThanOrEqual(end);
  });
  it("has the functions of PJRT_Api in the header's order", () => {
    const table = [...header.matchAll(/^ {2}_PJRT_API_STRUCT_FIELD\((\w+)\);/gm)].map((match) => match[1]);
    expect(table.slice(0, apiFunctions.length)).toEqual([...apiFunctions]);
  });
});

describe("structs in memory", () => {
  it("write and read fields by name and refuse unknown ones", () => {
    const args = new Struct("PJRT_Error_GetCode_Args", { error: 2n ** 48n + 5n, code: -3 });
    expect([args.get("error"), args.get("code")]).toEqual([2n ** 48n + 5n, -3n]);
    expect(() => args.get("cod")).toThrow("PJRT_Error_GetCode_Args has no field cod");
  });
  it("keep what they point to alive over a collection", () => {
    const makeStructs = (): Struct[] =>
      Array.from(
        { length: 200 },
        (_, index) => new Struct("PJRT_Program", { code: new Uint8Array(4096).fill(index), code_size: 4096 }),
      );
    const made = makeStructs();
    Bun.gc(true);
    // Memory that was freed would be taken by these.
    const others = Array.from({ length: 400 }, () => new Uint8Array(4096).fill(255));
    const { toArrayBuffer } = require("bun:ffi") as typeof import("bun:ffi");
    made.forEach((struct, index) => {
      expect(new Uint8Array(toArrayBuffer(Number(struct.get("code")) as never, 0, 4096))[77]).toBe(index);
    });
    expect(others.length).toBe(400);
  });
});

/** A function table of callbacks, as a plugin would return it. */
function fakeTable(
  version: readonly [number, number],
  functions: Readonly<Record<string, (args: number) => number>>,
  entries = Number(apiFunctions.length),
): { readonly address: number; readonly kept: unknown[] } {
  const table = new BigUint64Array(new ArrayBuffer(apiHeaderBytes + 8 * entries));
  table[0] = BigInt(table.byteLength);
  new Int32Array(table.buffer).set(version, 8);
  const kept: unknown[] = [table];
  [...apiFunctions].slice(0, entries).forEach((name, index) => {
    const callback = new JSCallback(functions[name] ?? (() => 0), { args: ["ptr"], returns: "ptr" });
    kept.push(callback);
    table[apiHeaderBytes / 8 + index] = BigInt(callback.ptr as number);
  });
  return { address: ptr(table), kept };
}

/** The header of a 64-bit library for a machine, with its table of sections at an offset. */
function elf(machine: number, sections = 0n): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(bytes.buffer);
  view.setUint16(18, machine, true);
  view.setBigUint64(40, sections, true);
  return bytes;
}

describe("a plugin that is no use", () => {
  it.each([
    [[1, 2], "speaks PJRT API 1.2"],
    [[0, 3], "speaks PJRT API 0.3"],
  ] as const)("of API version %j is refused with both versions named", (version, message) => {
    const { address } = fakeTable(version, {});
    expect(() => pluginAt("fake.so", address)).toThrow(NativeLibraryError);
    expect(() => pluginAt("fake.so", address)).toThrow(message);
  });
  it("with a shorter table is refused", () => {
    const { address } = fakeTable([0, 90], {}, 5 as number);
    expect(() => pluginAt("fake.so", address)).toThrow("expected 0.54");
  });
  it.each([
    [8, OutOfDeviceMemoryError, "RESOURCE_EXHAUSTED: no device memory left. Use a smaller batch"],
    [13, EngineError, "INTERNAL: no device memory left"],
  ] as const)("that fails with code %i gives a named error with its own words", (code, type, message) => {
    const words = Buffer.from("no device memory left");
    const { toArrayBuffer } = require("bun:ffi") as typeof import("bun:ffi");
    const write = (address: number, offset: number, value: bigint): void =>
      new DataView(toArrayBuffer(address as never, 0, offset + 8)).setBigUint64(offset, value, true);
    const { address, kept } = fakeTable([0, 90], {
      PJRT_Client_Create: () => 4096,
      PJRT_Error_Message: (args) => {
        write(args, 24, BigInt(ptr(words)));
        write(args, 32, BigInt(words.length));
        return 0;
      },
      PJRT_Error_GetCode: (args) => {
        write(args, 24, BigInt(code));
        return 0;
      },
    });
    const plugin = pluginAt("fake.so", address);
    expect(() => createClient(plugin)).toThrow(type);
    expect(() => createClient(plugin)).toThrow(message);
    expect(kept.length).toBeGreaterThan(0);
  });
  it("because it exports no GetPjrtApi is refused by name", () => {
    const libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"].find(
      (path) => existsSync(path),
    );
    if (!libc) return console.log("no libc.so.6 in a known place: nothing to refuse");
    expect(() => openPlugin(libc)).toThrow(/cannot be used as a PJRT plugin: .*GetPjrtApi/s);
  });
  it.skipIf(process.platform !== "linux").each([
    ["text", () => new TextEncoder().encode("404: not found".repeat(9)), "is not a native library"],
    ["of another architecture", () => elf(process.arch === "x64" ? 183 : 62), "is built for"],
    ["truncated", () => elf(process.arch === "x64" ? 62 : 183, 4096n), "is truncated"],
  ])("(%s) is refused before the loader sees it", (name, content, message) => {
    const folder = mkdtempSync(join(tmpdir(), "bunsen-plugin-"));
    const path = join(folder, `${name.replace(/\W/g, "-")}.so`);
    writeFileSync(path, content());
    expect(() => openPlugin(path)).toThrow(NativeLibraryError);
    expect(() => openPlugin(path)).toThrow(message);
    rmSync(folder, { recursive: true });
  });
  it("because none is installed names every place that was looked at", async () => {
    await expect(startPjrt(discoverPlugin({ VIRTUAL_ENV: "/nowhere" }, "/"))).rejects.toThrow(
      /no PJRT plugin was found.*pip install/s,
    );
  });
});

const plugin = process.env.BUNSEN_PJRT_PLUGIN;
if (!plugin) console.log("BUNSEN_PJRT_PLUGIN is not set: no real plugin is run");

describe.skipIf(!plugin)("a real plugin", () => {
  it("runs eager ops and donated steps and leaves no buffer behind", async () => {
    const runtime = await startPjrt(discoverPlugin());
    await tf.setBackend(runtime.engine.backend);
    expect([
      ...tf
        .matMul(
          tf.tensor2d([
            [1, 2],
            [3, 4],
          ]),
          tf.tensor2d([
            [0, 1],
            [1, 0],
          ]),
        )
        .dataSync(),
    ]).toEqual([2, 1, 4, 3]);
    const step = runtime.compile(
      (state: { x: tf.Tensor; n: tf.Tensor }) => ({ x: tf.mul(state.x, 1.5), n: tf.add(state.n, 1) }),
      { donate: [0] },
    );
    let state: { x: tf.Tensor; n: tf.Tensor } = { x: tf.ones([1000]), n: tf.scalar(0) };
    state = await step(state);
    const before = live.buffers;
    for (let index = 0; index < 50; index++) state = await step(state);
    expect(live.buffers).toBe(before);
    expect(state.n.dataSync()[0]).toBe(51);
    expect(state.x.dataSync()[999]! / 1.5 ** 51).toBeCloseTo(1, 4);
    const executables = live.executables;
    step.dispose();
    expect(live.executables).toBe(executables - 1);
  });
  it("ends a call whose function and argument are disposed meanwhile", async () => {
    const runtime = await startPjrt(discoverPlugin());
    await tf.setBackend(runtime.engine.backend);
    const values = Float32Array.from({ length: 200 }, (_, index) => index / 200);
    const slow = (x: tf.Tensor): tf.Tensor => {
      let y: tf.Tensor = tf.add(x, tf.tensor1d(values));
      for (let i = 0; i < 60; i++) y = tf.tanh(tf.matMul(y, x));
      return y;
    };
    const before = { ...live };
    for (const ticks of [8, 5, 3, 1]) {
      const compiled = runtime.compile(slow, {});
      const x = tf.randomNormal([200, 200]);
      const expected = await compiled(x);
      // The second one waits for the engine thread while the first one runs.
      const calls = [compiled(x), compiled(x)];
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      compiled.dispose();
      x.dispose();
      for (const call of await Promise.allSettled(calls)) {
        if (call.status === "rejected") expect(call.reason).toBeInstanceOf(CompileError);
        else {
          expect(call.value.dataSync()).toEqual(expected.dataSync());
          call.value.dispose();
        }
      }
      expected.dispose();
      await expect(compiled(expected)).rejects.toThrow("was disposed");
      expect(live).toEqual(before);
    }
  });
  it("leaves a donated argument readable where it comes back or a clone is alive", async () => {
    const runtime = await startPjrt(discoverPlugin());
    await tf.setBackend(runtime.engine.backend);
    const before = live.buffers;
    const steps: ((x: tf.Tensor) => tf.Tensor[])[] = [
      (x) => [tf.add(x, 1), x],
      (x) => [tf.add(x, 1), tf.clone(x)],
      (x) => [tf.add(x, 1), tf.reshape(x, [1, 3])],
    ];
    for (const fn of steps) {
      const step = runtime.compile(fn, { donate: [0] });
      const state = tf.add(tf.ones([3]), 0);
      const out = await step(state);
      expect(state.isDisposed).toBe(true);
      expect(out.map((tensor) => [...tensor.dataSync()])).toEqual([
        [2, 2, 2],
        [1, 1, 1],
      ]);
      disposeTree(out);
      step.dispose();
    }
    const step = runtime.compile((x: tf.Tensor, y: tf.Tensor) => [tf.add(x, 1), y], { donate: [0] });
    const state = tf.add(tf.ones([3]), 0);
    const other = tf.clone(state);
    const out = await step(state, other);
    expect([...out, other].map((tensor) => tensor.dataSync()[0])).toEqual([2, 1, 1]);
    disposeTree([...out, other]);
    const same = tf.add(tf.ones([3]), 0);
    const both = await step(same, same);
    expect(both.map((tensor) => tensor.dataSync()[0])).toEqual([2, 1]);
    disposeTree(both);
    step.dispose();
    // The scalars and ones that eager ops were given are tensors still.
    expect(live.buffers).toBeLessThanOrEqual(before + 8);
  });
  it("destroys the executables of single ops that it no longer keeps", async () => {
    const backend = new PjrtBackend(createClient(openPlugin(plugin!)), 2);
    const before = { ...live };
    for (let size = 1; size <= 6; size++) {
      const dataId = backend.write(
        Float32Array.from({ length: size }, () => -2),
        [size],
        "float32",
      );
      const x = { dataId, shape: [size], dtype: "float32" as const };
      const result = backend.run("Abs", { x }, {}) as tf.TensorInfo;
      expect([...backend.readSync(result.dataId)]).toEqual(Array.from({ length: size }, () => 2));
      for (const { dataId: one } of [x, result]) backend.disposeData(one);
    }
    expect(live).toEqual({ buffers: before.buffers, executables: before.executables + 2 });
  });
  it("gives the same bits when memory is collected before every single C call", { timeout: 600_000 }, async () => {
    const runtime = await startPjrt(discoverPlugin());
    await tf.setBackend(runtime.engine.backend);
    const work = async (): Promise<number[]> => {
      const bytes = new Uint8Array(Float32Array.from({ length: 16 }, (_, i) => Math.cos(i)).buffer);
      const x = runtime.upload(bytes, "F32", [4, 4], "f32");
      const narrow = runtime.upload(bytes, "F32", [4, 4], "bf16");
      const eager = tf.concat([tf.matMul(x, narrow), tf.reverse(x, 0)]);
      const step = runtime.compile((state: { x: tf.Tensor }) => ({ x: tf.tanh(tf.matMul(state.x, narrow)) }), {
        donate: [0],
      });
      let state = { x: tf.add(x, 1) as tf.Tensor };
      for (let i = 0; i < 2; i++) {
        const pending = step(state);
        collect();
        state = await pending;
      }
      const values = [...eager.dataSync(), ...state.x.dataSync()];
      step.dispose();
      return values;
    };
    const calm = await work();
    const collected = await collectingBeforeCalls(openPlugin(plugin!) as unknown as Functions, work);
    expect(collected.calls).toBeGreaterThan(30);
    expect(collected.result).toEqual(calm);
  });
  it("refuses a program with an error, not with a crash", async () => {
    const client = createClient(openPlugin(plugin!));
    const { compileProgram } = await import("#toolkit/tensor/runtimes/pjrt/buffers.ts");
    await expect(compileProgram(client, {} as never, "module { nonsense }", "nonsense")).rejects.toThrow(EngineError);
  });
});
