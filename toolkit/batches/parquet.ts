// Parquet files → Arrow record batches of a declared schema, by hyparquet and its decompressors. One row group and one
// column at a time, so that memory holds no more than that. Knows nothing of datasets or caches.
import type { RecordBatch, Schema } from "apache-arrow";
import { type FileMetaData, type ParquetParsers, parquetMetadata, parquetRead } from "hyparquet";
import { recordBatch } from "./columns.ts";
import { dataError, messageOf } from "./errors.ts";
import { checkColumn, compressors, rowsOf, topColumns } from "./parquet-bounds.ts";

/**
 * Record batches of a parquet file, in order; columns that the schema does not name are left out.
 * @throws DataError naming file, and row group or row, and column, where the file is damaged or is not of the schema.
 */
export async function* readParquet(path: string, schema: Schema): AsyncGenerator<RecordBatch> {
  const bytes = mapped(path);
  const metadata = metadataOf(path, bytes);
  const present = damagedUnless(path, () => topColumns(metadata));
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
    const rows = damagedUnless(path, () => rowsOf(group, index));
    const columns: unknown[][] = [];
    for (const field of schema.fields) {
      let values: unknown[];
      let filled = 0;
      try {
        checkColumn(bytes, metadata, group, field.name);
        values = new Array(rows);
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

/** What `read` finds; its error names the file. */
function damagedUnless<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw dataError({ file: path }, `${messageOf(cause)}. The file is damaged: delete it and load again.`, { cause });
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
    return parquetMetadata(tail.buffer, { geoparquet: false });
  } catch (cause) {
    throw dataError(
      { file: path },
      `the parquet footer cannot be read: ${messageOf(cause)}. Delete it and load again.`,
      { cause },
    );
  }
}
