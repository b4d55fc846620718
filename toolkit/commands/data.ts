// `bunsen data`: lists, fetches, shows and checks the benchmark's datasets. All work is batches/ and the catalogue's;
// here are arguments, and their picture as text.
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { datasetNames, findDataset, findGroup, groups, mini, type Split, type Variant } from "#datasets/index.ts";
import {
  DataError,
  type DatasetTable,
  type DownloadProgress,
  type Environment,
  loadDataset,
  readEnvironment,
  verifyPins,
} from "#toolkit/batches/index.ts";
import { type Command, type Terminal, UsageError } from "./contract.ts";

const splits: readonly Split[] = ["train", "validation", "test"];

const usage = `usage: bunsen data list [--json]          every dataset: rows, metric, source
       bunsen data get NAME… [--update]   fetch into the cache (names, or groups such as glue, sources, targets)
       bunsen data show NAME [flags]      what a dataset is, and its first rows as text
       bunsen data verify [--json]        read every pinned file in the cache again and compare
       bunsen data path [NAME]            where things lie

flags of get and show:
  --split S      train, validation or test (get: all three; show: train)
  --from PATH    a local folder or file instead of the hub
flags of show:
  --rows N       how many rows (3)
  --variant V    fixed (default) or faithful
  --no-prefix    without the task key
  --shots K, --seed N, --json

The hub is BUNSEN_HUB or HF_ENDPOINT (https://huggingface.co); the token HF_TOKEN; the cache HF_HOME and BUNSEN_CACHE.
BUNSEN_OFFLINE=1 uses only the cache.

example: bunsen data show mini/rte --rows 2`;

export const command: Command = { summary: "list, show and download datasets", usage, run: data };

/** @returns the exit status: 0, or 1 where `verify` finds a changed file. @throws UsageError, DataError, HubError */
export async function data(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      update: { type: "boolean", default: false },
      split: { type: "string" },
      from: { type: "string" },
      rows: { type: "string", default: "3" },
      variant: { type: "string", default: "fixed" },
      "no-prefix": { type: "boolean", default: false },
      shots: { type: "string" },
      seed: { type: "string" },
    },
  });
  const [verb, ...names] = positionals;
  const environment = readEnvironment();
  switch (verb) {
    case "list":
      return list(values.json, terminal);
    case "get":
      return get(names, { ...values, environment }, terminal);
    case "show":
      return show(names, { ...values, environment }, terminal);
    case "verify":
      return verify(values.json, environment, terminal);
    case "path":
      return path(names, environment, terminal);
    default:
      throw new UsageError(
        `${verb === undefined ? "what to do is missing" : `unknown action "${verb}"`}; expected list, get, show, verify or path.\n\n${usage}`,
      );
  }
}

function list(json: boolean, terminal: Terminal): number {
  const rows = datasetNames().map((name) => {
    const { title, task, rows, reported, source, licence } = findDataset(name);
    return {
      name,
      title,
      task,
      rows: Object.fromEntries(splits.map((split) => [split, rows[split] ?? null])),
      metric: reported,
      source: mini.has(name) ? "generated" : source.repo,
      licence,
    };
  });
  if (json) {
    terminal.out(JSON.stringify(rows, null, 2));
    return 0;
  }
  const counted = (name: string, split: Split): string => {
    const count = findDataset(name).rows[split];
    return count ? `${count.rows.toLocaleString("en")}${count.verified ? "" : "?"}` : "–";
  };
  const table = rows.map(({ name, metric, source }) => [
    name,
    ...splits.map((split) => counted(name, split)),
    metric,
    source,
  ]);
  terminal.out(columns([["name", ...splits, "metric", "source"], ...table], [1, 2, 3]));
  terminal.out(
    `\n${rows.length} datasets; "?": recalled from the literature, not checked. Groups: ${Object.keys(groups).join(", ")}.`,
  );
  return 0;
}

interface Values {
  readonly update: boolean;
  readonly json: boolean;
  readonly split?: string | undefined;
  readonly from?: string | undefined;
  readonly rows: string;
  readonly variant: string;
  readonly "no-prefix": boolean;
  readonly shots?: string | undefined;
  readonly seed?: string | undefined;
  readonly environment: Environment;
}

