// Local text files → Arrow record batches: JSON Lines, CSV, TSV with a header, and the raw TSV of a GLUE download.
// Knows the formats; which file belongs to which split is sources.ts.
import { readFile } from "node:fs/promises";
import { DataType, type Field, type RecordBatch } from "apache-arrow";
import Papa from "papaparse";
import type { Dataset } from "#datasets/contract.ts";
import { decodeUtf8, InvalidUtf8, recordBatch } from "./columns.ts";
import { dataError, messageOf } from "./errors.ts";

/** Rows per record batch. */
const chunk = 8192;

type Values = Readonly<Record<string, unknown>>;

/** JSON Lines: one object a line, empty lines left out. */
export async function* readJsonLines(path: string, dataset: Dataset): AsyncGenerator<RecordBatch> {
  const rows: Values[] = [];
  for (const [number, line] of (await textOf(path)).split("\n").entries()) {
    if (line.trim() === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw dataError({ file: path }, `line ${number + 1} is not JSON: ${messageOf(cause)}.`, { cause });
    }
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw dataError({ file: path }, `line ${number + 1} is not a JSON object: expected {"column": value, …}.`);
    rows.push(value as Values);
  }
  yield* batchesOf(path, dataset, rows);
}

/** CSV (or TSV) with a header line, quotes as in RFC 4180. */
export async function* readCsv(path: string, dataset: Dataset, delimiter: "," | "\t"): AsyncGenerator<RecordBatch> {
  const { data, errors } = Papa.parse<Record<string, string>>(await textOf(path), {
    header: true,
    delimiter,
    skipEmptyLines: true,
  });
  const problem = errors[0];
  if (problem)
    throw dataError({ file: path, ...(problem.row === undefined ? {} : { row: problem.row }) }, `${problem.message}.`);
  yield* batchesOf(path, dataset, data);
}

/** One file of a GLUE download: tabs, no quoting; columns renamed to the hub's. */
export async function* readGlueTsv(path: string, dataset: Dataset, layout: GlueLayout): AsyncGenerator<RecordBatch> {
  const lines = (await textOf(path)).split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  if (lines.at(-1) === "") lines.pop();
  const header = layout.header ?? lines.shift()?.split("\t") ?? [];
  const rows: Values[] = [];
  for (const [row, line] of lines.entries()) {
    const cells = line.split("\t");
    if (cells.length < header.length)
      throw dataError(
        { file: path, row },
        `the line has ${cells.length} cells, expected ${header.length} (${header.join(", ")}).`,
      );
    const values: Record<string, unknown> = {};
    for (const [i, name] of header.entries()) values[layout.rename[name] ?? name] = cells[i];
    rows.push(values);
  }
  yield* batchesOf(path, dataset, rows);
}

/** How GLUE's download names folders and columns. */
export interface GlueLayout {
  readonly folder: string;
  /** Column names where the file has no header line. */
  readonly header?: readonly string[];
  readonly rename: Readonly<Record<string, string>>;
}

/** By the hub's config name. */
export const glueLayouts: Readonly<Record<string, GlueLayout>> = {
  cola: { folder: "CoLA", header: ["source", "label", "mark", "sentence"], rename: {} },
  sst2: { folder: "SST-2", rename: {} },
  mrpc: {
    folder: "MRPC",
    rename: { Quality: "label", "\ufeffQuality": "label", "#1 String": "sentence1", "#2 String": "sentence2" },
  },
  stsb: { folder: "STS-B", rename: { score: "label", index: "idx" } },
  rte: { folder: "RTE", rename: { index: "idx" } },
  qnli: { folder: "QNLI", rename: { index: "idx" } },
  qqp: { folder: "QQP", rename: { is_duplicate: "label", id: "idx" } },
  mnli: {
    folder: "MNLI",
    rename: { sentence1: "premise", sentence2: "hypothesis", gold_label: "label", index: "idx" },
  },
};

/** The GLUE download's file of a hub split: `dev` for validation. */
export function glueFileOf(hubSplit: string): string {
  return `${hubSplit.replace(/^validation/, "dev")}.tsv`;
}

function* batchesOf(path: string, dataset: Dataset, rows: readonly Values[]): Generator<RecordBatch> {
  const { schema } = dataset;
  const present = new Set(rows.slice(0, 100).flatMap((row) => Object.keys(row)));
  for (const { name } of schema.fields) {
    if (rows.length > 0 && !present.has(name) && name !== "idx")
      throw dataError(
        { file: path, column: name },
        `the column is missing. Expected ${schema.fields.map((field) => field.name).join(", ")}; the file has ${[...present].join(", ")}.`,
      );
  }
  for (let start = 0; start < rows.length; start += chunk) {
    const part = rows.slice(start, start + chunk);
    const columns = schema.fields.map((field) => part.map((row, i) => cellOf(row, field, dataset, present, start + i)));
    yield recordBatch(schema, columns, path, start, true);
  }
}

/** A row's number where a file has no `idx`; a label's number where it is given by name. */
function cellOf(row: Values, field: Field, dataset: Dataset, present: ReadonlySet<string>, number: number): unknown {
  if (field.name === "idx" && !present.has("idx")) return DataType.isInt(field.type) ? number : null;
  const value = row[field.name];
  if (field.name === "label" && DataType.isInt(field.type) && typeof value === "string" && dataset.labelNames) {
    const label = dataset.labelNames.indexOf(value.trim());
    if (label >= 0) return label;
  }
  return value;
}

async function textOf(path: string): Promise<string> {
  const bytes = await readFile(path);
  const whole = decodeUtf8(bytes);
  if (!(whole instanceof InvalidUtf8)) return whole.replace(/^\ufeff/, "");
  // Line by line, to say where.
  let row = 0;
  for (let start = 0; start < bytes.length; row++) {
    const next = bytes.indexOf(10, start);
    const end = next === -1 ? bytes.length : next;
    if (decodeUtf8(bytes.subarray(start, end)) instanceof InvalidUtf8)
      throw dataError({ file: path }, `line ${row + 1} is not valid UTF-8. Convert the file (iconv -t utf-8).`);
    start = end + 1;
  }
  throw dataError({ file: path }, "the file is not valid UTF-8.");
}
