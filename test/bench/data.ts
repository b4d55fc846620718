#!/usr/bin/env bun
// Load, tokenise and batch rates for SST-2 (67,349 sentences), beside Hugging Face datasets and tokenizers in Python on
// the same files in the same run: `bun test/bench/data.ts [--json]`. Each side runs alone, in a process of its own.
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createMixture, encodeDataset, loadDataset, readEnvironment } from "#toolkit/batches/index.ts";
import { loadTokenizer } from "#toolkit/tokenizers/index.ts";
import { hasShared, shared } from "../toolkit/shared-data.ts";
import { dataPython, run } from "./data-python.ts";

interface Report {
  readonly rows: number;
  /** Seconds. */
  readonly load: number;
  readonly encode_map: number;
  readonly encode_only: number;
  readonly batches: number;
  /** Share. */
  readonly padding: number;
}

const parquet = shared("hub/datasets/nyu-mll/glue/sst2/train-00000-of-00001.parquet");
const tokenizerJson = shared("tokenizers/t5.tokenizer.json");

async function timed<T>(work: () => T | Promise<T>): Promise<[T, number]> {
  const began = performance.now();
  const result = await work();
  return [result, (performance.now() - began) / 1000];
}

/** Our side, in a child process. The file is a split by itself, as on Python's side: no split rule in the way. */
async function ours(cache: string, mode: string): Promise<void> {
  const environment = readEnvironment({ ...process.env, BUNSEN_CACHE: cache, HF_HOME: cache });
  const [table, load] = await timed(() => loadDataset("glue/sst2", { from: parquet, environment }));
  const rows = table.numRows;
  if (mode === "warm") {
    console.log(JSON.stringify({ rows, load }));
    return;
  }
  const tokenizer = await loadTokenizer(tokenizerJson);
  const [encoded, encode_map] = await timed(() =>
    encodeDataset(table, tokenizer, { environment, maxInputLength: 256 }),
  );
  const fresh = await loadTokenizer(tokenizerJson);
  const texts = table.render().map(({ input }) => input);
  const [, encode_only] = await timed(() => fresh.encodeBatch(texts, { maxLength: 256 }));
  const [, batches] = await timed(async () => {
    const mixture = createMixture([{ encoded }], { batchSize: 32, seed: 42 });
    for await (const _ of mixture.batches({ toStep: mixture.stepsPerEpoch }));
  });
  const mixture = createMixture([{ encoded }], { batchSize: 32, seed: 42 });
  const padding = mixture.padding(0, mixture.stepsPerEpoch);
  console.log(JSON.stringify({ rows, load, encode_map, encode_only, batches, padding } satisfies Report));
}

async function main(): Promise<void> {
  if (!hasShared) throw new Error("This bench needs the real SST-2: set BUNSEN_SHARED to the shared data folder.");
  const folder = await mkdtemp(join(tmpdir(), "bunsen-bench-"));
  try {
    const python = dataPython();
    const script = join(import.meta.dirname, "data.py");
    const load = loadavg()[0]!;
    const side = (name: string): { cold: Report; warm: Pick<Report, "load"> } => {
      const call = (mode: string): string =>
        name === "python"
          ? run(python, [script, parquet, tokenizerJson, join(folder, name), mode])
          : run(process.execPath, [import.meta.path, "--side", join(folder, name), mode]);
      return { cold: JSON.parse(call("cold")) as Report, warm: JSON.parse(call("warm")) as Report };
    };
    const python1 = side("python");
    const bunsen = side("bunsen");
    const rate = ({ rows }: Report, seconds: number): number => Math.round(rows / seconds);
    const lines = [
      ["first load (parquet → Arrow cache), rows/s", (s: typeof bunsen) => rate(s.cold, s.cold.load)],
      ["second load, ms", (s: typeof bunsen) => Number((s.warm.load * 1000).toFixed(1))],
      ["render + tokenise + store, sentences/s", (s: typeof bunsen) => rate(s.cold, s.cold.encode_map)],
      ["tokenise alone, sentences/s", (s: typeof bunsen) => rate(s.cold, s.cold.encode_only)],
      ["batches of 32 over an epoch, rows/s", (s: typeof bunsen) => rate(s.cold, s.cold.batches)],
      ["padding in them, %", (s: typeof bunsen) => Number((s.cold.padding * 100).toFixed(1))],
    ] as const;
    const result = lines.map(([what, of]) => ({ what, bunsen: of(bunsen), python: of(python1) }));
    if (process.argv.includes("--json")) {
      console.log(JSON.stringify({ cores: availableParallelism(), load, rows: bunsen.cold.rows, result }));
      return;
    }
    console.log(
      `SST-2 train, ${bunsen.cold.rows} rows, ${availableParallelism()} cores (load average before: ${load.toFixed(1)})\n`,
    );
    console.log(`| | Bunsen | datasets + tokenizers |\n|---|---|---|`);
    for (const { what, bunsen: a, python: b } of result)
      console.log(`| ${what} | ${a.toLocaleString("en")} | ${b.toLocaleString("en")} |`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const [flag, cache, mode] = process.argv.slice(2);
await (flag === "--side" ? ours(cache!, mode!) : main());