async function get(names: readonly string[], values: Values, terminal: Terminal): Promise<number> {
  if (names.length === 0) throw new UsageError(`bunsen data get needs a name or a group.\n\n${usage}`);
  // All names are looked up before anything is fetched, so that a mistyped one costs nothing.
  const wanted = [...new Set(names.flatMap((name) => (isGroup(name) ? findGroup(name) : [findDataset(name).name])))];
  const chosen = values.split === undefined ? splits : [splitOf(values.split)];
  const bar = progressBar(terminal);
  const failed: string[] = [];
  const queue = [...wanted];
  // Several datasets at once: one that fails does not keep the others from coming.
  const lane = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      for (const split of chosen) {
        try {
          const table = await loadDataset(name, {
            split,
            environment: values.environment,
            update: values.update,
            ...(values.from === undefined ? {} : { from: values.from }),
            onProgress: bar.show,
          });
          bar.clear();
          const at = table.revision ? ` (${table.revision.slice(0, 12)})` : "";
          terminal.out(`${name} ${split}: ${table.numRows.toLocaleString("en")} rows${at}`);
          for (const { message } of table.warnings) terminal.err(`  warning: ${message}`);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          bar.clear();
          failed.push(`${name} ${split}`);
          terminal.err(`${name} ${split}: ${error.message}`);
        }
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(4, queue.length) }, lane));
  if (failed.length > 0) terminal.err(`${failed.length} of ${wanted.length * chosen.length} could not be had.`);
  return failed.length > 0 ? 1 : 0;
}

async function show(names: readonly string[], values: Values, terminal: Terminal): Promise<number> {
  const [name, ...more] = names;
  if (name === undefined || more.length > 0)
    throw new UsageError(`bunsen data show needs one name, got ${names.length}.\n\n${usage}`);
  const count = wholeOf("rows", values.rows);
  const split = splitOf(values.split ?? "train");
  const bar = progressBar(terminal);
  const table = await loadDataset(name, {
    split,
    variant: variantOf(values.variant),
    prefix: !values["no-prefix"],
    environment: values.environment,
    ...(values.from === undefined ? {} : { from: values.from }),
    ...(values.shots === undefined ? {} : { shots: wholeOf("shots", values.shots) }),
    ...(values.seed === undefined ? {} : { seed: wholeOf("seed", values.seed) }),
    onProgress: bar.show,
  });
  bar.clear();
  const shown = Array.from({ length: Math.min(count, table.numRows) }, (_, row) => ({
    row: table.row(row),
    examples: table.renderRow(row),
  }));
  if (values.json) {
    const { dataset, fingerprint, revision, warnings } = table;
    terminal.out(
      JSON.stringify(
        { name: dataset.name, split, rows: table.numRows, fingerprint, revision, warnings, shown },
        null,
        2,
      ),
    );
    return 0;
  }
  terminal.out(describe(table));
  for (const [row, { examples }] of shown.entries())
    for (const { input, target, references } of examples)
      terminal.out(`\n${row}  ${input}\n   → ${references ? references.join(" | ") : target}`);
  for (const { message } of table.warnings) terminal.err(`warning: ${message}`);
  return 0;
}

function describe(table: DatasetTable): string {
  const { dataset, split, variant } = table;
  const { repo, config } = dataset.source;
  const lines: [string, string][] = [
    [
      "source",
      dataset.generate
        ? "generated"
        : `${repo}${config ? ` (${config})` : ""}${table.revision ? ` at ${table.revision.slice(0, 12)}` : ""}`,
    ],
    ["licence", dataset.licence],
    ["homepage", dataset.homepage],
    ["cite", dataset.citation],
    ["split", `${split}, ${table.numRows.toLocaleString("en")} rows`],
    ["columns", dataset.schema.fields.map((field) => `${field.name}: ${field.type}`).join(", ")],
    ["metrics", `${dataset.metrics.join(", ")}; the paper's table has ${dataset.reported}`],
    ...(dataset.labelNames && dataset.labels
      ? [
          ["labels", dataset.labelNames.map((label, i) => `${dataset.labels![i]} ${label}`).join(", ")] as [
            string,
            string,
          ],
        ]
      : []),
    ...(dataset.variants ? [["variant", `${variant}: ${dataset.variants[variant]}`] as [string, string]] : []),
  ];
  return [`${dataset.name}: ${dataset.title}`, ...lines.map(([key, value]) => `  ${key.padEnd(9)} ${value}`)].join(
    "\n",
  );
}

