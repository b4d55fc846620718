// `bunsen data` as a person meets it: what it prints, what it says of mistakes, its exit statuses.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { datasetNames } from "#datasets/index.ts";
import type { Terminal } from "#toolkit/commands/contract.ts";
import { barLine, data } from "#toolkit/commands/data.ts";
import { type HubServer, startHub } from "../batches/hub-server.ts";
import { hasShared, shared } from "../shared-data.ts";

const variables = ["HF_HOME", "BUNSEN_CACHE", "BUNSEN_LOCK", "BUNSEN_HUB"] as const;
let folder: string;
let before: (string | undefined)[];
let hub: HubServer | null;
let out: string[];
let err: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-data-"));
  before = variables.map((name) => process.env[name]);
  process.env.HF_HOME = join(folder, "hf");
  process.env.BUNSEN_CACHE = join(folder, "bunsen");
  process.env.BUNSEN_LOCK = join(folder, "lock.json");
  process.env.BUNSEN_HUB = "http://127.0.0.1:9";
  hub = null;
  out = [];
  err = [];
});
afterEach(async () => {
  for (const [i, name] of variables.entries()) {
    if (before[i] === undefined) delete process.env[name];
    else process.env[name] = before[i];
  }
  await hub?.stop();
  await rm(folder, { recursive: true, force: true });
});

const run = (args: readonly string[], interactive = false): Promise<number> => {
  const terminal: Terminal = { out: (text) => out.push(text), err: (text) => err.push(text), interactive };
  return data(args, terminal);
};

describe("bunsen data", () => {
  it("list names every dataset, as a table and as JSON", async () => {
    expect(await run(["list"])).toBe(0);
    for (const name of datasetNames()) expect(out.join("\n")).toContain(name);
    out = [];
    await run(["list", "--json"]);
    const rows = JSON.parse(out.join("\n")) as { name: string; rows: { train: { rows: number } } }[];
    expect(rows.map(({ name }) => name)).toEqual(datasetNames());
    expect(rows.find(({ name }) => name === "glue/mnli")!.rows.train.rows).toBe(392_702);
  });

  it("show says what a dataset is and prints rows as text", async () => {
    expect(await run(["show", "mini/rte", "--rows", "2", "--split", "test"])).toBe(0);
    const text = out.join("\n");
    expect(text).toContain("split     test, 200 rows");
    expect(text).toContain("0 entailment, 1 not_entailment");
    expect(text.match(/^\d+ {2}rte sentence1: /gm)).toHaveLength(2);
    out = [];
    await run(["show", "mini/rte", "--json", "--no-prefix", "--shots", "4", "--rows", "9"]);
    const shown = JSON.parse(out.join("\n")) as { rows: number; shown: { examples: { input: string }[] }[] };
    expect(shown.rows).toBe(4);
    expect(shown.shown).toHaveLength(4);
    expect(shown.shown[0]!.examples[0]!.input).toMatch(/^sentence1: /);
  });

  it("path says where things lie", async () => {
    expect(await run(["path"])).toBe(0);
    expect(out.join("\n")).toContain(join(folder, "hf/hub"));
    expect(out.join("\n")).toContain("not there yet");
  });

  it("names a mistake: no action, an unknown one, a name that is none", async () => {
    await expect(run([])).rejects.toThrow(/what to do is missing; expected list, get, show, verify or path/);
    await expect(run(["lits"])).rejects.toThrow(/unknown action "lits"/);
    await expect(run(["get"])).rejects.toThrow(/needs a name or a group/);
    await expect(run(["get", "glue/rt"])).rejects.toThrow(/Did you mean "glue\/rte"/);
    await expect(run(["show", "mini/rte", "--split", "dev"])).rejects.toThrow(
      /--split expected train, validation, test, got "dev"/,
    );
    await expect(run(["show", "mini/rte", "--rows", "few"])).rejects.toThrow(
      /--rows expected a whole number, got "few"/,
    );
  });
});

describe.skipIf(!hasShared)("bunsen data with a hub", () => {
  beforeEach(() => {
    hub = startHub({ kind: "api", folder: shared("hub") });
    process.env.BUNSEN_HUB = hub.url;
  });

  it("get fetches, verify checks every byte, path finds", async () => {
    expect(await run(["get", "glue/rte", "glue/cola"], true)).toBe(0);
    expect(out.sort()).toEqual([
      "glue/cola test: 522 rows (c0ffee000000)",
      "glue/cola train: 8,551 rows (c0ffee000000)",
      "glue/cola validation: 521 rows (c0ffee000000)",
      "glue/rte test: 139 rows (c0ffee000000)",
      "glue/rte train: 2,490 rows (c0ffee000000)",
      "glue/rte validation: 138 rows (c0ffee000000)",
    ]);
    out = [];
    expect(await run(["path", "glue/rte"])).toBe(0);
    expect(out).toHaveLength(2);
    const file = out[0]!;
    out = [];
    expect(await run(["verify"])).toBe(0);
    expect(out.at(-1)).toContain("4 whole, 0 absent, 0 changed");
    const bytes = await readFile(file);
    bytes[1000]! ^= 1;
    await writeFile(file, bytes);
    out = [];
    expect(await run(["verify"])).toBe(1);
    expect(out.at(-1)).toContain("3 whole, 0 absent, 1 changed");
    expect(err.join("\n")).toContain(`Delete ${file}`);
  });

  it("get goes on with the others where one fails, and says so in the end", async () => {
    expect(await run(["get", "glue/rte", "glue/mnli", "--split", "validation"])).toBe(1);
    expect(out).toEqual(["glue/rte validation: 138 rows (c0ffee000000)"]);
    expect(err.join("\n")).toMatch(
      /glue\/mnli validation: nyu-mll\/glue has no file "mnli\/validation_mismatched-00000-of-00001\.parquet"/,
    );
    expect(err.at(-1)).toBe("1 of 2 could not be had.");
  });
});

describe("the progress line", () => {
  it("has the share, the rate and the time left", () => {
    const line = barLine({ file: "f", received: 25e6, total: 100e6, bytesPerSecond: 5e6, secondsLeft: 15 });
    expect(line).toBe(`f ${"█".repeat(6)}${"░".repeat(18)} 25 %  25.0 MB at 5.0 MB/s  15 s left`);
    expect(barLine({ file: "f", received: 1e6, total: null, bytesPerSecond: 0, secondsLeft: null })).toBe(
      "f  1.0 MB at 0.0 MB/s",
    );
  });
});
