// loadDataset: a dataset's split as a memory-mapped Arrow table. The file is turned into Arrow once and kept in the
// cache by its content; a later load maps that file and reads nothing else. Downloading is hub.ts, formats sources.ts.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type RecordBatch, type Table, tableToIPC } from "apache-arrow";
import type { Dataset, Split, Variant } from "#datasets/contract.ts";
import { type AnyDatasetName, findDataset, hubSplitOf, type ShotMode, shotRows, splitRows } from "#datasets/index.ts";
import { cachedArrow, writeArrow } from "./arrow-files.ts";
import { plain } from "./columns.ts";
import { DatasetTable } from "./dataset-table.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { DataError, type DataWarning, dataError } from "./errors.ts";
import type { HubOptions } from "./hub.ts";
import { digest, taken } from "./rows.ts";
import { findSource, type Source } from "./sources.ts";

/** Changes when the Arrow files that older versions wrote must not be used again. */
const format = "1";

export interface LoadOptions extends Pick<HubOptions, "onProgress" | "signal" | "tuning" | "update"> {
  /** Default `train`. */
  readonly split?: Split;
  /** Default `fixed`. */
  readonly variant?: Variant;
  /** Task key in front of the input; default true. */
  readonly prefix?: boolean;
  /** This many rows of the split, drawn by `seed`. */
  readonly shots?: number;
  /** `overall` (default): of all rows; `per-class`: shared out among the classes (datasets/shots.ts). */
  readonly shotMode?: ShotMode;
  /** Of the shots only, default 42; the benchmark's split permutation is always seeded 42. */
  readonly seed?: number;
  /** A local folder (the hub's layout, or a GLUE download) or file instead of the hub. */
  readonly from?: string;
  readonly onWarning?: (warning: DataWarning) => void;
  readonly environment?: Environment;
}

/**
 * Loads one split.
 * @param name a name of the catalogue (`glue/rte`, `mini/sst2`), or a dataset object of your own.
 * @throws DataError where the name, an option or the data is wrong; HubError where the file cannot be had.
 */
export async function loadDataset(name: AnyDatasetName | Dataset, options: LoadOptions = {}): Promise<DatasetTable> {
  const { split = "train", variant = "fixed", prefix = true, seed = 42 } = options;
  const dataset = typeof name === "string" ? findDataset(name) : name;
  const from = options.from ?? dataset.source.folder;
  checkOptions(dataset, split, variant, options.shots, seed);
  const environment = options.environment ?? readEnvironment();
  const warnings: DataWarning[] = [];
  const warn = (warning: DataWarning): void => {
    warnings.push(warning);
    options.onWarning?.(warning);
  };

  const whole = await (dataset.generate && from === undefined
    ? generated(dataset, split)
    : fromFile(dataset, split, environment, { ...options, ...(from === undefined ? {} : { from }), onWarning: warn }));
  const origin = { dataset, split, variant, prefix, revision: whole.revision, file: whole.file, warnings };
  const expected = dataset.rows[split];
  if (from === undefined && expected?.verified && expected.rows !== whole.table.numRows)
    warn({
      code: "row-count",
      message: `${dataset.name} ${split} has ${whole.table.numRows} rows; the published table has ${expected.rows}. Results are not those of the very same data.`,
    });
  const table = new DatasetTable(whole.table.schema, whole.table.batches, {
    ...origin,
    fingerprint: whole.fingerprint,
  });
  if (options.shots === undefined) return table;
  const mode = options.shotMode ?? "overall";
  const classes = mode === "per-class" ? classesOf(table) : undefined;
  const rows = shotRows({ shots: options.shots, seed, rows: table.numRows, mode, ...(classes ? { classes } : {}) });
  const fingerprint = digest(whole.fingerprint, "shots", mode, String(options.shots), String(seed));
  return new DatasetTable(table.schema, [...taken(table, rows, whole.file)], { ...origin, fingerprint });
}

/** The class of each row: its label as text. @throws DataError where the dataset has no classes. */
function classesOf(table: DatasetTable): string[] {
  if (!table.dataset.labels)
    throw new DataError(
      `${table.dataset.name} has no classes: per-class shots cannot be drawn. Use shotMode "overall".`,
    );
  return Array.from({ length: table.numRows }, (_, row) => table.renderRow(row)[0]?.target ?? "");
}

interface Whole {
  readonly table: Table;
  readonly fingerprint: string;
  readonly revision: string | null;
  readonly file: string;
}

function generated(dataset: Dataset, split: Split): Whole {
  const base = dataset.generate!(hubSplitOf(dataset.splitRule, split));
  const { indices } = splitRows(dataset.splitRule, split, { [hubSplitOf(dataset.splitRule, split)]: base.numRows });
  const file = `${dataset.name} (generated)`;
  const batches = indices === null ? base.batches : [...taken(base, indices, file)];
  const table = new DatasetTable(base.schema, batches, {
    dataset,
    split,
    variant: "fixed",
    prefix: false,
    fingerprint: "",
    revision: null,
    file,
    warnings: [],
  });
  // The rows themselves: a generator may change while its name and its number of rows stay.
  const content = createHash("sha256").update(tableToIPC(table, "stream")).digest("hex");
  return { table, fingerprint: digest("generated", dataset.name, split, content), revision: null, file };
}

