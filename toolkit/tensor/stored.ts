// Numbers as files store them (safetensors names) → typed arrays that tfjs takes. Pure functions of bytes; no tensor.
import type { StoredType } from "./runtime.ts";

/** Bytes per element. */
export const storedSize: Readonly<Record<StoredType, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  I32: 4,
  I64: 8,
  U8: 1,
  BOOL: 1,
};

/** The tfjs dtype that a stored type becomes. */
export const storedDtype: Readonly<Record<StoredType, "float32" | "int32" | "bool">> = {
  F32: "float32",
  F16: "float32",
  BF16: "float32",
  I32: "int32",
  I64: "int32",
  U8: "int32",
  BOOL: "bool",
};

/** @throws RangeError when the bytes are not what the shape needs. */
export function checkStored(bytes: Uint8Array, stored: StoredType, shape: readonly number[]): void {
  if (!Object.hasOwn(storedSize, stored)) {
    throw new RangeError(
      `stored type ${JSON.stringify(stored)} is unknown; known: ${Object.keys(storedSize).join(", ")}`,
    );
  }
  const expected = shape.reduce((product, dimension) => product * dimension, 1) * storedSize[stored];
  if (bytes.byteLength !== expected) {
    throw new RangeError(`a ${stored} tensor of shape [${shape}] has ${expected} bytes, got ${bytes.byteLength}`);
  }
}

/**
 * The same bytes at an address that a typed array accepts: a view where aligned, else a copy. Not by `slice`, which of
 * Node's Buffer gives a view.
 */
function aligned(bytes: Uint8Array, to: number): Uint8Array {
  return bytes.byteOffset % to === 0 ? bytes : new Uint8Array(bytes);
}

/** Values as tfjs keeps them. Aligned F32 and I32 are a view of `bytes`, not a copy. */
export function decodeStored(bytes: Uint8Array, stored: StoredType): Float32Array | Int32Array | Uint8Array {
  switch (stored) {
    case "F32": {
      const at = aligned(bytes, 4);
      return new Float32Array(at.buffer, at.byteOffset, at.byteLength / 4);
    }
    case "I32": {
      const at = aligned(bytes, 4);
      return new Int32Array(at.buffer, at.byteOffset, at.byteLength / 4);
    }
    case "BF16": {
      const at = aligned(bytes, 2);
      const words = new Uint16Array(at.buffer, at.byteOffset, at.byteLength / 2);
      const wide = new Uint32Array(words.length);
      for (let i = 0; i < words.length; i++) wide[i] = words[i]! << 16;
      return new Float32Array(wide.buffer);
    }
    case "F16": {
      const at = aligned(bytes, 2);
      return Float32Array.from(new Float16Array(at.buffer, at.byteOffset, at.byteLength / 2));
    }
    case "I64": {
      const at = aligned(bytes, 8);
      const wide = new BigInt64Array(at.buffer, at.byteOffset, at.byteLength / 8);
      const out = new Int32Array(wide.length);
      for (let i = 0; i < wide.length; i++) {
        const value = Number(wide[i]);
        if (value !== (value | 0))
          throw new RangeError(`an I64 value (${value}) does not fit the int32 that tensors have`);
        out[i] = value;
      }
      return out;
    }
    case "U8":
      return Int32Array.from(bytes);
    case "BOOL":
      return bytes;
  }
}

/** float32 → bfloat16 bits, rounded to nearest even; NaN stays NaN. Written to `out`, which is returned. */
export function toBfloat16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const notANumber = (word & 0x7fffffff) > 0x7f800000;
    out[i] = notANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}
