// Flat columns (text, whole and floating numbers) built and gathered as Arrow arrays without a JavaScript value per cell:
// what makes a first load fast. Only well-formed cells are taken here; columns.ts knows every other, and the errors.
import { isUtf8 } from "node:buffer";
import { type Data, DataType, type Float, type Int, makeData, type Utf8, type Vector } from "apache-arrow";

/** A cell that is not what the type holds: columns.ts says why. */
export interface OddCell {
  readonly row: number;
}

/** Bytes of one Arrow text column at most: its offsets have 32 bits. */
const mostBytes = 2 ** 31 - 1;

/**
 * The column's Arrow data from the values that a parquet reader gives (bytes for text), or the first cell that is odd; null
 * for types that are not flat.
 */
export function flatData(type: DataType, nullable: boolean, values: ArrayLike<unknown>): Data | OddCell | null {
  if (DataType.isUtf8(type)) return textData(type, nullable, values);
  if (DataType.isInt(type) && type.bitWidth === 64) return int64Data(type, nullable, values);
  if (DataType.isInt(type) || DataType.isFloat(type)) return numberData(type, nullable, values);
  return null;
}

/** Marks nulls as they are met; no bitmap where there are none. */
function nullsOf(length: number): {
  add(row: number): void;
  bitmap(): { readonly nullCount: number; readonly nullBitmap?: Uint8Array };
} {
  let bits: Uint8Array | null = null;
  let count = 0;
  return {
    add(row) {
      bits ??= new Uint8Array((length + 7) >> 3).fill(255);
      bits[row >> 3]! &= ~(1 << (row & 7));
      count++;
    },
    bitmap: () => (bits === null ? { nullCount: 0 } : { nullCount: count, nullBitmap: bits }),
  };
}

function textData(type: Utf8, nullable: boolean, values: ArrayLike<unknown>): Data | OddCell {
  const { length } = values;
  const nulls = nullsOf(length);
  const valueOffsets = new Int32Array(length + 1);
  let total = 0;
  for (let row = 0; row < length; row++) {
    const value = values[row];
    if (value instanceof Uint8Array) total += value.length;
    else if (value === null && nullable) nulls.add(row);
    else return { row };
    if (total > mostBytes) return { row };
    valueOffsets[row + 1] = total;
  }
  const data = new Uint8Array(total);
  for (let row = 0; row < length; row++) {
    const value = values[row];
    if (value !== null) data.set(value as Uint8Array, valueOffsets[row]!);
  }
  // All at once; a text whose end is the middle of a character, which its neighbour completes, is found by that neighbour.
  const whole = isUtf8(data) && !continues(data, valueOffsets);
  if (!whole) {
    for (let row = 0; row < length; row++)
      if (!isUtf8(data.subarray(valueOffsets[row], valueOffsets[row + 1]))) return { row };
  }
  return makeData({ type, length, ...nulls.bitmap(), valueOffsets, data });
}

/** Whether any text begins with a byte that goes on with a character. */
function continues(data: Uint8Array, offsets: Int32Array): boolean {
  for (const start of offsets) if (start < data.length && (data[start]! & 0xc0) === 0x80) return true;
  return false;
}

function int64Data(type: Int, nullable: boolean, values: ArrayLike<unknown>): Data | OddCell {
  const { length } = values;
  const nulls = nullsOf(length);
  const data = type.isSigned ? new BigInt64Array(length) : new BigUint64Array(length);
  for (let row = 0; row < length; row++) {
    const value = values[row];
    if (typeof value === "bigint") {
      data[row] = value;
      if (data[row] !== value) return { row };
    } else if (value === null && nullable) nulls.add(row);
    else return { row };
  }
  return makeData({ type, length, ...nulls.bitmap(), data } as never);
}

function numberData(type: Int | Float, nullable: boolean, values: ArrayLike<unknown>): Data | OddCell {
  const { length } = values;
  const nulls = nullsOf(length);
  const whole = DataType.isInt(type);
  const data = new (type.ArrayType as new (length: number) => Int32Array)(length);
  // Half floats are kept as bits: not a plain number.
  if (!whole && (type as Float).precision === 0) return { row: 0 };
  for (let row = 0; row < length; row++) {
    const value = values[row];
    if (typeof value === "number") {
      data[row] = value;
      if (whole && data[row] !== value) return { row };
    } else if (value === null && nullable) nulls.add(row);
    else return { row };
  }
  return makeData({ type, length, ...nulls.bitmap(), data } as never);
}

/** The rows of a flat column in the order of `indices`; null for a column that is not flat. */
export function gathered(column: Vector, indices: ArrayLike<number>): Data | null {
  const { type } = column;
  const text = DataType.isUtf8(type);
  const half = DataType.isFloat(type) && type.precision === 0;
  if (!text && !(DataType.isInt(type) || (DataType.isFloat(type) && !half))) return null;
  const { length } = indices;
  const chunks = column.data as readonly Data[];
  const starts: number[] = [];
  let rows = 0;
  for (const chunk of chunks) {
    starts.push(rows);
    rows += chunk.length;
  }
  const nulls = nullsOf(length);
  let place = 0;
  /** Moves `place` to the chunk of a row. */
  const find = (row: number): Data => {
    while (row < starts[place]!) place--;
    while (place + 1 < starts.length && row >= starts[place + 1]!) place++;
    return chunks[place]!;
  };
  if (!text) {
    const data = new (type.ArrayType as new (length: number) => BigInt64Array)(length);
    for (let i = 0; i < length; i++) {
      const row = indices[i]!;
      const chunk = find(row);
      const at = row - starts[place]!;
      if (chunk.nullCount > 0 && !chunk.getValid(at)) nulls.add(i);
      else data[i] = (chunk.values as unknown as BigInt64Array)[at]!;
    }
    return makeData({ type, length, ...nulls.bitmap(), data } as never);
  }
  const valueOffsets = new Int32Array(length + 1);
  let total = 0;
  for (let i = 0; i < length; i++) {
    const row = indices[i]!;
    const { valueOffsets: offsets, nullCount } = find(row);
    const at = row - starts[place]!;
    if (nullCount > 0 && !chunks[place]!.getValid(at)) nulls.add(i);
    else total += offsets[at + 1]! - offsets[at]!;
    valueOffsets[i + 1] = total;
  }
  const data = new Uint8Array(total);
  for (let i = 0; i < length; i++) {
    if (valueOffsets[i + 1] === valueOffsets[i]) continue;
    const row = indices[i]!;
    const { values, valueOffsets: offsets } = find(row);
    const at = row - starts[place]!;
    data.set((values as Uint8Array).subarray(offsets[at], offsets[at + 1]), valueOffsets[i]);
  }
  return makeData({ type: type as Utf8, length, ...nulls.bitmap(), valueOffsets, data });
}
