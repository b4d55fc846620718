// Which file holds a dataset's hub split, and its record batches: the hub (or its cache), a folder in the hub's layout,
// a GLUE download, or a file of the user's. No splitting, no caching of Arrow: that is load-dataset.ts.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { RecordBatch } from "apache-arrow";
import type { Dataset } from "#datasets/contract.ts";
import { readArrow } from "./arrow-files.ts";
import { recordBatch } from "./columns.ts";
import { hashFile } from "./download.ts";
import { readEnvironment } from "./environment.ts";
import { DataError, dataError } from "./errors.ts";
import { writeAtomically } from "./files.ts";
import { type HubOptions, hubFiles, hubShards } from "./hub.ts";
import { readParquet } from "./parquet.ts";
import { glueFileOf, glueLayouts, readCsv, readGlueTsv, readJsonLines } from "./text-files.ts";

/** One file of a source: a split may come in several. */
export interface SourcePart {
  /** Path on disk. */
  readonly path: string;
  batches(): AsyncIterable<RecordBatch> | Iterable<RecordBatch>;
}

export interface Source {
  /** Path on disk of the first part, for messages. */
  readonly path: string;
  /** SHA-256 of the file's bytes; of the parts' hashes where there are several. */
  readonly sha256: string;
  /** The hub's commit, where it came from there. */
  readonly revision: string | null;
  /** True where the file is one split by itself, so that the split rule does not apply. */
  readonly isSplit: boolean;
  readonly parts: readonly SourcePart[];
}

/**
 * The file of `hubSplit`.
 * @param from a local folder or file instead of the hub.
 * @throws DataError, HubError naming what was looked for and where.
 */
export async function findSource(
  dataset: Dataset,
  hubSplit: string,
  from: string | undefined,
  options: HubOptions,
): Promise<Source> {
  if (from !== undefined)
    return localSource(dataset, hubSplit, resolve(from), (options.environment ?? readEnvironment()).cache);
  const name = dataset.source.files[hubSplit];
  if (name === undefined)
    throw new DataError(
      `${dataset.name} has no hub split "${hubSplit}"; it has ${Object.keys(dataset.source.files).join(", ") || "none"}. ` +
        "For files of your own, say where they are: loadDataset(…, { from: path }).",
    );
  const { repo, revision } = dataset.source;
  const asked = { ...(revision ? { revision } : {}), ...options };
  const files = await hubFiles(repo, await hubShards(repo, name, asked), asked);
  const [first] = files;
  const all = createHash("sha256")
    .update(files.map(({ sha256 }) => sha256).join())
    .digest("hex");
  return {
    path: first!.path,
    sha256: files.length === 1 ? first!.sha256 : all,
    revision: first!.revision,
    isSplit: false,
    parts: files.map(({ path }) => ({ path, batches: () => readParquet(path, dataset.schema) })),
  };
}

async function localSource(dataset: Dataset, hubSplit: string, from: string, cache: string): Promise<Source> {
  const info = await stat(from).catch(() => null);
  if (info === null) throw new DataError(`${dataset.name}: there is nothing at ${from}.`);
  if (info.isFile()) return fileSource(dataset, from, true, cache);
  const { repo, config, files } = dataset.source;
  const inHub = files[hubSplit];
  const candidates = [
    ...(inHub === undefined
      ? []
      : ["datasets/", "", null].map((top) => join(from, top === null ? "" : top + repo, inHub))),
    ...(inHub === undefined ? [] : [join(from, basename(inHub))]),
  ];
  const layout = repo === "nyu-mll/glue" && config !== null ? glueLayouts[config] : undefined;
  for (const path of candidates) if (existsSync(path)) return fileSource(dataset, path, false, cache);
  if (layout) {
    for (const folder of [join(from, layout.folder), from]) {
      const path = join(folder, glueFileOf(hubSplit));
      candidates.push(path);
      if (!existsSync(path)) continue;
      return {
        ...(await identified(path, cache)),
        isSplit: false,
        parts: [{ path, batches: () => readGlueTsv(path, dataset, layout) }],
      };
    }
  }
  for (const extension of Object.keys(readers)) {
    const path = join(from, `${hubSplit}${extension}`);
    candidates.push(path);
    if (existsSync(path)) return fileSource(dataset, path, false, cache);
  }
  throw new DataError(
    `${dataset.name}: no file of the split "${hubSplit}" under ${from}. Looked for ${candidates.map((path) => path.slice(from.length + 1)).join(", ")}.`,
  );
}

type Reader = (path: string, dataset: Dataset) => AsyncIterable<RecordBatch> | Iterable<RecordBatch>;

const readers: Readonly<Record<string, Reader>> = {
  ".parquet": (path, dataset) => readParquet(path, dataset.schema),
  ".arrow": readForeignArrow,
  ".feather": readForeignArrow,
  ".jsonl": readJsonLines,
  ".ndjson": readJsonLines,
  ".json": readJsonLines,
  ".csv": (path, dataset) => readCsv(path, dataset, ","),
  ".tsv": (path, dataset) => readCsv(path, dataset, "\t"),
};

async function fileSource(dataset: Dataset, path: string, isSplit: boolean, cache: string): Promise<Source> {
  const extension = /\.[a-z]+$/i.exec(path)?.[0].toLowerCase() ?? "";
  const reader = readers[extension];
  if (!reader)
    throw new DataError(
      `${path}: expected a file that ends in ${Object.keys(readers).join(", ")}, not "${extension}".`,
    );
  return { ...(await identified(path, cache)), isSplit, parts: [{ path, batches: () => reader(path, dataset) }] };
}

/**
 * The file's hash. Remembered by path, size and time of change, so that a large file of the user's is not read whole
 * again at every load.
 */
async function identified(path: string, cache: string): Promise<Pick<Source, "path" | "sha256" | "revision">> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  const state = `${size} ${mtimeNs} ${ino}`;
  const memory = join(cache, "hashes", createHash("sha1").update(path).digest("hex"));
  const [known, remembered] = (await readFile(memory, "utf8").catch(() => "")).split("\n");
  if (known === state && /^[0-9a-f]{64}$/.test(remembered ?? "")) return { path, sha256: remembered!, revision: null };
  const { sha256 } = await hashFile(path, Number(size));
  await writeAtomically(memory, `${state}\n${sha256}`);
  return { path, sha256, revision: null };
}

/** An Arrow file from elsewhere: its columns are matched by name and checked like any other's. */
function* readForeignArrow(path: string, dataset: Dataset): Generator<RecordBatch> {
  let firstRow = 0;
  for (const batch of readArrow(path)) {
    const columns = dataset.schema.fields.map((field) => {
      const column = batch.getChild(field.name);
      if (column === null)
        throw dataError(
          { file: path, column: field.name },
          `the column is missing. Expected ${dataset.schema.names.join(", ")}; the file has ${batch.schema.names.join(", ")}.`,
        );
      return Array.from({ length: batch.numRows }, (_, row) => column.get(row) as unknown);
    });
    yield recordBatch(dataset.schema, columns, path, firstRow);
    firstRow += batch.numRows;
  }
}
