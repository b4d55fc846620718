// Values of any file → Arrow columns of a declared schema, every value checked: the one place where outside data become
// typed. Not a reader of any format, and not a writer of files.
import { Data, DataType, type Int, makeBuilder, makeData, RecordBatch, type Schema, Struct } from "apache-arrow";
import { dataError, type Place } from "./errors.ts";
import { flatData } from "./flat-columns.ts";

/** A string whose bytes are no UTF-8: kept as such until its row is known. */
export class InvalidUtf8 {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text, or InvalidUtf8. */
export function decodeUtf8(bytes: Uint8Array): string | InvalidUtf8 {
  try {
    return utf8.decode(bytes);
  } catch {
    return new InvalidUtf8(bytes.slice(0, 16));
  }
}

/**
 * One record batch of columns of equal length. Text may come as its UTF-8 bytes, a column as Arrow data of its type.
 * @throws DataError naming file, row and column of a value that its type cannot hold.
 */
export function recordBatch(
  schema: Schema,
  columns: readonly (ArrayLike<unknown> | Data)[],
  file: string,
  firstRow: number,
  fromText = false,
): RecordBatch {
  const length = columns[0]?.length ?? 0;
  const children: Data[] = schema.fields.map((field, i) => {
    const values = columns[i]!;
    if (values instanceof Data) return values;
    const flat = fromText ? null : flatData(field.type, field.nullable, values);
    if (flat !== null && !("row" in flat)) return flat;
    // Cell by cell: nested values, and cells that are not as the type holds them, of which some can be made so.
    const builder = makeBuilder({ type: field.type, nullValues: [null] });
    for (let row = 0; row < length; row++) {
      const place = { file, row: firstRow + row, column: field.name };
      builder.append(checked(values[row], field.type, field.nullable, place, fromText));
    }
    builder.finish();
    return builder.flush();
  });
  return new RecordBatch(
    schema,
    makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }) as Data<Struct>,
  );
}

/** The value as the type's builder wants it. */
function checked(value: unknown, type: DataType, nullable: boolean, place: Place, fromText: boolean): unknown {
  if (value === null || value === undefined) {
    if (nullable) return null;
    throw dataError(place, `expected ${type}, but there is no value.`);
  }
  if (DataType.isUtf8(type)) {
    const text = value instanceof Uint8Array ? decodeUtf8(value) : value;
    if (typeof text === "string") return text;
    if (text instanceof InvalidUtf8) throw dataError(place, `the text is not valid UTF-8 (begins ${hex(text.bytes)}).`);
  } else if (DataType.isInt(type)) {
    const whole = toWhole(value, fromText);
    if (whole !== null) {
      if (fitsInt(whole, type)) return type.bitWidth === 64 ? whole : Number(whole);
      throw dataError(place, `${whole} does not fit into ${type}.`);
    }
  } else if (DataType.isFloat(type)) {
    if (typeof value === "number") return value;
    if (typeof value === "bigint") return Number(value);
    if (fromText && typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)))
      return Number(value);
  } else if (DataType.isBool(type)) {
    if (typeof value === "boolean") return value;
    if (fromText && (value === "true" || value === "false")) return value === "true";
  } else if (DataType.isList(type)) {
    const items = iterated(value);
    if (items)
      return items.map((item) => checked(item, type.children[0]!.type, type.children[0]!.nullable, place, fromText));
  } else if (DataType.isStruct(type)) {
    if (typeof value === "object" && !Array.isArray(value)) {
      const struct: Record<string, unknown> = {};
      for (const child of (type as Struct).children) {
        const inner = { ...place, column: `${place.column}.${child.name}` };
        struct[child.name] = checked(
          (value as Record<string, unknown>)[child.name],
          child.type,
          child.nullable,
          inner,
          fromText,
        );
      }
      return struct;
    }
  } else {
    throw dataError(
      place,
      `the type ${type} cannot be read here. Declare the column as text, number, boolean, list or struct.`,
    );
  }
  throw dataError(place, `expected ${type}, but the value is ${shown(value)}.`);
}

function toWhole(value: unknown, fromText: boolean): bigint | null {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : null;
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (fromText && typeof value === "string" && /^[+-]?\d{1,19}$/.test(value.trim())) return BigInt(value.trim());
  return null;
}

function fitsInt(value: bigint, type: Int): boolean {
  const bits = BigInt(type.bitWidth);
  const [low, high] = type.isSigned ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
  return value >= low && value <= high;
}

function iterated(value: unknown): unknown[] | null {
  if (Array.isArray(value)) return value;
  if (typeof value === "object" && value !== null && Symbol.iterator in value) return [...(value as Iterable<unknown>)];
  return null;
}

function shown(given: unknown): string {
  const decoded = given instanceof Uint8Array ? decodeUtf8(given) : given;
  const value = decoded instanceof InvalidUtf8 ? `bytes ${hex(decoded.bytes)}` : decoded;
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** A value of an Arrow column as plain data: whole numbers as numbers where exact, lists as arrays, structs as objects. */
export function plain(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint")
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  if (typeof value !== "object") return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  if (Array.isArray(value)) return value.map(plain);
  // A struct's row is a proxy that knows its fields alone: `in` would not find its methods. A list's value is a vector,
  // perhaps of another copy of the library: `instanceof` would not know it.
  const { toJSON } = value as { toJSON?: () => unknown };
  if (typeof toJSON === "function" && !(value instanceof Date)) {
    const json = toJSON.call(value);
    if (Array.isArray(json)) return json.map(plain);
    return Object.fromEntries(Object.entries(json as object).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}
