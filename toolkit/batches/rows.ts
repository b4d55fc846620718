// Some rows of a table, and the short name of what is in one. Who asks for which rows: load-dataset.ts, dataset-table.ts.
import { createHash } from "node:crypto";
import type { RecordBatch, Table } from "apache-arrow";
import { recordBatch } from "./columns.ts";
import { gathered } from "./flat-columns.ts";

/** The rows of a table in the order of `indices`. */
export function* taken(table: Table, indices: ArrayLike<number>, file: string): Generator<RecordBatch> {
  const chunk = 65_536;
  const columns = table.schema.fields.map((field) => table.getChild(field.name)!);
  const all = Uint32Array.from(indices);
  for (let start = 0; start < all.length; start += chunk) {
    const part = all.subarray(start, start + chunk);
    const flat = columns.map((column) => gathered(column, part));
    yield recordBatch(
      table.schema,
      columns.map((column, i) => flat[i] ?? Array.from(part, (row) => column.get(row) as unknown)),
      file,
      start,
    );
  }
}

/** A fingerprint of parts, in their order. */
export function digest(...parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 32);
}
