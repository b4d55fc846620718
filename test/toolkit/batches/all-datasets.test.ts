// Every dataset of the catalogue, in its real schema and at its real paths, from a hub that misbehaves: each load keeps
// its promise or ends in a named error. The rows are the generated stand-ins', written as parquet.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Table } from "apache-arrow";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Dataset, Split } from "#datasets/contract.ts";
import { catalogue, hubSplitOf, mini, splitRows } from "#datasets/index.ts";
import { shortName } from "#datasets/mini/index.ts";
import { DatasetTable } from "#toolkit/batches/dataset-table.ts";
import { readEnvironment } from "#toolkit/batches/environment.ts";
import { DataError } from "#toolkit/batches/errors.ts";
import { type LoadOptions, loadDataset } from "#toolkit/batches/load-dataset.ts";
import { type Fault, type HubServer, startHub } from "./hub-server.ts";
import { parquetOf } from "./parquet-files.ts";

const splits: readonly Split[] = ["train", "validation", "test"];
const datasets = Object.values(catalogue) as Dataset[];

let folder: string;
let hub: HubServer;
/** By `name:hubSplit`. */
const tables = new Map<string, Table>();
const files: Record<string, Uint8Array> = {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-all-"));
  for (const dataset of datasets) {
    const stand = mini.get(`mini/${shortName(dataset.name)}`)!;
    for (const [hubSplit, path] of Object.entries(dataset.source.files)) {
      // The `large` rule holds 1,000 rows of train out.
      const rows = hubSplit === "train" && dataset.splitRule.kind === "large" ? 1040 : 60;
      const table = stand.generate!(hubSplit, { rows });
      tables.set(`${dataset.name}:${hubSplit}`, table);
      // The converted branch cuts large splits into numbered files.
      const half = path.endsWith("/0000.parquet") ? rows / 2 : rows;
      files[`${dataset.source.repo}:${path}`] = parquetOf(table.slice(0, half));
      if (half < rows)
        files[`${dataset.source.repo}:${path.replace("0000.parquet", "0001.parquet")}`] = parquetOf(table.slice(half));
    }
  }
  hub = startHub({ kind: "api", files });
});
afterAll(async () => {
  await hub.stop();
  await rm(folder, { recursive: true, force: true });
});

let caches = 0;
const fresh = (): LoadOptions => {
  const cache = join(folder, `cache-${caches++}`);
  return {
    environment: readEnvironment({
      BUNSEN_HUB: hub.url,
      HF_HOME: join(cache, "hf"),
      BUNSEN_CACHE: join(cache, "bunsen"),
      BUNSEN_LOCK: join(cache, "lock.json"),
    }),
    tuning: { attempts: 3, backoffMs: 1, stallMs: 20_000, wait: async () => undefined },
  };
};

/** What the load must give: the generated rows, by the split rule. */
function expected(dataset: Dataset, split: Split): unknown[] {
  const hubSplit = hubSplitOf(dataset.splitRule, split);
  const table = tables.get(`${dataset.name}:${hubSplit}`)!;
  const { indices } = splitRows(dataset.splitRule, split, { [hubSplit]: table.numRows });
  const origin = {
    dataset,
    split,
    variant: "fixed",
    prefix: true,
    fingerprint: "",
    revision: null,
    file: "memory",
    warnings: [],
  } as const;
  const whole = new DatasetTable(table.schema, table.batches, origin);
  return Array.from(indices ?? Array.from({ length: table.numRows }, (_, i) => i)).flatMap((row) => [
    ...whole.renderRow(row),
  ]);
}

const passing: readonly (readonly Fault[])[] = [
  [{ kind: "cut", after: 700 }],
  [{ kind: "status", status: 503, headers: { "retry-after": "1" } }],
  [{ kind: "status", status: 429, headers: { "retry-after": "2" } }],
  [{ kind: "length", extra: -9 }],
  [{ kind: "length", extra: 9 }],
  [{ kind: "garble" }],
  [{ kind: "cut", after: 300 }, { kind: "whole" }],
  [{ kind: "cut", after: 900 }, { kind: "wrong-range" }],
];

describe("from a hub that stumbles, every dataset loads whole", () => {
  afterEach(() => hub.forgetFaults());
  for (const [number, dataset] of datasets.entries())
    it(dataset.name, async () => {
      const options = fresh();
      for (const [hubSplit, path] of Object.entries(dataset.source.files))
        hub.fault(`${dataset.source.repo}:${path}`, ...passing[(number + hubSplit.length) % passing.length]!);
      for (const split of splits) {
        const table = await loadDataset(dataset, { ...options, split });
        expect(table.render(), split).toEqual(expected(dataset, split));
        expect(table.schema.fields.map((field) => `${field.name} ${field.type}`)).toEqual(
          dataset.schema.fields.map((field) => `${field.name} ${field.type}`),
        );
        // Sixty rows are not what the paper has: said, and only where the count is known for sure.
        const known = dataset.rows[split]?.verified === true && dataset.rows[split].rows !== table.numRows;
        expect(table.warnings.map(({ code }) => code)).toEqual(known ? ["row-count"] : []);
      }
      // Every fault was met: none of this passed by itself.
      expect(hub.faultsLeft()).toBe(0);
    });
});

describe("from a hub that fails, every dataset ends in an error that names its file", () => {
  afterEach(() => hub.forgetFaults());
  const final: readonly [string, readonly Fault[], RegExp][] = [
    ["404", [{ kind: "status", status: 404 }], /no such file \(404/],
    ["401", [{ kind: "status", status: 401 }], /refuses access \(401\).*HF_TOKEN/],
    ["garbled twice", [{ kind: "garble" }, { kind: "garble" }], /the downloaded content is wrong: hash/],
    ["500 without end", new Array(3).fill({ kind: "status", status: 500 }), /the server answered 500.*after 3 tries/],
  ];
  for (const [number, dataset] of datasets.entries())
    it(dataset.name, async () => {
      const [, faults, message] = final[number % final.length]!;
      const path = dataset.source.files[hubSplitOf(dataset.splitRule, "train")]!;
      hub.fault(`${dataset.source.repo}:${path}`, ...faults);
      const failing = loadDataset(dataset, { ...fresh(), split: "train" });
      await expect(failing).rejects.toThrow(DataError);
      await expect(failing).rejects.toThrow(message);
      await expect(failing).rejects.toThrow(`${dataset.source.repo}/${path}`);
    });

  it("where the file is whole but is not parquet, or is another dataset's", async () => {
    for (const [number, dataset] of datasets.entries()) {
      const path = dataset.source.files[hubSplitOf(dataset.splitRule, "train")]!;
      const key = `${dataset.source.repo}:${path}`;
      // The next one whose columns are other ones.
      const other = [...datasets.slice(number), ...datasets].find((each) =>
        dataset.schema.fields.some((field) => !each.schema.names.includes(field.name)),
      )!;
      const wrong: readonly [Uint8Array, RegExp][] = [
        [files[key]!.subarray(0, files[key]!.length - 20), /not a whole parquet file/],
        [
          files[`${other.source.repo}:${Object.values(other.source.files)[0]}`]!,
          /the column is missing\. Expected .*; the file has /,
        ],
      ];
      for (const [bytes, message] of wrong) {
        hub.replace(key, bytes);
        const failing = loadDataset(dataset, { ...fresh(), split: "train" });
        await expect(failing, dataset.name).rejects.toThrow(DataError);
        await expect(failing, dataset.name).rejects.toThrow(message);
      }
      hub.replace(key, files[key]!);
    }
  });
});
