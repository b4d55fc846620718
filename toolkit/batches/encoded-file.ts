// The token ids of an encoded split as they lie in a file of the cache: written and read here, so that another thread can
// map the same file. What is encoded, and how the file is named, is encode.ts.
import { Field, Int32, List, makeData, RecordBatch, Schema, Struct, type Table } from "apache-arrow";
import type { TokenRows } from "#toolkit/tokenizers/index.ts";
import { mapArrow } from "./arrow-files.ts";
import { DataError } from "./errors.ts";

/** Flat ids. Those of input i: `inputTokens.subarray(inputOffsets[i], inputOffsets[i + 1])`. */
export interface EncodedColumns {
  /** Number of examples, N. */
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
}

const truncatedKeys = ["truncatedInputs", "truncatedTargets"] as const;

/** The ids as one record batch, the arrays not copied. */
export function encodedBatch(inputs: TokenRows, targets: TokenRows, rows: Int32Array): RecordBatch {
  const list = new List(new Field("item", new Int32(), false));
  const truncated = [inputs.truncated, targets.truncated];
  const schema = new Schema(
    [new Field("input", list, false), new Field("target", list, false), new Field("row", new Int32(), false)],
    new Map(truncatedKeys.map((key, i) => [key, String(truncated[i])])),
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

/** @throws DataError where the table is not what `encodedBatch` makes. */
export function encodedColumns(stored: Table, path = "the token cache"): EncodedColumns {
  const [batch] = stored.batches;
  if (batch === undefined || stored.schema.names.join() !== "input,target,row")
    throw new DataError(`${path} does not hold token ids: expected columns input, target, row. Delete it.`);
  const listOf = (column: number): { tokens: Int32Array; offsets: Int32Array } => {
    const data = batch.data.children[column]!;
    // Buffers in the file are padded to eight bytes: the offsets' array may be longer than N + 1.
    const offsets = (data.valueOffsets as Int32Array).subarray(0, batch.numRows + 1);
    return { tokens: data.children[0]!.values as Int32Array, offsets };
  };
  const [inputs, targets] = [listOf(0), listOf(1)];
  const [cutInputs, cutTargets] = truncatedKeys.map((key) => Number(stored.schema.metadata.get(key) ?? 0));
  return {
    length: batch.numRows,
    inputTokens: inputs.tokens,
    inputOffsets: inputs.offsets,
    targetTokens: targets.tokens,
    targetOffsets: targets.offsets,
    tableRows: (batch.data.children[2]!.values as Int32Array).subarray(0, batch.numRows),
    truncated: { inputs: cutInputs!, targets: cutTargets! },
  };
}

/** The ids in a file of the cache, mapped into memory. @throws DataError naming the file. */
export function encodedFile(path: string): EncodedColumns {
  return encodedColumns(mapArrow(path), path);
}
