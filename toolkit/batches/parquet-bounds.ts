// What a parquet file's numbers may be, before and while hyparquet believes them: a column chunk's place, its pages' sizes
// and value counts against the file and the row group's rows, and decompressors that stop at the promised size. Reads page
// headers, never values.
//
// hyparquet trusts the file: a damaged count made it allocate until the machine had no more, and the JavaScript Zstandard
// decoder looped without end on a damaged stream. Run lengths inside pages are bounded by the project's patch of hyparquet
// (patches/), since they are known only once a page is decompressed.
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import type { ColumnMetaData, Compressors, FileMetaData, RowGroup } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { compressors as portable } from "hyparquet-compressors";

/** More rows than any row group holds. */
const maxRows = 2 ** 28;
/** Parquet's writers end pages at about 1 MiB. */
const maxPageBytes = 2 ** 30;
/** Values of a nested column that one compressed byte may stand for, in runs; lists in the wild stay far below. */
const maxValuesPerByte = 2 ** 12;

/**
 * Names of the columns directly under the root.
 * @throws Error where the elements' counts of children do not make one tree of all of them.
 */
export function topColumns({ schema }: FileMetaData): string[] {
  const names: string[] = [];
  let next = 1;
  // Depth first, as the elements are written; what is left to read on each level, so that no depth overflows the stack.
  const left = [childrenOf(schema, 0)];
  while (left.length > 0) {
    const level = left.length - 1;
    if (left[level] === 0) {
      left.pop();
      continue;
    }
    left[level]!--;
    if (level === 0) names.push(schema[next]?.name ?? "");
    left.push(childrenOf(schema, next++));
  }
  if (next !== schema.length)
    throw new Error(`the schema has ${schema.length} elements, of which its root holds ${next}`);
  return names;
}

function childrenOf(schema: FileMetaData["schema"], index: number): number {
  const children = schema[index]?.num_children ?? 0;
  if (!(index < schema.length && children >= 0 && children < schema.length - index))
    throw new Error(`element ${index} of the schema's ${schema.length} claims ${children} children`);
  return children;
}

/**
 * The rows of a row group.
 * @throws Error where the count is none.
 */
export function rowsOf(group: RowGroup, index: number): number {
  const rows = Number(group.num_rows);
  if (!Number.isSafeInteger(rows) || rows < 0 || rows > maxRows)
    throw new Error(`row group ${index} claims ${group.num_rows} rows`);
  return rows;
}

/**
 * Every chunk of a top-level column in a row group: it lies in the file, and its pages lie in it, one after the other,
 * with no more values than the chunk and, in a flat column, the row group has.
 * @param bytes the whole file
 * @throws Error saying what was promised and what is there.
 */
export function checkColumn(bytes: Uint8Array, metadata: FileMetaData, group: RowGroup, column: string): void {
  const rows = Number(group.num_rows);
  for (const { meta_data: meta } of group.columns)
    if (meta?.path_in_schema[0] === column) checkChunk(bytes, metadata, meta, rows);
}

function checkChunk(bytes: Uint8Array, metadata: FileMetaData, meta: ColumnMetaData, rows: number): void {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset);
  const length = Number(meta.total_compressed_size);
  if (!(start >= 0 && length >= 0 && start + length <= bytes.byteLength))
    throw new Error(`a column chunk claims ${length} bytes at ${start}, in a file of ${bytes.byteLength}`);
  const promised = Number(meta.num_values);
  const [name] = meta.path_in_schema;
  const repeated = metadata.schema.find((element) => element.name === name)?.repetition_type === "REPEATED";
  const flat = meta.path_in_schema.length === 1 && !repeated;
  if (flat ? promised !== rows : !(promised >= 0 && promised <= rows + length * maxValuesPerByte))
    throw new Error(`a column chunk of ${length} bytes claims ${promised} values for ${rows} rows`);

  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset + start, length), offset: 0 };
  // A last byte may follow the pages: hyparquet stops before it too.
  for (let values = 0; reader.offset < length - 1; ) {
    const at = start + reader.offset;
    const header = parquetHeader(reader);
    const { compressed_page_size: packed, uncompressed_page_size: unpacked } = header;
    const left = length - reader.offset;
    if (!(packed >= 0 && packed <= left))
      throw new Error(`the page at byte ${at} claims ${packed} bytes of the ${left} that its chunk has left`);
    // Snappy's and LZ4's shortest codes; the other codecs know no limit but stop at the size (below).
    const most = /^(SNAPPY|LZ4|LZ4_RAW)$/.test(meta.codec) ? Math.min(maxPageBytes, 256 * (packed + 1)) : maxPageBytes;
    if (!(unpacked >= 0 && unpacked <= most))
      throw new Error(`the page at byte ${at} claims to be ${unpacked} bytes, packed as ${meta.codec} into ${packed}`);
    reader.offset += packed;

    const dictionary = header.dictionary_page_header;
    // A value takes a bit at least.
    if (dictionary && !(dictionary.num_values >= 0 && dictionary.num_values <= 8 * unpacked))
      throw new Error(`the dictionary at byte ${at} claims ${dictionary.num_values} values in ${unpacked} bytes`);
    const v2 = header.data_page_header_v2;
    if (v2) {
      const { definition_levels_byte_length: definition, repetition_levels_byte_length: repetition } = v2;
      if (!(definition >= 0 && repetition >= 0 && definition + repetition <= packed))
        throw new Error(`the page at byte ${at} claims levels of ${definition} and ${repetition} bytes in ${packed}`);
      if (!(v2.num_nulls >= 0 && v2.num_nulls <= v2.num_values))
        throw new Error(`the page at byte ${at} claims ${v2.num_nulls} missing of ${v2.num_values} values`);
      if (!(v2.num_rows >= 0 && v2.num_rows <= rows))
        throw new Error(`the page at byte ${at} claims ${v2.num_rows} of ${rows} rows`);
    }
    const count = v2?.num_values ?? header.data_page_header?.num_values ?? 0;
    if (!(count >= 0)) throw new Error(`the page at byte ${at} claims ${count} values`);
    values += count;
    if (values > promised) throw new Error(`the pages hold more values than the ${promised} of their chunk`);
  }
}

/**
 * Decompressors that end at the promised size and in an error on a damaged stream: zlib's, Brotli's and Zstandard's own
 * code in Bun, two to four times as fast as JavaScript's; Snappy and LZ4 of hyparquet-compressors, which write no further
 * than the size.
 */
export const compressors: Compressors = {
  ...portable,
  GZIP: (input, length) => gunzipSync(input, upTo(length)),
  BROTLI: (input, length) => brotliDecompressSync(input, upTo(length)),
  ZSTD: (input, length) => zstdDecompressSync(input, upTo(length)),
};

// Zero is not allowed; hyparquet compares the size afterwards.
const upTo = (length: number): { maxOutputLength: number } => ({ maxOutputLength: Math.max(1, length) });