async function fromFile(
  dataset: Dataset,
  split: Split,
  environment: Environment,
  options: LoadOptions & Pick<HubOptions, "onWarning">,
): Promise<Whole> {
  const hubSplit = hubSplitOf(dataset.splitRule, split);
  const { onProgress, signal, tuning, update, onWarning } = options;
  const source = await findSource(dataset, hubSplit, options.from, {
    environment,
    onProgress,
    signal,
    onWarning,
    ...(tuning ? { tuning } : {}),
    ...(update ? { update } : {}),
  });
  const folder = join(
    environment.cache,
    "arrow",
    ...dataset.name.split("/").map((part) => part.replace(/[^\w.-]/g, "_")),
  );
  const identity = digest(format, source.sha256, dataset.name, String(dataset.schema));
  const basePath = join(folder, `${hubSplit}-${identity}.arrow`);
  const { table: base } = await cachedArrow(
    basePath,
    () => writeArrow(basePath, dataset.schema, verified(dataset, source)),
    signal,
  );
  if (base.numRows === 0)
    throw dataError({ file: source.path }, `the ${hubSplit} split of ${dataset.name} is empty; expected rows.`);
  const found = { revision: source.revision, file: source.path };
  if (source.isSplit) return { table: base, fingerprint: identity, ...found };
  const rule = dataset.splitRule;
  const splitPath = join(folder, `${split}-${digest(identity, split, JSON.stringify(rule))}.arrow`);
  const indices = (): Uint32Array | null => splitRows(rule, split, { [hubSplit]: base.numRows }).indices;
  // A split that is in the cache needs no permutation: that of half a million rows takes a while.
  if (!existsSync(splitPath) && indices() === null) return { table: base, fingerprint: identity, ...found };
  const { table } = await cachedArrow(
    splitPath,
    () => writeArrow(splitPath, dataset.schema, taken(base, indices()!, source.path)),
    signal,
  );
  return { table, fingerprint: digest(identity, split), ...found };
}

/** The source's batches, tried with the template, so that a bad file is refused before it is cached. */
async function* verified(dataset: Dataset, source: Source): AsyncGenerator<RecordBatch> {
  for (const { path, batches } of source.parts) {
    let firstRow = 0;
    for await (const batch of batches()) {
      const columns = dataset.schema.fields.map((field) => [field.name, batch.getChild(field.name)!] as const);
      for (const i of decisiveRows(dataset, batch)) {
        const row = Object.fromEntries(columns.map(([name, column]) => [name, plain(column.get(i))]));
        try {
          dataset.render(row, { prefix: false, variant: "fixed", split: "validation" });
        } catch (cause) {
          if (!(cause instanceof DataError)) throw cause;
          throw dataError({ file: path, row: firstRow + i }, cause.message, { cause });
        }
      }
      firstRow += batch.numRows;
      yield batch;
    }
  }
}

/** Rows which, if they can be rendered, all can: each, or the first of each value of the columns that decide. */
function* decisiveRows({ decidedBy }: Dataset, batch: RecordBatch): Generator<number> {
  const columns = (decidedBy ?? []).map((name) => batch.getChild(name)!);
  const nulls = batch.schema.names.some((name) => batch.getChild(name)!.nullCount > 0);
  if (decidedBy === undefined || nulls) {
    for (let i = 0; i < batch.numRows; i++) yield i;
    return;
  }
  const seen = new Set<unknown>();
  const values = columns.map((column) => column.toArray() as ArrayLike<unknown>);
  for (let i = 0; i < batch.numRows; i++) {
    const key = values.length === 1 ? values[0]![i] : values.map((each) => each[i]).join();
    if (seen.has(key)) continue;
    seen.add(key);
    yield i;
  }
}

function checkOptions(dataset: Dataset, split: Split, variant: Variant, shots: number | undefined, seed: number): void {
  const wrong: string[] = [];
  if (!["train", "validation", "test"].includes(split))
    wrong.push(`split must be "train", "validation" or "test", not ${JSON.stringify(split)}`);
  if (variant !== "fixed" && variant !== "faithful")
    wrong.push(`variant must be "fixed" or "faithful", not ${JSON.stringify(variant)}`);
  if (shots !== undefined && !(Number.isInteger(shots) && shots > 0))
    wrong.push(`shots must be a whole number of at least 1, not ${shots}`);
  if (!Number.isSafeInteger(seed) || seed < 0) wrong.push(`seed must be a whole number from 0 on, not ${seed}`);
  if (wrong.length > 0) throw new DataError(`${dataset.name}: ${wrong.join("; ")}.`);
}
