// Tables → token ids: rendered, encoded in parallel workers, kept as an Arrow file named by the hash of the rows, of the
// code that renders them and of the tokenizer, so that nothing stale can be met. Batching is buckets.ts and mixture.ts.
import { join } from "node:path";
import { type RecordBatch, Table } from "apache-arrow";
import type { Example, Split } from "#datasets/contract.ts";
import type { Tokenizer } from "#toolkit/tokenizers/index.ts";
import { cachedArrow, writeArrow } from "./arrow-files.ts";
import type { DatasetTable } from "./dataset-table.ts";
import { type EncodedColumns, encodedBatch, encodedColumns } from "./encoded-file.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { DataError } from "./errors.ts";
import { rememberFile } from "./prefetch.ts";
import { templateSource } from "./template-source.ts";
import { encodeInWorkers } from "./tokenizer-pool.ts";

/** Changes when the files that older versions wrote must not be used again. */
const format = "2";

export interface EncodeDatasetOptions {
  /** Task key in front; default: the table's. */
  readonly prefix?: boolean;
  /** In tokens, `</s>` included; default: the dataset's. Prompt slots are not counted. */
  readonly maxInputLength?: number;
  readonly maxTargetLength?: number;
  /** Worker threads beside this one; default: one less than the cores, at most 15, and none for small tables. */
  readonly workers?: number;
  /** Keep the ids in the cache; default true. */
  readonly cache?: boolean;
  readonly onProgress?: (progress: { readonly encoded: number; readonly total: number }) => void;
  readonly environment?: Environment;
}

/** A split as token ids, flat. Of N examples: rows, but where training explodes a row with several answers. */
export interface EncodedDataset extends EncodedColumns {
  readonly name: string;
  /** The template's task key. */
  readonly task: string;
  readonly split: Split;
  readonly padId: number;
  readonly maxInputLength: number;
  readonly maxTargetLength: number;
  /** Hash of rows, template, tokenizer and lengths: names the content in run logs. */
  readonly fingerprint: string;
  /** True where the ids came from the cache. */
  readonly cached: boolean;
  /** The text of example i. */
  example(i: number): Example;
}

/**
 * Encodes every example of a table.
 * @throws DataError where the table is empty, a length is not sensible, or a row cannot be rendered.
 */
export async function encodeDataset(
  table: DatasetTable,
  tokenizer: Tokenizer,
  options: EncodeDatasetOptions = {},
): Promise<EncodedDataset> {
  const { dataset, split } = table;
  const prefix = options.prefix ?? table.prefix;
  const maxInputLength = lengthOf("maxInputLength", options.maxInputLength ?? dataset.maxInputLength);
  const maxTargetLength = lengthOf("maxTargetLength", options.maxTargetLength ?? dataset.maxTargetLength);
  if (table.numRows === 0) throw new DataError(`${dataset.name} ${split} has no rows to encode.`);

  const content = await contentOf(table, prefix);
  const fingerprint = new Bun.CryptoHasher("sha256")
    .update([format, content, tokenizer.fingerprint, maxInputLength, maxTargetLength].join(" "))
    .digest("hex");
  const build = async (): Promise<RecordBatch> => {
    const tableRows: number[] = [];
    const targetTexts: string[] = [];
    // Rendered as the workers ask for more, each row once.
    function* inputTexts(): Generator<string> {
      for (let row = 0; row < table.numRows; row++) {
        for (const { input, target } of table.renderRow(row, prefix)) {
          tableRows.push(row);
          targetTexts.push(target);
          yield input;
        }
      }
    }
    const inputs = await encodeInWorkers(tokenizer, table.numRows, inputTexts(), {
      maxLength: maxInputLength,
      workers: options.workers,
      // A row may render to several examples: their number is known at the end.
      onProgress: (encoded) => options.onProgress?.({ encoded, total: Math.max(encoded, table.numRows) }),
    });
    // Targets are short and mostly labels: a word cache away.
    const targets = tokenizer.encodeBatch(targetTexts, { maxLength: maxTargetLength });
    return encodedBatch(inputs, targets, Int32Array.from(tableRows));
  };

  let stored: Table;
  let cached = true;
  let file: string | null = null;
  if (options.cache ?? true) {
    const environment = options.environment ?? readEnvironment();
    const path = join(environment.cache, "tokens", fingerprint.slice(0, 2), `${fingerprint}.arrow`);
    const found = await cachedArrow(path, async () => {
      const batch = await build();
      await writeArrow(path, batch.schema, [batch]);
    });
    stored = found.table;
    cached = !found.made;
    file = path;
  } else {
    cached = false;
    stored = new Table([await build()]);
  }
  const columns = encodedColumns(stored);
  const encoded: EncodedDataset = {
    ...columns,
    name: dataset.name,
    task: dataset.task,
    split,
    padId: tokenizer.padId,
    maxInputLength,
    maxTargetLength,
    fingerprint,
    cached,
    example: (i) => exampleOf(table, prefix, columns.tableRows, i),
  };
  if (file !== null) rememberFile(encoded, file);
  return encoded;
}

function exampleOf(table: DatasetTable, prefix: boolean, tableRows: Int32Array, i: number): Example {
  const row = tableRows[i];
  if (row === undefined)
    throw new DataError(
      `${table.dataset.name} ${table.split}: there is no example ${i}; examples are 0 to ${tableRows.length - 1}.`,
    );
  let first = i;
  while (first > 0 && tableRows[first - 1] === row) first--;
  return table.renderRow(row, prefix)[i - first]!;
}

function lengthOf(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw new DataError(`${name} must be a whole number of at least 1, not ${value}.`);
  return value;
}

/**
 * What names the texts: the rows' content and the code of the catalogue that renders them, which costs no rendering. Of a
 * dataset of one's own the texts themselves: its code can be anywhere.
 */
async function contentOf(table: DatasetTable, prefix: boolean): Promise<string> {
  const { dataset, split, variant, fingerprint } = table;
  const source = await templateSource(dataset);
  if (source !== null) return [source, dataset.name, split, variant, prefix, fingerprint].join(" ");
  const hasher = new Bun.CryptoHasher("sha256");
  for (let row = 0; row < table.numRows; row++)
    for (const { input, target } of table.renderRow(row, prefix))
      hasher.update(`${input.length} ${target.length} ${row}\n${input}\n${target}\n`);
  return hasher.digest("hex");
}
