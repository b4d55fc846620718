// safetensors: what is read back equals what was written, hostile headers are named, files of any size are windows.
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { halfToNumber, numberToBfloat, numberToHalf } from "#toolkit/weights/dtypes.ts";
import { openSafetensors, WeightsError, writeJson, writeSafetensors } from "#toolkit/weights/index.ts";
import { parseHeader } from "#toolkit/weights/safetensors.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-weights-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with this header and this many bytes of zeros behind it. */
function fileWith(header: string, dataBytes: number, name = "hostile.safetensors"): string {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const f32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]): object => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

describe("reading and writing", () => {
  test("values, shapes, types and metadata come back as they were written", () => {
    const path = join(folder, "a.safetensors");
    writeSafetensors(
      path,
      {
        floats: { shape: [2, 3], values: Float32Array.of(1, -2, 3.5, 0, Number.NaN, Number.POSITIVE_INFINITY) },
        integers: { shape: [2], values: Int32Array.of(-5, 2 ** 31 - 1) },
        long: { shape: [2], values: Int32Array.of(-1, 7), dtype: "I64" },
        scalar: { shape: [], values: Float32Array.of(4) },
        empty: { shape: [0, 3], values: new Float32Array(0) },
      },
      { format: "pt", note: "ünï" },
    );
    const file = openSafetensors(path);
    expect(file.metadata).toEqual({ format: "pt", note: "ünï" });
    expect(file.read("floats").shape).toEqual([2, 3]);
    expect([...file.read("floats").values]).toEqual([1, -2, 3.5, 0, Number.NaN, Number.POSITIVE_INFINITY]);
    expect([...file.read("integers").values]).toEqual([-5, 2 ** 31 - 1]);
    expect([...file.read("long").values]).toEqual([-1, 7]);
    expect(file.read("scalar")).toMatchObject({ shape: [], dtype: "F32" });
    expect(file.read("empty").values.length).toBe(0);
    expect(statSync(path).size % 4).toBe(0);
  });

  test("bfloat16 and half floats are read as float32, rounded to nearest when written", () => {
    const path = join(folder, "halves.safetensors");
    const values = Float32Array.of(1, -0.1, 65504, 1e-7, 2.71, 0);
    writeSafetensors(path, { b: { shape: [6], values, dtype: "BF16" }, h: { shape: [6], values, dtype: "F16" } });
    const file = openSafetensors(path);
    for (const [i, value] of values.entries()) {
      expect(Math.abs(file.read("b").values[i]! - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8);
      expect(Math.abs(file.read("h").values[i]! - value)).toBeLessThanOrEqual(
        Math.max(2 ** -25, Math.abs(value) * 2 ** -11),
      );
    }
  });

  test("every half float is written back as the same bits, and rounding agrees with Float16Array", () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = halfToNumber(bits);
      if (!Number.isNaN(value)) expect(numberToHalf(value)).toBe(bits);
    }
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        const reference = new Uint16Array(Float16Array.of(value).buffer)[0];
        expect(numberToHalf(value)).toBe(reference);
      }),
    );
  });

  test("bfloat16 rounds to the nearer neighbour, ties to even", () => {
    expect(numberToBfloat(1)).toBe(0x3f80);
    expect(numberToBfloat(1 + 2 ** -8)).toBe(0x3f80);
    expect(numberToBfloat(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(numberToBfloat(Number.NaN) & 0x7f80).toBe(0x7f80);
  });

  test("a failed write leaves the old file and no temporary one", () => {
    const path = join(folder, "kept.safetensors");
    writeSafetensors(path, { x: { shape: [1], values: Float32Array.of(1) } });
    const before = readFileSync(path);
    expect(() => writeSafetensors(path, { x: { shape: [3], values: Float32Array.of(1) } })).toThrow(
      /3 elements, 1 came/,
    );
    expect(() => writeSafetensors(join(folder, "no/such/folder.safetensors"), {})).toThrow();
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("JSON is written with sorted keys, as PEFT writes its config", () => {
    writeJson(join(folder, "c.json"), { b: 1, a: { d: [2], c: null } }, { sortKeys: true });
    expect(readFileSync(join(folder, "c.json"), "utf8")).toBe(
      '{\n  "a": {\n    "c": null,\n    "d": [\n      2\n    ]\n  },\n  "b": 1\n}\n',
    );
  });
});

describe("large files", () => {
  test("a sparse file of 12 GiB gives its tensors beyond 4 GiB without being read whole", () => {
    const path = join(folder, "sparse.safetensors");
    const part = 4 * 2 ** 30;
    const header = JSON.stringify({
      first: f32(0, part),
      second: f32(part, 2 * part),
      third: f32(2 * part, 3 * part - 64),
      last: f32(3 * part - 64, 3 * part, [4, 4]),
    });
    const text = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
    const file = openSync(path, "w");
    const start = new Uint8Array(8);
    new DataView(start.buffer).setBigUint64(0, BigInt(text.length), true);
    writeSync(file, start, 0, 8, 0);
    writeSync(file, text, 0, text.length, 8);
    ftruncateSync(file, 8 + text.length + 3 * part);
    const values = Float32Array.from({ length: 16 }, (_, i) => i + 0.5);
    writeSync(file, new Uint8Array(values.buffer), 0, 64, 8 + text.length + 3 * part - 64);
    closeSync(file);
    expect(statSync(path).size).toBeGreaterThan(12 * 2 ** 30);

    const before = process.memoryUsage().rss;
    const opened = openSafetensors(path);
    expect([...opened.read("last").values]).toEqual([...values]);
    expect(opened.read("second").values.length).toBe(part / 4);
    expect(opened.read("third").values[5]).toBe(0);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 2 ** 20);
    rmSync(path);
  });
});

describe("hostile files", () => {
  const cases: readonly (readonly [string, string, number, RegExp])[] = [
    ["no JSON", "{nope", 0, /no valid JSON/],
    ["a list", "[]", 0, /must be a JSON object/],
    [
      "an unknown type",
      JSON.stringify({ x: { dtype: "F4", shape: [1], data_offsets: [0, 4] } }),
      4,
      /unknown type "F4"/,
    ],
    [
      "an inherited type",
      JSON.stringify({ x: { dtype: "toString", shape: [1], data_offsets: [0, 4] } }),
      4,
      /unknown type/,
    ],
    ["a negative shape", JSON.stringify({ x: f32(0, 4, [-1]) }), 4, /must be whole numbers/],
    ["a shape that overflows", JSON.stringify({ x: f32(0, 4, [2 ** 40, 2 ** 40]) }), 4, /needs .* bytes/],
    ["offsets that shrink", JSON.stringify({ x: f32(4, 0, [1]) }), 4, /must grow/],
    ["offsets beyond the file", JSON.stringify({ x: f32(0, 400) }), 4, /describes 400 bytes of data, the file holds 4/],
    ["a wrong size", JSON.stringify({ x: f32(0, 8, [1]) }), 8, /needs 4 bytes, data_offsets give 8/],
    ["an overlap", JSON.stringify({ x: f32(0, 8), y: f32(4, 12) }), 12, /overlap/],
    ["a hole", JSON.stringify({ x: f32(0, 4), y: f32(8, 12) }), 12, /hole of 4 bytes/],
    ["bytes left over", JSON.stringify({ x: f32(0, 4) }), 12, /describes 4 bytes of data, the file holds 12/],
    ["a name twice", `{"x":${JSON.stringify(f32(0, 4))},"\\u0078":${JSON.stringify(f32(0, 4))}}`, 4, /names "x" twice/],
    [
      "metadata that is no text",
      JSON.stringify({ __metadata__: { a: 1 } }),
      0,
      /__metadata__ must map names to strings/,
    ],
    ["no entry", JSON.stringify({ x: null }), 0, /unknown type/],
  ];
  test.each(cases)("%s", (_name, header, bytes, message) => {
    expect(() => openSafetensors(fileWith(header, bytes))).toThrow(message);
    expect(() => openSafetensors(fileWith(header, bytes))).toThrow(WeightsError);
  });

  test("a name like a property of objects is only a name", () => {
    const path = fileWith(`{"__proto__":${JSON.stringify(f32(0, 4))},"constructor":${JSON.stringify(f32(4, 8))}}`, 8);
    expect([...openSafetensors(path).tensors.keys()]).toEqual(["__proto__", "constructor"]);
    expect(openSafetensors(path).read("__proto__").values.length).toBe(1);
  });

  test("a header longer than the file, a file shorter than 8 bytes, no file at all", () => {
    const path = join(folder, "short.safetensors");
    writeFileSync(path, new Uint8Array(5));
    expect(() => openSafetensors(path)).toThrow(/5 bytes long/);
    writeFileSync(path, new Uint8Array([255, 255, 255, 255, 255, 255, 255, 255, 0]));
    expect(() => openSafetensors(path)).toThrow(/18446744073709551615 bytes does not fit a file of 9/);
    expect(() => openSafetensors(join(folder, "none.safetensors"))).toThrow(/cannot open/);
    writeFileSync(path, new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe]));
    expect(() => openSafetensors(path)).toThrow(/no valid UTF-8/);
  });

  test("integers beyond 32 bits and 8-bit floats are refused by name, not wrapped", () => {
    const path = fileWith(
      JSON.stringify({
        big: { dtype: "I64", shape: [1], data_offsets: [0, 8] },
        tiny: { dtype: "F8_E4M3", shape: [1], data_offsets: [8, 9] },
      }),
      9,
    );
    const bytes = readFileSync(path);
    bytes.writeBigInt64LE(2n ** 40n, bytes.length - 9);
    writeFileSync(path, bytes);
    expect(() => openSafetensors(path).read("big")).toThrow(
      /tensor big: value 1099511627776 at 0 does not fit 32 bits/,
    );
    expect(() => openSafetensors(path).read("tiny")).toThrow(/F8_E4M3/);
  });

  test("any text as a header either parses or is refused, and never crashes otherwise", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), fc.nat(64), (text, bytes) => {
        try {
          parseHeader(text, bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WeightsError);
        }
      }),
    );
  });
});
