#!/usr/bin/env bun
// Load, tokenise and batch rates for SST-2 (67,349 sentences), beside Hugging Face datasets and tokenizers in Python on
// the same files in the same run: `bun test/bench/data.ts [--json]`. Each side runs alone, in a process of its own. Below the
// table: how tokenising scales from one thread to as many as there are cores.
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createMixture, encodeDataset, loadDataset, readEnvironment } from "#toolkit/batches/index.ts";
import { encodeInWorkers } from "#toolkit/batches/tokenizer-pool.ts";
import { loadTokenizer } from "#toolkit/tokenizers/index.ts";
import { hasShared, shared } from "../toolkit/shared-data.ts";
import { dataPython, run } from "./data-python.ts";

/** Wall seconds, processor seconds of all threads: on a busy machine only the second says what the work costs. */
type Seconds = readonly [wall: number, processor: number];

interface Report {
  readonly rows: number;
  readonly load: Seconds;
  readonly encode_map: Seconds;
  readonly encode_only: Seconds;
  readonly batches: Seconds;
  /** Share. */
  readonly padding: number;
}

/** Sentences a second on so many threads, the calling one included. */
interface Scale {
  readonly threads: number;
  readonly rate: number;
}

const parquet = shared("hub/datasets/nyu-mll/glue/sst2/train-00000-of-00001.parquet");
const tokenizerJson = shared("tokenizers/t5.tokenizer.json");

async function timed<T>(work: () => T | Promise<T>): Promise<[T, Seconds]> {
  const began = performance.now();
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return [result, [(performance.now() - began) / 1000, (user + system) / 1e6]];
}

/** Thread counts up to the cores: 1, 2, 4 … and all of them. */
function threadCounts(): number[] {
  const cores = availableParallelism();
  const counts: number[] = [];
  for (let threads = 1; threads < cores; threads *= 2) counts.push(threads);
  return [...counts, cores];
}

/** Tokenising alone, in a child process: the sentences four times over, so that starting a worker weighs little. */
async function scaling(cache: string): Promise<void> {
  const environment = readEnvironment({ ...process.env, BUNSEN_CACHE: cache, HF_HOME: cache });
  const table = await loadDataset("glue/sst2", { from: parquet, environment });
  const texts = table.render().map(({ input }) => input);
  const all = [texts, texts, texts, texts].flat();
  const scale: Scale[] = [];
  for (const threads of threadCounts()) {
    const tokenizer = await loadTokenizer(tokenizerJson);
    const [, [wall]] = await timed(() =>
      encodeInWorkers(tokenizer, all.length, all, { maxLength: 256, workers: threads - 1 }),
    );
    scale.push({ threads, rate: Math.round(all.length / wall) });
  }
  console.log(JSON.stringify(scale));
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
    const scale = JSON.parse(
      run(process.execPath, [import.meta.path, "--side", join(folder, "bunsen"), "scale"]),
    ) as Scale[];
    type Side = typeof bunsen;
    const rate = ({ cold }: Side, seconds: number): number => Math.round(cold.rows / seconds);
    const lines: readonly [string, (side: Side, clock: 0 | 1) => number][] = [
      ["first load (parquet → Arrow cache), rows/s", (side, clock) => rate(side, side.cold.load[clock])],
      ["second load, ms", (side, clock) => Number((side.warm.load[clock] * 1000).toFixed(1))],
      ["render + tokenise + store, sentences/s", (side, clock) => rate(side, side.cold.encode_map[clock])],
      ["tokenise alone, sentences/s", (side, clock) => rate(side, side.cold.encode_only[clock])],
      ["batches of 32 over an epoch, rows/s", (side, clock) => rate(side, side.cold.batches[clock])],
      ["padding in them, %", (side) => Number((side.cold.padding * 100).toFixed(1))],
    ];
    const result = lines.map(([what, of]) => ({
      what,
      bunsen: { wall: of(bunsen, 0), processor: of(bunsen, 1) },
      python: { wall: of(python1, 0), processor: of(python1, 1) },
    }));
    if (process.argv.includes("--json")) {
      console.log(JSON.stringify({ cores: availableParallelism(), load, rows: bunsen.cold.rows, result, scale }));
      return;
    }
    console.log(
      `SST-2 train, ${bunsen.cold.rows} rows, ${availableParallelism()} cores (load average before: ${load.toFixed(1)})\n`,
    );
    console.log("| | Bunsen | datasets + tokenizers | Bunsen, by processor time | Python, by processor time |");
    console.log("|---|---|---|---|---|");
    for (const { what, bunsen: a, python: b } of result) {
      const cells = [a.wall, b.wall, a.processor, b.processor].map((value) => value.toLocaleString("en"));
      console.log(`| ${what} | ${cells.join(" | ")} |`);
    }
    console.log("\n| threads | tokenise alone, sentences/s | times one thread's |\n|---|---|---|");
    for (const { threads, rate } of scale)
      console.log(`| ${threads} | ${rate.toLocaleString("en")} | ${(rate / scale[0]!.rate).toFixed(2)} |`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const [flag, cache, mode] = process.argv.slice(2);
await (flag !== "--side" ? main() : mode === "scale" ? scaling(cache!) : ours(cache!, mode!));