async function verify(json: boolean, environment: Environment, terminal: Terminal): Promise<number> {
  const results = await verifyPins(environment);
  if (json) terminal.out(JSON.stringify(results, null, 2));
  else {
    for (const { key, state, found } of results)
      terminal.out(`${state.padEnd(8)}${key}${found ? `: pinned otherwise; the file has ${found}` : ""}`);
    const counts = (["whole", "absent", "changed"] as const).map(
      (state) => `${results.filter((each) => each.state === state).length} ${state}`,
    );
    terminal.out(`${results.length} pins in ${environment.lockFile}: ${counts.join(", ")}.`);
  }
  const changed = results.filter(({ state }) => state === "changed");
  for (const { path } of changed) terminal.err(`Delete ${path} and run "bunsen data get" again.`);
  return changed.length > 0 ? 1 : 0;
}

async function path(names: readonly string[], environment: Environment, terminal: Terminal): Promise<number> {
  if (names.length === 0) {
    const places: [string, string][] = [
      ["hub files", environment.hubCache],
      ["tables", environment.cache],
      ["pins", environment.lockFile],
    ];
    for (const [what, where] of places)
      terminal.out(`${what.padEnd(10)} ${where}${existsSync(where) ? "" : "  (not there yet)"}`);
    return 0;
  }
  for (const name of names) {
    const dataset = findDataset(name);
    if (dataset.generate) {
      terminal.out(`${dataset.name}  generated, nothing on disk`);
      continue;
    }
    const offline = { ...environment, offline: true };
    const files = new Set<string>();
    for (const split of splits) files.add((await loadDataset(dataset, { split, environment: offline })).file);
    for (const file of files) terminal.out(file);
  }
  return 0;
}

interface ProgressBar {
  readonly show: (progress: DownloadProgress) => void;
  readonly clear: () => void;
}

/** One line that is written over where a person watches; elsewhere only what went wrong. */
function progressBar(terminal: Terminal): ProgressBar {
  let drawn = false;
  const up = "\u001b[1A\u001b[2K";
  const running = new Map<string, DownloadProgress>();
  return {
    show(progress) {
      running.set(progress.file, progress);
      if (progress.received === progress.total) running.delete(progress.file);
      if (progress.retry) {
        terminal.err(
          `${drawn ? up : ""}${progress.file}: ${progress.retry.reason}; trying again in ${(progress.retry.waitMs / 1000).toFixed(1)} s`,
        );
        drawn = false;
      } else if (terminal.interactive) {
        terminal.err(`${drawn ? up : ""}${barLine(together([...running.values()], progress))}`);
        drawn = true;
      }
    },
    clear() {
      if (drawn) terminal.err(`${up}\u001b[1A`);
      drawn = false;
    },
  };
}

/** Several downloads as one: their bytes and rates added up. */
function together(running: readonly DownloadProgress[], last: DownloadProgress): DownloadProgress {
  if (running.length < 2) return last;
  const sum = (of: (progress: DownloadProgress) => number): number =>
    running.reduce((total, progress) => total + of(progress), 0);
  const total = running.some((progress) => progress.total === null) ? null : sum((progress) => progress.total!);
  const received = sum((progress) => progress.received);
  const bytesPerSecond = sum((progress) => progress.bytesPerSecond);
  const secondsLeft = total === null || bytesPerSecond === 0 ? null : (total - received) / bytesPerSecond;
  return { file: `${running.length} files`, received, total, bytesPerSecond, secondsLeft };
}

/** `file ████░░ 42 %  3.1 MB/s  12 s left`. */
export function barLine({ file, received, total, bytesPerSecond, secondsLeft }: DownloadProgress): string {
  const width = 24;
  const share = total ? received / total : null;
  const filled = share === null ? 0 : Math.round(share * width);
  const bar = share === null ? "" : ` ${"█".repeat(filled)}${"░".repeat(width - filled)} ${Math.floor(share * 100)} %`;
  const left = secondsLeft === null ? "" : `  ${Math.ceil(secondsLeft)} s left`;
  return `${file}${bar}  ${megabytes(received)} MB at ${megabytes(bytesPerSecond)} MB/s${left}`;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

function isGroup(name: string): boolean {
  return Object.hasOwn(groups, name.replace(/^mini\//, ""));
}

function splitOf(text: string): Split {
  const split = splits.find((each) => each === text);
  if (!split) throw new UsageError(`--split expected ${splits.join(", ")}, got "${text}".`);
  return split;
}

function variantOf(text: string): Variant {
  if (text !== "fixed" && text !== "faithful")
    throw new UsageError(`--variant expected fixed or faithful, got "${text}".`);
  return text;
}

function wholeOf(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} expected a whole number, got "${text}".`);
  return Number(text);
}

/** Cells in columns; those of `right` are set to the right. */
function columns(rows: readonly (readonly string[])[], right: readonly number[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
