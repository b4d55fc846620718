// Parquet files → Arrow record batches of a declared schema, by hyparquet and its decompressors. One row group and one
// column at a time, so that memory holds no more than that. Knows nothing of datasets or caches.
import type { RecordBatch, Schema } from "apache-arrow";
import { type FileMetaData, type ParquetParsers, parquetMetadata, parquetRead } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { recordBatch } from "./columns.ts";
import { dataError, messageOf } from "./errors.ts";

/** More rows than any row group holds; a damaged count must not be believed. */
const maxRows = 2 ** 28;

/**
 * Record batches of a parquet file, in order; columns that the schema does not name are left out.
 * @throws DataError naming file, and row group or row, and column, where the file is damaged or is not of the schema.
 */
export async function* readParquet(path: string, schema: Schema): AsyncGenerator<RecordBatch> {
  const bytes = mapped(path);
  const metadata = metadataOf(path, bytes);
  const present = topColumns(metadata);
  for (const field of schema.fields) {
    if (!present.includes(field.name))
      throw dataError(
        { file: path, column: field.name },
        `the column is missing. Expected ${schema.fields.map((each) => each.name).join(", ")}; the file has ${present.join(", ")}.`,
      );
  }
  const file = { byteLength: bytes.byteLength, slice: (start: number, end?: number) => bytes.slice(start, end).buffer };
  let firstRow = 0;
  for (const [index, group] of metadata.row_groups.entries()) {
    const rows = Number(group.num_rows);
    if (!Number.isSafeInteger(rows) || rows < 0 || rows > maxRows)
      throw dataError(
        { file: path },
        `row group ${index} claims ${group.num_rows} rows. The file is damaged: delete it and load again.`,
      );
    const columns: unknown[][] = [];
    for (const field of schema.fields) {
      const values: unknown[] = new Array(rows);
      let filled = 0;
      try {
        await parquetRead({
          file,
          metadata,
          columns: [field.name],
          rowStart: firstRow,
          rowEnd: firstRow + rows,
          compressors,
          // Text stays bytes: columns.ts checks and copies them, most of them without making a string of each.
          parsers: { stringFromBytes: (bytes: Uint8Array) => bytes } as unknown as ParquetParsers,
          onChunk: ({ columnData, rowStart }) => {
            // Missing values come as undefined; Arrow's null is null.
            for (let i = 0; i < columnData.length; i++) {
              const at = rowStart - firstRow + i;
              if (at < 0 || at >= rows) continue;
              values[at] = columnData[i] ?? null;
              filled++;
            }
          },
        });
      } catch (cause) {
        throw dataError(
          { file: path, column: field.name },
          `row group ${index} (rows ${firstRow} to ${firstRow + rows - 1}) cannot be read: ${messageOf(cause)}. ` +
            "The file is damaged: delete it and load again.",
          { cause },
        );
      }
      if (filled !== rows)
        throw dataError(
          { file: path, column: field.name },
          `row group ${index} promises ${rows} rows, but the column holds ${filled}. The file is damaged: delete it and load again.`,
        );
      columns.push(values);
    }
    yield recordBatch(schema, columns, path, firstRow);
    firstRow += rows;
  }
}

function mapped(path: string): Uint8Array<ArrayBuffer> {
  // An empty file cannot be mapped.
  if (Bun.file(path).size === 0)
    throw dataError({ file: path }, "the file is empty; expected parquet. Delete it and load again.");
  return Bun.mmap(path) as Uint8Array<ArrayBuffer>;
}

function metadataOf(path: string, bytes: Uint8Array<ArrayBuffer>): FileMetaData {
  const magic = (from: number): string => new TextDecoder("latin1").decode(bytes.subarray(from, from + 4));
  if (bytes.byteLength < 12 || magic(0) !== "PAR1" || magic(bytes.byteLength - 4) !== "PAR1")
    throw dataError(
      { file: path },
      `not a whole parquet file: it must begin and end with "PAR1" (${bytes.byteLength} bytes). Delete it and load again.`,
    );
  try {
    const footer = new DataView(bytes.buffer, bytes.byteOffset + bytes.byteLength - 8, 4).getUint32(0, true);
    if (footer + 12 > bytes.byteLength) throw new Error(`its footer of ${footer} bytes is longer than the file`);
    const tail = bytes.slice(bytes.byteLength - footer - 8);
    return parquetMetadata(tail.buffer);
  } catch (cause) {
    throw dataError(
      { file: path },
      `the parquet footer cannot be read: ${messageOf(cause)}. Delete it and load again.`,
      { cause },
    );
  }
}

/** Names of the columns directly under the root. */
function topColumns(metadata: FileMetaData): string[] {
  const names: string[] = [];
  const count = metadata.schema[0]?.num_children ?? 0;
  let index = 1;
  const skip = (): void => {
    const children = metadata.schema[index++]?.num_children ?? 0;
    for (let i = 0; i < children && index < metadata.schema.length; i++) skip();
  };
  // Bounded by the schema's length: a damaged count must not be believed.
  for (let i = 0; i < count && index < metadata.schema.length; i++) {
    names.push(metadata.schema[index]?.name ?? "");
    skip();
  }
  return names;
}
