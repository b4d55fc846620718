// loadDataset from the hub, from folders and from files of one's own; the cache behind it; what it says of wrong data.
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Field,
  Float32,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { parquetReadObjects } from "hyparquet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Dataset, Split } from "#datasets/contract.ts";
import { catalogue, findDataset, mini, randperm } from "#datasets/index.ts";
import { writeArrow } from "#toolkit/batches/arrow-files.ts";
import { DatasetTable } from "#toolkit/batches/dataset-table.ts";
import { type Environment, readEnvironment } from "#toolkit/batches/environment.ts";
import type { DataWarning } from "#toolkit/batches/errors.ts";
import { type LoadOptions, loadDataset } from "#toolkit/batches/load-dataset.ts";
import { hasShared, shared } from "../shared-data.ts";
import { type HubServer, startHub } from "./hub-server.ts";

let folder: string;
let environment: Environment;
let hub: HubServer | null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-load-"));
  hub = null;
  environment = environmentFor("http://127.0.0.1:9");
});
afterEach(async () => {
  await hub?.stop();
  await rm(folder, { recursive: true, force: true });
});

const environmentFor = (url: string): Environment =>
  readEnvironment({
    BUNSEN_HUB: url,
    HF_HOME: join(folder, "hf"),
    BUNSEN_CACHE: join(folder, "bunsen"),
    BUNSEN_LOCK: join(folder, "lock.json"),
  });

const fixture = (name: string): string => join(import.meta.dirname, "fixtures", `${name}.parquet`);
const load = (name: string | Dataset, options: LoadOptions = {}): Promise<DatasetTable> =>
  loadDataset(name, { environment, tuning: { attempts: 1, stallMs: 20_000 }, ...options });

describe.skipIf(!hasShared)("real GLUE from a plain server of the hub's paths", () => {
  beforeEach(() => {
    hub = startHub({ kind: "plain", folder: shared("hub") });
    environment = environmentFor(hub.url);
  });
  const original = async (path: string): Promise<Record<string, unknown>[]> =>
    parquetReadObjects({ file: await Bun.file(shared(`hub/datasets/nyu-mll/glue/${path}`)).arrayBuffer() });

  const expected: readonly [string, Split, number][] = [
    ["glue/cola", "train", 8551],
    ["glue/cola", "validation", 521],
    ["glue/cola", "test", 522],
    ["glue/rte", "train", 2490],
    ["glue/rte", "validation", 138],
    ["glue/rte", "test", 139],
    ["glue/stsb", "train", 5749],
    ["glue/stsb", "validation", 750],
    ["glue/stsb", "test", 750],
    ["glue/mrpc", "validation", 204],
    ["glue/mrpc", "test", 204],
    ["glue/qnli", "test", 5463],
    ["glue/sst2", "test", 872],
  ];
  for (const [name, split, rows] of expected)
    it(`${name} ${split} has the paper's ${rows} rows`, async () => {
      const table = await load(name, { split });
      expect(table).toBeInstanceOf(Table);
      expect(table.numRows).toBe(rows);
      expect(table.warnings).toEqual([]);
      expect(table.render()).toHaveLength(rows);
    });

  it("SST-2's train and validation are the file's rows in torch's order", async () => {
    const rows = await original("sst2/train-00000-of-00001.parquet");
    const order = randperm(rows.length, 42);
    const validation = await load("glue/sst2", { split: "validation" });
    const train = await load("glue/sst2", { split: "train" });
    expect([validation.numRows, train.numRows]).toEqual([1000, 66_349]);
    for (const i of [0, 1, 500, 999]) expect(validation.row(i).sentence).toBe(rows[order[i]!]!.sentence);
    for (const i of [0, 1, 33_000, 66_348]) expect(train.row(i).sentence).toBe(rows[order[1000 + i]!]!.sentence);
    expect(train.row(7)).toEqual({
      sentence: rows[order[1007]!]!.sentence,
      label: Number(rows[order[1007]!]!.label),
      idx: rows[order[1007]!]!.idx,
    });
  });

  it("renders the template, with and without the task key", async () => {
    const table = await load("glue/rte", { split: "train" });
    const { sentence1, sentence2, label } = table.row(0);
    expect(table.render()[0]).toEqual({
      input: `rte sentence1: ${sentence1} sentence2: ${sentence2}`,
      target: String(label),
    });
    expect((await load("glue/rte", { prefix: false })).render()[0]!.input).toMatch(/^sentence1: /);
  });

  it("says that MRPC's train is one row short, by name", async () => {
    const seen: DataWarning[] = [];
    const table = await load("glue/mrpc", { onWarning: (warning) => seen.push(warning) });
    expect(table.numRows).toBe(3667);
    expect(table.warnings).toMatchObject([
      { code: "row-count", message: expect.stringContaining("3667 rows; the published table has 3668") },
    ]);
    expect(seen).toEqual([...table.warnings]);
  });

  it("loads again without the server, from the mapped file", async () => {
    const first = await load("glue/rte");
    await hub!.stop();
    const second = await load("glue/rte");
    expect(second.fingerprint).toBe(first.fingerprint);
    expect(second.render()).toEqual(first.render());
    expect(second.batches[0]!.data.children[0]!.values.buffer.byteLength).toBeGreaterThan(100_000);
  });

  it("gives the same rows whether served, or read from the folder", async () => {
    const served = await load("glue/rte", { split: "test" });
    const local = await load("glue/rte", { split: "test", from: shared("hub") });
    expect(local.render()).toEqual(served.render());
    expect(local.fingerprint).toBe(served.fingerprint);
  });
});

