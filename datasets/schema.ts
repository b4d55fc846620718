// Arrow schemas of the hub's files in short notation, and tables from plain rows. Reading parquet belongs to
// toolkit/batches; checking a row's values belongs to row.ts.
import {
  type DataType,
  Field,
  Float32,
  Int32,
  Int64,
  List,
  Schema,
  Struct,
  Table,
  Utf8,
  type Vector,
  vectorFromArray,
} from "apache-arrow";
import type { Row } from "./contract.ts";

export const utf8: DataType = new Utf8();
export const int32: DataType = new Int32();
export const int64: DataType = new Int64();
export const float32: DataType = new Float32();

export function list(item: DataType): DataType {
  return new List(new Field("item", item, true));
}

export function struct(fields: Readonly<Record<string, DataType>>): DataType {
  return new Struct(Object.entries(fields).map(([name, type]) => new Field(name, type, true)));
}

/** A schema whose columns may all be null, as the hub's parquet files declare them. */
export function schemaOf(columns: Readonly<Record<string, DataType>>): Schema {
  return new Schema(Object.entries(columns).map(([name, type]) => new Field(name, type, true)));
}

/** An Arrow table of `rows` (plain values; whole numbers may be numbers where the column is int64). */
export function tableFromRows(schema: Schema, rows: readonly Row[]): Table {
  const columns: Record<string, Vector> = {};
  for (const field of schema.fields) {
    columns[field.name] = vectorFromArray(
      rows.map((row) => exact(row[field.name] ?? null, field.type)),
      field.type,
    );
  }
  return new Table(schema, columns);
}

/** int64 columns want bigint; everything else is left as it is. */
function exact(value: unknown, type: DataType): unknown {
  if (value === null || value === undefined) return null;
  if (type instanceof Int64) return typeof value === "number" ? BigInt(value) : value;
  if (type instanceof List)
    return Array.from(value as Iterable<unknown>, (item) => exact(item, type.children[0]!.type));
  if (type instanceof Struct) {
    return Object.fromEntries(
      type.children.map((child) => [child.name, exact((value as Row)[child.name] ?? null, child.type)]),
    );
  }
  return value;
}
