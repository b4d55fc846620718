// The element types of safetensors files and their conversion to what tfjs computes with (float32 and int32).
// Not here: files and headers (safetensors.ts).
import { WeightsError } from "./errors.ts";

/** Bytes of one element, for every type the format names (sub-byte types are refused as unknown). */
export const elementSizes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type FileDtype = keyof typeof elementSizes;

/** Values of a tensor in memory: float32 for every floating type of a file, int32 for every integer type and BOOL. */
export type Values = Float32Array | Int32Array;

/** The types that `encode` writes. */
export type WritableDtype = "F32" | "BF16" | "F16" | "I32" | "I64";

const floatBits = new Float32Array(1);
const floatWord = new Uint32Array(floatBits.buffer);

/** IEEE half bits → number, subnormals, infinities and NaN included. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Number → IEEE half bits, rounded to nearest, ties to even; too large becomes infinity. */
export function numberToHalf(value: number): number {
  floatBits[0] = value;
  const word = floatWord[0]!;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = Math.abs(floatBits[0]!);
  if (Number.isNaN(magnitude)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  // Subnormal halves are multiples of 2^-24; scaling first makes one rounding do for both ranges.
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude));
  const unit = 2 ** (exponent - 10);
  const scaled = magnitude / unit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  const total = rounded * unit;
  if (total < 2 ** -14) return sign | rounded;
  const e = Math.floor(Math.log2(total));
  return sign | ((e + 15) << 10) | (Math.round(total / 2 ** (e - 10)) - 1024);
}

/** Number → bfloat16 bits, rounded to nearest, ties to even. */
export function numberToBfloat(value: number): number {
  floatBits[0] = value;
  const word = floatWord[0]!;
  if (Number.isNaN(value)) return (word >>> 16) | 0x40;
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}

let halfTable: Float32Array | undefined;

/**
 * Raw little-endian bytes of a tensor → values. F32 and I32 are views of `bytes`, without a copy.
 * @throws WeightsError for a type that has no exact place here (8-bit floats, integers beyond 32 bits).
 */
export function decode(bytes: Uint8Array, dtype: FileDtype, name: string): Values {
  const { buffer, byteOffset, byteLength } = bytes;
  const aligned = (size: number): boolean => byteOffset % size === 0;
  const whole = (size: number): Uint8Array<ArrayBuffer> =>
    (aligned(size) ? bytes : bytes.slice()) as Uint8Array<ArrayBuffer>;
  switch (dtype) {
    case "F32": {
      const from = whole(4);
      return new Float32Array(from.buffer, from.byteOffset, byteLength / 4);
    }
    case "I32": {
      const from = whole(4);
      return new Int32Array(from.buffer, from.byteOffset, byteLength / 4);
    }
    case "F64": {
      const from = whole(8);
      return Float32Array.from(new Float64Array(from.buffer, from.byteOffset, byteLength / 8));
    }
    case "BF16": {
      const from = whole(2);
      const source = new Uint16Array(from.buffer, from.byteOffset, byteLength / 2);
      const words = new Uint32Array(source.length);
      for (let i = 0; i < source.length; i++) words[i] = source[i]! << 16;
      return new Float32Array(words.buffer);
    }
    case "F16": {
      halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
      const from = whole(2);
      const source = new Uint16Array(from.buffer, from.byteOffset, byteLength / 2);
      const out = new Float32Array(source.length);
      for (let i = 0; i < source.length; i++) out[i] = halfTable[source[i]!]!;
      return out;
    }
    case "I64": {
      const from = whole(8);
      const source = new BigInt64Array(from.buffer, from.byteOffset, byteLength / 8);
      const out = new Int32Array(source.length);
      for (let i = 0; i < source.length; i++) {
        const value = source[i]!;
        if (value !== BigInt.asIntN(32, value))
          throw new WeightsError(`tensor ${name}: value ${value} at ${i} does not fit 32 bits`);
        out[i] = Number(value);
      }
      return out;
    }
    case "BOOL":
    case "U8":
      return Int32Array.from(bytes);
    case "I8":
      return Int32Array.from(new Int8Array(buffer as ArrayBuffer, byteOffset, byteLength));
    case "I16":
    case "U16": {
      const from = whole(2);
      const View = dtype === "I16" ? Int16Array : Uint16Array;
      return Int32Array.from(new View(from.buffer, from.byteOffset, byteLength / 2));
    }
    default:
      throw new WeightsError(
        `tensor ${name} has the type ${dtype}, which is not read here; convert it to F32, BF16, F16, I64 or I32 first`,
      );
  }
}

/** Values → raw little-endian bytes of `dtype`. */
export function encode(values: Values, dtype: WritableDtype): Uint8Array {
  switch (dtype) {
    case "F32": {
      const floats = values instanceof Float32Array ? values : Float32Array.from(values);
      return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
    }
    case "I32": {
      const integers = values instanceof Int32Array ? values : Int32Array.from(values);
      return new Uint8Array(integers.buffer, integers.byteOffset, integers.byteLength);
    }
    case "I64":
      return new Uint8Array(BigInt64Array.from(values, (value) => BigInt(value)).buffer);
    case "BF16":
      return new Uint8Array(Uint16Array.from(values, numberToBfloat).buffer);
    case "F16":
      return new Uint8Array(Uint16Array.from(values, numberToHalf).buffer);
  }
}