describe("the generated stand-ins", () => {
  it("give rows to filter, and slices, which know their dataset", async () => {
    const table = await loadDataset("mini/mrpc", { split: "validation", environment });
    const rows = [...table.rows()];
    expect(rows).toHaveLength(table.numRows);
    const kept = table.filter((row) => row.label === 1);
    expect(kept.numRows).toBe(rows.filter((row) => row.label === 1).length);
    expect(kept.numRows).toBeGreaterThan(0);
    expect([...kept.rows()]).toEqual(rows.filter((row) => row.label === 1));
    expect(new Set(kept.render().map(({ target }) => target))).toEqual(new Set(["1"]));
    const part = table.slice(3, 6);
    expect([...part.rows()]).toEqual(rows.slice(3, 6));
    expect(part.renderRow(0)).toEqual(table.renderRow(3));
    expect(new Set([table, kept, part, table.slice(3, 7)].map(({ fingerprint }) => fingerprint)).size).toBe(4);
    expect(table.filter(() => false).numRows).toBe(0);
  });

  it("load in every split, of every dataset, offline", async () => {
    expect(mini.size).toBe(Object.keys(catalogue).length);
    for (const [name, dataset] of mini)
      for (const split of ["train", "validation", "test"] as const) {
        const table = await load(name, { split });
        expect(table.numRows, `${name} ${split}`).toBe(dataset.rows[split]!.rows);
        expect(table.warnings).toEqual([]);
        expect(table.renderRow(table.numRows - 1).length, `${name} ${split}`).toBeGreaterThan(0);
      }
  });

  it("are named by their rows, not by how many there are", async () => {
    const dataset = findDataset("mini/rte");
    const own = (first: string): Dataset => ({
      ...dataset,
      generate: () => {
        const rows = dataset.generate!("train", { rows: 20 });
        const sentences = Array.from(rows.getChild("sentence1")!, (text, row) => (row === 0 ? first : String(text)));
        return rows.setChild("sentence1", vectorFromArray(sentences, new Utf8()));
      },
    });
    const named = async (first: string): Promise<string> => (await load(own(first), { split: "train" })).fingerprint;
    expect(await named("a fine film")).toBe(await named("a fine film"));
    expect(await named("a fine film")).not.toBe(await named("a poor film"));
    expect((await load("mini/rte")).fingerprint).toBe((await load("mini/rte")).fingerprint);
  });

  it("survive the way through a parquet-like file: the same rows from Arrow on disk", async () => {
    for (const name of ["mini/sst2", "mini/squad", "mini/record"]) {
      const dataset = findDataset(name);
      const path = join(folder, "rows.arrow");
      const generated = dataset.generate!("train", { rows: 50 });
      await writeArrow(path, generated.schema, generated.batches);
      const table = await load(name, { from: path, split: "train" });
      expect(table.numRows).toBe(50);
      const direct = new DatasetTable(generated.schema, generated.batches, { ...table, file: "memory", warnings: [] });
      expect(table.render()).toEqual(direct.render());
    }
  });
});

