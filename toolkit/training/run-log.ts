// The run log: every number of a run in one tidy Arrow table (one row per named value), appended to a file in Arrow's
// streaming format. Whole record batches are appended and none is rewritten, so a process killed at any moment leaves a
// file whose complete batches can be read. Not the metrics.json of a finished run (run.ts), which is derived.
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import {
  Field,
  Float64,
  Int32,
  type RecordBatch,
  RecordBatchReader,
  Schema,
  Table,
  tableToIPC,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { WriteError } from "#toolkit/weights/index.ts";
import type { TrainEvent } from "./contract.ts";
import { writeRefused } from "./errors.ts";

export interface LogRow {
  /** `source`, `single`, `target` or `teacher <task>`. */
  readonly stage: string;
  readonly step: number;
  /** `step`, `evaluation` or `warning`. */
  readonly kind: string;
  /** Empty where the row is of no single task. */
  readonly task: string;
  readonly split: string;
  /** `loss`, `loss/logits`, `learningRate/shared`, `stepMs`, `accuracy` …; for a warning, its text. */
  readonly name: string;
  readonly value: number;
  /** Seconds since the epoch. */
  readonly time: number;
}

const utf8 = (name: string): Field<Utf8> => new Field(name, new Utf8(), true);
export const logSchema: Schema = new Schema([
  utf8("stage"),
  new Field("step", new Int32(), true),
  utf8("kind"),
  utf8("task"),
  utf8("split"),
  utf8("name"),
  new Field("value", new Float64(), true),
  new Field("time", new Float64(), true),
]);

/** The rows that one event adds; none for events that carry no number. */
export function rowsOf(event: TrainEvent, time: number = Date.now() / 1000): LogRow[] {
  if (event.type === "step") {
    const row = (name: string, value: number): LogRow => ({
      stage: event.stage,
      step: event.step,
      kind: "step",
      task: "",
      split: "train",
      name,
      value,
      time,
    });
    return [
      row("loss", event.loss),
      ...Object.entries(event.parts).map(([name, value]) => row(`loss/${name}`, value)),
      ...Object.entries(event.learningRates).map(([name, value]) => row(`learningRate/${name}`, value)),
      row("stepMs", event.stepMs),
      row("waitMs", event.waitMs),
      ...(event.padding === undefined ? [] : [row("padding", event.padding)]),
      ...(event.subBatches === undefined ? [] : [row("subBatches", event.subBatches)]),
    ];
  }
  if (event.type === "evaluation") {
    return Object.entries(event.metrics).map(([name, value]) => ({
      stage: event.stage,
      step: event.step,
      kind: "evaluation",
      task: event.task,
      split: event.split,
      name,
      value,
      time,
    }));
  }
  if (event.type === "warning") {
    return [
      { stage: "", step: -1, kind: "warning", task: "", split: "", name: event.message, value: Number.NaN, time },
    ];
  }
  return [];
}

/** Rows as an Arrow table of `logSchema`. */
export function logTable(rows: readonly LogRow[]): Table {
  const columns: Record<string, ReturnType<typeof vectorFromArray>> = {};
  for (const field of logSchema.fields) {
    columns[field.name] = vectorFromArray(
      rows.map((row) => row[field.name as keyof LogRow]),
      field.type,
    );
  }
  return new Table(logSchema, columns as never);
}

/** Length in bytes of the first message of an IPC stream, which is the schema: continuation, length, metadata. */
const schemaBytes = (stream: Uint8Array): number =>
  8 + new DataView(stream.buffer, stream.byteOffset, stream.byteLength).getInt32(4, true);

/** End-of-stream marker: continuation and a zero length. */
const endBytes = 8;

function batchBytes(rows: readonly LogRow[]): { schema: Uint8Array; batch: Uint8Array } {
  const stream = tableToIPC(logTable(rows), "stream");
  const start = schemaBytes(stream);
  return { schema: stream.subarray(0, start), batch: stream.subarray(start, stream.length - endBytes) };
}

/**
 * Reads every complete record batch of a log; a batch cut short by a kill is left out. An absent file is an empty log.
 * @throws Error where the file is no Arrow stream at all.
 */
export function readRunLog(path: string): Table {
  if (!existsSync(path)) return logTable([]);
  const bytes = readFileSync(path);
  if (bytes.length === 0) return logTable([]);
  const batches: RecordBatch[] = [];
  try {
    const reader = RecordBatchReader.from(bytes);
    for (const batch of reader) if (batch.numRows > 0) batches.push(batch);
  } catch (cause) {
    // A cut tail ends the log; a file that never began is no log.
    if (batches.length === 0 && !(bytes.length >= 8 && bytes.readInt32LE(0) === -1)) {
      throw new Error(`${path} is not a run log: expected an Arrow IPC stream; remove it or restore it from a copy.`, {
        cause,
      });
    }
  }
  return batches.length === 0 ? logTable([]) : new Table(batches);
}

/** Rows of a log as plain values. */
export function logRows(table: Table): LogRow[] {
  return table.toArray().map((row) => {
    const { stage, step, kind, task, split, name, value, time } = row as LogRow;
    return { stage, step, kind, task, split, name, value, time };
  });
}

/** An open log: `add` keeps rows, `flush` appends them as one record batch. */
export interface RunLog extends Disposable {
  readonly path: string;
  add(event: TrainEvent): void;
  /** @param durable Waits for the disk, as before a checkpoint that will rely on these rows. */
  flush(durable?: boolean): void;
}

/**
 * Opens a log for appending. Rows that `keep` refuses are dropped first (a resumed run repeats the steps after its last
 * checkpoint), by rewriting the file under another name and renaming it.
 */
export function openRunLog(path: string, keep: (row: LogRow) => boolean = () => true): RunLog {
  const kept = logRows(readRunLog(path)).filter(keep);
  const first = batchBytes(kept);
  const temporary = `${path}.part`;
  const start = kept.length === 0 ? first.schema : Buffer.concat([first.schema, first.batch]);
  let file: number;
  try {
    writeFileSync(temporary, start);
    renameSync(temporary, path);
    file = openSync(path, "a");
  } catch (cause) {
    throw writeRefused("the run log", new WriteError(path, start.length, cause));
  }
  let rows: LogRow[] = [];
  let closed = false;
  const flush = (durable = false): void => {
    if (rows.length > 0) {
      const { batch } = batchBytes(rows);
      const { size } = fstatSync(file);
      try {
        for (let offset = 0; offset < batch.length; ) offset += writeSync(file, batch, offset);
      } catch (cause) {
        // Half a batch would hide every row appended after it.
        ftruncateSync(file, size);
        throw writeRefused("the run log", new WriteError(path, batch.length, cause));
      }
      rows = [];
    }
    if (!durable) return;
    try {
      fsyncSync(file);
    } catch (cause) {
      throw writeRefused("the run log", new WriteError(path, fstatSync(file).size, cause));
    }
  };
  return {
    path,
    add: (event) => {
      rows.push(...rowsOf(event));
    },
    flush,
    [Symbol.dispose]: () => {
      if (closed) return;
      closed = true;
      try {
        flush();
      } finally {
        closeSync(file);
      }
    },
  };
}
