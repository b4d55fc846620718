// Arrow tables as parquet files, in the layout that the hub's files have, for servers in tests.
import { type DataType, type Field, Float32, Int32, Int64, List, Struct, type Table, Utf8 } from "apache-arrow";
import type { SchemaElement } from "hyparquet";
import { ByteWriter, parquetWrite } from "hyparquet-writer";
import { plain } from "#toolkit/batches/columns.ts";

/** The table's bytes as parquet: snappy, dictionaries, several row groups, nested columns as lists and groups. */
export function parquetOf(table: Table, rowGroupSize = 500): Uint8Array {
  const writer = new ByteWriter();
  parquetWrite({
    writer,
    schema: [
      { name: "schema", num_children: table.schema.fields.length },
      ...table.schema.fields.flatMap((field) => elementsOf(field.name, field)),
    ],
    columnData: table.schema.fields.map((field) => ({
      name: field.name,
      data: Array.from(table.getChild(field.name)!, (value) => asWritten(plain(value), field.type)),
    })),
    rowGroupSize,
  });
  return new Uint8Array(writer.getBuffer());
}

/** Arrow's field as parquet's schema elements, depth first. */
function elementsOf(name: string, { type }: Field): SchemaElement[] {
  const repetition_type = "OPTIONAL" as const;
  if (type instanceof Utf8) return [{ name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type }];
  if (type instanceof Int32) return [{ name, type: "INT32", repetition_type }];
  if (type instanceof Int64) return [{ name, type: "INT64", repetition_type }];
  if (type instanceof Float32) return [{ name, type: "FLOAT", repetition_type }];
  if (type instanceof List)
    return [
      { name, converted_type: "LIST", repetition_type, num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      ...elementsOf("element", type.children[0]!),
    ];
  if (type instanceof Struct)
    return [
      { name, repetition_type, num_children: type.children.length },
      ...(type as Struct).children.flatMap((child) => elementsOf(child.name, child)),
    ];
  throw new Error(`no parquet type for ${type}`);
}

/** 64-bit columns want bigint. */
function asWritten(value: unknown, type: DataType): unknown {
  if (value === null || value === undefined) return null;
  if (type instanceof Int64) return BigInt(value as number);
  if (type instanceof List) return (value as unknown[]).map((item) => asWritten(item, type.children[0]!.type));
  if (type instanceof Struct)
    return Object.fromEntries(
      (type as Struct).children.map((child) => [
        child.name,
        asWritten((value as Record<string, unknown>)[child.name], child.type),
      ]),
    );
  return value;
}