describe("shots", () => {
  it("are so many rows, the same for the same seed, others for another", async () => {
    const options = { split: "train", shots: 16 } as const;
    const first = await load("mini/rte", { ...options, seed: 1 });
    expect(first.numRows).toBe(16);
    expect((await load("mini/rte", { ...options, seed: 1 })).render()).toEqual(first.render());
    const other = await load("mini/rte", { ...options, seed: 2 });
    expect(other.render()).not.toEqual(first.render());
    expect(other.fingerprint).not.toBe(first.fingerprint);
    const all = new Set((await load("mini/rte")).render().map(({ input }) => input));
    for (const { input } of first.render()) expect(all.has(input)).toBe(true);
  });

  it("per class are shared out among the classes", async () => {
    const table = await load("mini/rte", { shots: 4, shotMode: "per-class" });
    expect(
      table
        .render()
        .map(({ target }) => target)
        .sort(),
    ).toEqual(["0", "0", "1", "1"]);
    await expect(load("mini/squad", { shots: 4, shotMode: "per-class" })).rejects.toThrow(/has no classes/);
  });
});

describe("files of one's own", () => {
  const mine: Dataset = {
    ...findDataset("glue/sst2"),
    name: "my-reviews",
    task: "reviews",
    source: { repo: "none", config: null, files: {} },
    schema: new Schema([new Field("text", new Utf8(), true), new Field("label", new Int64(), true)]),
    rows: {},
    splitRule: { kind: "official" },
    labelNames: ["bad", "good"],
    render: (row, { prefix }) => [{ input: `${prefix ? "reviews " : ""}text: ${row.text}`, target: String(row.label) }],
  };

  it("are one object and a folder: one file a split, in any format", async () => {
    await writeFile(join(folder, "train.csv"), "text,label\nfine,good\nawful,bad\n");
    await writeFile(join(folder, "validation.jsonl"), '{"text": "so so", "label": 0}\n');
    await writeFile(join(folder, "test.tsv"), "text\tlabel\nx\t1\n");
    expect((await load(mine, { from: folder })).render()).toEqual([
      { input: "reviews text: fine", target: "1" },
      { input: "reviews text: awful", target: "0" },
    ]);
    expect((await load(mine, { from: folder, split: "validation" })).render()[0]!.target).toBe("0");
    expect((await load(mine, { from: folder, split: "test" })).numRows).toBe(1);
  });

  it("are taken as the split itself where a single file is named", async () => {
    const path = join(folder, "rows.jsonl");
    await writeFile(
      path,
      Array.from({ length: 30 }, (_, i) => JSON.stringify({ sentence: `s${i}`, label: i % 2 })).join("\n"),
    );
    const table = await load("glue/sst2", { from: path, split: "train" });
    expect(table.render()[3]).toEqual({ input: "sst2 sentence: s3", target: "1" });
    expect(table.numRows).toBe(30);
  });

  it("may be a GLUE download", async () => {
    await mkdir(join(folder, "glue/RTE"), { recursive: true });
    await writeFile(
      join(folder, "glue/RTE/dev.tsv"),
      `index\tsentence1\tsentence2\tlabel\n${Array.from({ length: 9 }, (_, i) => `${i}\ta${i}\tb\tentailment`).join("\n")}\n`,
    );
    const validation = await load("glue/rte", { from: join(folder, "glue"), split: "validation" });
    const test = await load("glue/rte", { from: join(folder, "glue"), split: "test" });
    expect([validation.numRows, test.numRows]).toEqual([4, 5]);
    const order = randperm(9, 42);
    expect(validation.row(0)).toEqual({ sentence1: `a${order[0]}`, sentence2: "b", label: 0, idx: order[0] });
  });

  it("are read anew where the cache has been damaged", async () => {
    await writeFile(join(folder, "train.csv"), "text,label\nfine,good\n");
    const first = (await load(mine, { from: folder })).render();
    const cache = join(folder, "bunsen/arrow/my-reviews");
    const [name] = await readdir(cache);
    const whole = await readFile(join(cache, name!));
    for (const damaged of [new Uint8Array(), whole.subarray(0, whole.length - 30), Buffer.from("nonsense")]) {
      await rm(join(cache, name!));
      await writeFile(join(cache, name!), damaged);
      expect((await load(mine, { from: folder })).render()).toEqual(first);
    }
  });

  it("leave nothing behind of a load that was killed", async () => {
    await writeFile(join(folder, "train.csv"), "text,label\nfine,good\n");
    await load(mine, { from: folder });
    const cache = join(folder, "bunsen/arrow/my-reviews");
    const [name] = await readdir(cache);
    await rm(join(cache, name!));
    await writeFile(join(cache, `${name}.4242.abc.0.tmp`), "half of a table");
    expect((await load(mine, { from: folder })).numRows).toBe(1);
    expect(await readdir(cache)).toEqual([name!]);
  });

  it("say what was looked for where nothing fits", async () => {
    await expect(load("glue/rte", { from: folder })).rejects.toThrow(
      /glue\/rte: no file of the split "train" under .*Looked for datasets\/nyu-mll\/glue\/rte\/train-00000-of-00001\.parquet.*RTE\/train\.tsv.*train\.jsonl/,
    );
    await expect(load("glue/rte", { from: join(folder, "nowhere") })).rejects.toThrow(/there is nothing at/);
    await writeFile(join(folder, "rows.xlsx"), "x");
    await expect(load("glue/rte", { from: join(folder, "rows.xlsx") })).rejects.toThrow(
      /expected a file that ends in \.parquet/,
    );
    await expect(load(mine)).rejects.toThrow(/my-reviews has no hub split "train".*from: path/);
  });
});

