// Tables → token ids: rendered, encoded in parallel workers, kept as an Arrow file named by the hash of the texts and
// of the tokenizer, so that nothing stale can be met. Batching is buckets.ts and mixture.ts.
import { join } from "node:path";
import { Field, Int32, List, makeData, RecordBatch, Schema, Struct, Table } from "apache-arrow";
import type { Example, Split } from "#datasets/contract.ts";
import type { Tokenizer, TokenRows } from "#toolkit/tokenizers/index.ts";
import { cachedArrow, writeArrow } from "./arrow-files.ts";
import type { DatasetTable } from "./dataset-table.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { DataError } from "./errors.ts";
import { encodeInWorkers } from "./tokenizer-pool.ts";

/** Changes when the files that older versions wrote must not be used again. */
const format = "1";

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

/** A split as token ids, flat. Ids of input i: `inputTokens.subarray(inputOffsets[i], inputOffsets[i + 1])`. */
export interface EncodedDataset {
  readonly name: string;
  /** The template's task key. */
  readonly task: string;
  readonly split: Split;
  /** Number of examples, N: of rows, but where training explodes a row with several answers. */
  readonly length: number;
  readonly inputTokens: Int32Array;
  /** [N + 1] */
  readonly inputOffsets: Int32Array;
  readonly targetTokens: Int32Array;
  /** [N + 1] */
  readonly targetOffsets: Int32Array;
  /** [N]: the row of the table that each example came from. */
  readonly tableRows: Int32Array;
  /** Inputs and targets that were cut to the length. */
  readonly truncated: { readonly inputs: number; readonly targets: number };
  readonly padId: number;
  readonly maxInputLength: number;
  readonly maxTargetLength: number;
  /** Hash of texts, tokenizer and lengths: names the content in run logs. */
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

  const { hash, tableRows, targets: targetTexts } = firstPass(table, prefix);
  const total = tableRows.length;
  const fingerprint = hash(`${format} ${tokenizer.fingerprint} ${maxInputLength} ${maxTargetLength}`);
  const build = async (): Promise<RecordBatch> => {
    const inputs = await encodeInWorkers(tokenizer, total, renderedInputs(table, prefix), {
      maxLength: maxInputLength,
      workers: options.workers,
      onProgress: (encoded) => options.onProgress?.({ encoded, total }),
    });
    // Targets are short and mostly labels: a word cache away.
    const targets = tokenizer.encodeBatch(targetTexts, { maxLength: maxTargetLength });
    return toBatch(inputs, targets, tableRows, {
      truncatedInputs: inputs.truncated,
      truncatedTargets: targets.truncated,
    });
  };

  let stored: Table;
  let cached = true;
  if (options.cache ?? true) {
    const environment = options.environment ?? readEnvironment();
    const path = join(environment.cache, "tokens", fingerprint.slice(0, 2), `${fingerprint}.arrow`);
    const found = await cachedArrow(path, async () => {
      const batch = await build();
      await writeArrow(path, batch.schema, [batch]);
    });
    stored = found.table;
    cached = !found.made;
  } else {
    cached = false;
    stored = new Table([await build()]);
  }
  return fromTable(stored, table, prefix, {
    name: dataset.name,
    task: dataset.task,
    split,
    padId: tokenizer.padId,
    maxInputLength,
    maxTargetLength,
    fingerprint,
    cached,
  });
}

function lengthOf(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw new DataError(`${name} must be a whole number of at least 1, not ${value}.`);
  return value;
}

/** One pass over the texts: their hash (finished with what else matters), and what is small enough to keep. */
function firstPass(
  table: DatasetTable,
  prefix: boolean,
): { tableRows: Int32Array; targets: string[]; hash: (rest: string) => string } {
  const hasher = new Bun.CryptoHasher("sha256");
  const tableRows: number[] = [];
  const targets: string[] = [];
  for (let row = 0; row < table.numRows; row++) {
    for (const { input, target } of table.renderRow(row, prefix)) {
      tableRows.push(row);
      targets.push(target);
      hasher.update(`${input.length} ${target.length} ${row}\n${input}\n${target}\n`);
    }
  }
  return { tableRows: Int32Array.from(tableRows), targets, hash: (rest) => hasher.update(rest).digest("hex") };
}

function* renderedInputs(table: DatasetTable, prefix: boolean): Generator<string> {
  for (let row = 0; row < table.numRows; row++) for (const { input } of table.renderRow(row, prefix)) yield input;
}

interface Truncated {
  readonly truncatedInputs: number;
  readonly truncatedTargets: number;
}

function toBatch(inputs: TokenRows, targets: TokenRows, rows: Int32Array, truncated: Truncated): RecordBatch {
  const list = new List(new Field("item", new Int32(), false));
  const schema = new Schema(
    [new Field("input", list, false), new Field("target", list, false), new Field("row", new Int32(), false)],
    new Map(Object.entries(truncated).map(([key, value]) => [key, String(value)])),
  );
  const length = rows.length;
  const lists = [inputs, targets].map(({ tokens, offsets }) =>
    makeData({
      type: list,
      length,
      nullCount: 0,
      valueOffsets: offsets,
      child: makeData({ type: new Int32(), data: tokens }),
    }),
  );
  const children = [...lists, makeData({ type: new Int32(), data: rows })];
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }));
}

function fromTable(
  stored: Table,
  table: DatasetTable,
  prefix: boolean,
  about: Pick<
    EncodedDataset,
    "name" | "task" | "split" | "padId" | "maxInputLength" | "maxTargetLength" | "fingerprint" | "cached"
  >,
): EncodedDataset {
  const batch = stored.batches[0]!;
  const listOf = (column: number): { tokens: Int32Array; offsets: Int32Array } => {
    const data = batch.data.children[column]!;
    // Buffers in the file are padded to eight bytes: the offsets' array may be longer than N + 1.
    const offsets = (data.valueOffsets as Int32Array).subarray(0, batch.numRows + 1);
    return { tokens: data.children[0]!.values as Int32Array, offsets };
  };
  const inputs = listOf(0);
  const targets = listOf(1);
  const tableRows = (batch.data.children[2]!.values as Int32Array).subarray(0, batch.numRows);
  const count = (key: keyof Truncated): number => Number(stored.schema.metadata.get(key) ?? 0);
  return {
    ...about,
    length: batch.numRows,
    inputTokens: inputs.tokens,
    inputOffsets: inputs.offsets,
    targetTokens: targets.tokens,
    targetOffsets: targets.offsets,
    tableRows,
    truncated: { inputs: count("truncatedInputs"), targets: count("truncatedTargets") },
    example(i) {
      const row = tableRows[i];
      if (row === undefined)
        throw new DataError(
          `${about.name} ${about.split}: there is no example ${i}; examples are 0 to ${batch.numRows - 1}.`,
        );
      let first = i;
      while (first > 0 && tableRows[first - 1] === row) first--;
      return table.renderRow(row, prefix)[i - first]!;
    },
  };
}
