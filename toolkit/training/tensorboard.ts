// Metrics for other tools: CSV, and TensorBoard's event files. Both are written anew from the run log whenever it was
// flushed: the log is what counts, these are copies of it.
import { crc32 } from "./crc32c.ts";
import type { LogRow } from "./run-log.ts";

/** The log as CSV, one row per value. */
export function metricsCsv(rows: readonly LogRow[]): string {
  const field = (value: string | number): string => {
    const text = String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows
    .filter((row) => row.kind !== "warning")
    .map((row) =>
      [row.stage, row.step, row.kind, row.task, row.split, row.name, row.value, row.time].map(field).join(","),
    );
  return `${["stage,step,kind,task,split,name,value,time", ...lines].join("\n")}\n`;
}

/** A protocol buffer field: varint, fixed 32, fixed 64 or bytes. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

const encoder = new TextEncoder();

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...varint(field * 8 + 2), ...varint(bytes.length), ...bytes]);
}

function doubleField(field: number, value: number): Uint8Array {
  const out = new Uint8Array(9);
  out[0] = field * 8 + 1;
  new DataView(out.buffer).setFloat64(1, value, true);
  return out;
}

function floatField(field: number, value: number): Uint8Array {
  const out = new Uint8Array(5);
  out[0] = field * 8 + 5;
  new DataView(out.buffer).setFloat32(1, value, true);
  return out;
}

const integerField = (field: number, value: number): Uint8Array =>
  Uint8Array.from([...varint(field * 8), ...varint(value)]);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** TFRecord framing: length, its masked CRC, the data, its masked CRC. */
function record(data: Uint8Array): Uint8Array {
  const masked = (bytes: Uint8Array): number => {
    const crc = crc32(bytes);
    return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  };
  const out = new Uint8Array(data.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return out;
}

/** An event file (tfevents) with one scalar a row: Event {wall_time 1, step 2, file_version 3, summary 5}, Summary.Value {tag 1, simple_value 2}. */
export function tensorBoardEvents(rows: readonly LogRow[]): Uint8Array {
  const start = rows[0]?.time ?? 0;
  const records = [record(joined([doubleField(1, start), bytesField(3, encoder.encode("brain.Event:2"))]))];
  for (const row of rows) {
    if (row.kind === "warning" || !Number.isFinite(row.value)) continue;
    const tag = [row.stage, row.task, row.split, row.name].filter((part) => part !== "").join("/");
    const value = joined([bytesField(1, encoder.encode(tag)), floatField(2, row.value)]);
    records.push(
      record(
        joined([doubleField(1, row.time), integerField(2, Math.max(0, row.step)), bytesField(5, bytesField(1, value))]),
      ),
    );
  }
  return joined(records);
}