describe("wrong data", () => {
  const asTrain = async (name: string): Promise<string> => {
    const path = join(folder, "hub/nyu-mll/glue/sst2/train-00000-of-00001.parquet");
    await mkdir(join(path, ".."), { recursive: true });
    await copyFile(fixture(name), path);
    return join(folder, "hub");
  };

  it("is refused by file, row and column, and nothing of it is cached", async () => {
    const cases: readonly [string, RegExp][] = [
      [
        "label-out-of-range",
        /train-00000-of-00001\.parquet, row 23 .*column "label" should be a label from 0 to 1, but is 7/,
      ],
      ["invalid-utf8", /row 29 .*column "sentence": the text is not valid UTF-8/],
      ["missing-column", /column "label": the column is missing/],
      ["wrong-type", /column "label": expected Int64/],
      ["nulls", /row 3 .*column "sentence"/],
      ["empty", /the train split of glue\/sst2 is empty/],
    ];
    for (const [name, message] of cases)
      await expect(load("glue/sst2", { from: await asTrain(name) })).rejects.toThrow(message);
    const left = await readdir(join(folder, "bunsen/arrow/glue/sst2")).catch(() => []);
    // The empty table alone could be written: there was nothing wrong in it but that it is empty.
    expect(left.filter((name) => !name.endsWith(".arrow"))).toEqual([]);
    expect(left.length).toBeLessThanOrEqual(1);
  });

  it("too small for its split rule is refused", async () => {
    await expect(load("glue/sst2", { from: await asTrain("flat-zstd") })).rejects.toThrow(
      /40 rows, but 1000 of them are to be held out/,
    );
  });

  it("wrong options are all named at once", async () => {
    const options = { split: "dev", variant: "best", shots: 0, seed: -1 } as unknown as LoadOptions;
    await expect(load("glue/rte", options)).rejects.toThrow(
      /split must be .* not "dev"; variant must be .* not "best"; shots must be .* not 0; seed must be .* not -1/,
    );
    await expect(load("glue/rt")).rejects.toThrow(/no dataset "glue\/rt".*glue\/rte/);
  });
});

describe("a table of MNLI's size", () => {
  it("loads the second time in under 50 ms and almost no memory", async () => {
    const rows = 392_702;
    const schema = new Schema([
      new Field("premise", new Utf8(), true),
      new Field("hypothesis", new Utf8(), true),
      new Field("label", new Int64(), true),
      new Field("idx", new Int32(), true),
    ]);
    const text = (bytes: number, letter: number): ReturnType<typeof makeData> => {
      const offsets = Int32Array.from({ length: rows + 1 }, (_, i) => i * bytes);
      const data = new Uint8Array(rows * bytes).fill(letter);
      return makeData({ type: new Utf8(), length: rows, nullCount: 0, valueOffsets: offsets, data });
    };
    const batch = new RecordBatch(
      schema,
      makeData({
        type: new Struct(schema.fields),
        length: rows,
        nullCount: 0,
        children: [
          text(110, 97),
          text(55, 98),
          makeData({ type: new Int64(), data: BigInt64Array.from({ length: rows }, (_, i) => BigInt(i % 3)) }),
          makeData({ type: new Int32(), data: Int32Array.from({ length: rows }, (_, i) => i) }),
        ],
      }),
    );
    await writeArrow(join(folder, "train.arrow"), schema, [batch]);
    // The first load checks every row; done in a process of its own, so that this one's memory stays clean.
    const script = `
      import { loadDataset } from "#toolkit/batches/index.ts";
      const times = [];
      const before = process.memoryUsage.rss();
      let last;
      for (let i = 0; i < 5; i++) {
        const began = performance.now();
        last = await loadDataset("glue/mnli", { from: ${JSON.stringify(folder)} });
        times.push(performance.now() - began);
      }
      const after = process.memoryUsage.rss();
      console.log(JSON.stringify({ rows: last.numRows, times, grown: after - before, row: last.row(392701) }));
    `;
    const run = (): { rows: number; times: number[]; grown: number; row: Record<string, unknown> } => {
      const child = Bun.spawnSync([process.execPath, "-e", script], {
        cwd: join(import.meta.dirname, "../../.."),
        env: { ...process.env, HF_HOME: join(folder, "hf"), BUNSEN_CACHE: join(folder, "bunsen") },
      });
      expect(child.exitCode, child.stderr.toString()).toBe(0);
      return JSON.parse(child.stdout.toString());
    };
    run();
    const second = run();
    expect(second.rows).toBe(rows);
    expect(second.row).toMatchObject({ label: 392701 % 3, idx: 392701 });
    // 70 MB of text: mapped, not read. The best of five, because the machine may be busy.
    expect(Math.min(...second.times)).toBeLessThan(50);
    expect(second.grown).toBeLessThan(24 * 2 ** 20);
  }, 180_000);

  it("keeps floats as they are", async () => {
    const dataset: Dataset = {
      ...findDataset("glue/stsb"),
      name: "floats",
      rows: {},
      splitRule: { kind: "official" },
      schema: new Schema([
        new Field("sentence1", new Utf8(), true),
        new Field("sentence2", new Utf8(), true),
        new Field("label", new Float32(), true),
      ]),
    };
    await writeFile(join(folder, "train.csv"), "sentence1,sentence2,label\na,b,2.75\n");
    expect((await load(dataset, { from: folder })).row(0).label).toBe(2.75);
  });
});
