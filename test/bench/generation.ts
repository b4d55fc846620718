#!/usr/bin/env bun
// Greedy generation beside transformers' generate(use_cache=True): one random T5 on both sides, equal threads, rounds
// taken in turn, the ids compared. On a machine with other work, compare the processor time beside the wall time.
// `bun test/bench/generation.ts [--shape t5-base] [--batch 16] [--input 256] [--new 20] [--engine cpu] [--rounds 3]
// [--threads 2]`. The peer's Python is that of test/conformance/peft.ts: `.venv-conformance-peft`, or the one that
// BUNSEN_CONFORMANCE_PYTHON names.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { createGenerator, parseT5Config, randomT5, saveT5 } from "#toolkit/models/t5/index.ts";
import { hostRandom } from "#toolkit/nn/index.ts";
import { parseEngineChoice, useEngine } from "#toolkit/tensor/index.ts";
import { writeSafetensors } from "#toolkit/weights/index.ts";
import { middle } from "./figures.ts";

const shapes: Readonly<Record<string, object>> = {
  tiny: { d_model: 64, d_kv: 16, d_ff: 128, num_layers: 2, num_heads: 4, vocab_size: 1000 },
  "t5-small": { d_model: 512, d_kv: 64, d_ff: 2048, num_layers: 6, num_heads: 8 },
  "t5-base": { d_model: 768, d_kv: 64, d_ff: 3072, num_layers: 12, num_heads: 12 },
};
const { values: flags } = parseArgs({
  options: {
    shape: { type: "string", default: "t5-base" },
    batch: { type: "string", default: "16" },
    input: { type: "string", default: "256" },
    new: { type: "string", default: "20" },
    engine: { type: "string", default: "cpu" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(cpus().length) },
  },
});
const shape = shapes[flags.shape];
if (!shape) throw new Error(`--shape must be one of ${Object.keys(shapes).join(", ")}, not ${flags.shape}`);
const [batchSize, inputLength, maxNewTokens, rounds] = [flags.batch, flags.input, flags.new, flags.rounds].map(
  Number,
) as [number, number, number, number];
const python =
  process.env.BUNSEN_CONFORMANCE_PYTHON ?? resolve(import.meta.dirname, "../../.venv-conformance-peft/bin/python");
if (!existsSync(python))
  throw new Error(`no ${python}; run bun test/conformance/peft.ts first, or set BUNSEN_CONFORMANCE_PYTHON`);

const folder = mkdtempSync(join(tmpdir(), "bunsen-generation-"));
const engine = await useEngine(parseEngineChoice(flags.engine));
const model = randomT5(parseT5Config({ model_type: "t5", ...shape }), { seed: 5 });
await saveT5(model, folder);
const random = hostRandom(1);
const size = batchSize * inputLength;
const inputIds = Int32Array.from({ length: size }, () => 3 + random.integer(model.config.vocabSize - 3));
const attentionMask = new Int32Array(size).fill(1);
writeSafetensors(join(folder, "inputs.safetensors"), {
  input_ids: { shape: [batchSize, inputLength], values: inputIds, dtype: "I64" },
  attention_mask: { shape: [batchSize, inputLength], values: attentionMask, dtype: "I64" },
});

// XLA takes as many threads as the process may use processors: for one thread run this under `taskset -c 0`.
const threads = Number(flags.threads);
const peer = Bun.spawn(
  [python, join(import.meta.dirname, "generation.py"), folder, String(threads), String(maxNewTokens)],
  {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  },
);
const reader = peer.stdout.getReader();
let buffered = "";
async function peerLine(): Promise<Record<string, unknown>> {
  while (!buffered.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the peer ended early");
    buffered += new TextDecoder().decode(value);
  }
  const end = buffered.indexOf("\n");
  const line = buffered.slice(0, end);
  buffered = buffered.slice(end + 1);
  return JSON.parse(line);
}
await peerLine();

const generator = createGenerator(model, { maxNewTokens });
const ours: number[] = [];
const theirs: number[] = [];
const cpuSeconds = { ours: [] as number[], transformers: [] as number[] };
let equal = 0;
// Round 0 compiles here and warms up there; it is not counted.
for (let round = 0; round <= rounds; round++) {
  const start = performance.now();
  const cpuBefore = process.cpuUsage();
  const rows = await generator.generate({ inputIds, attentionMask, batchSize, inputLength }, {});
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  peer.stdin.write("\n");
  peer.stdin.flush();
  const line = (await peerLine()) as { seconds: number; cpu: number; ids: number[][] };
  equal = rows.filter((row, i) => row.join() === line.ids[i]!.slice(0, row.length).join()).length;
  if (round === 0) continue;
  ours.push(seconds);
  theirs.push(line.seconds);
  cpuSeconds.ours.push((cpu.user + cpu.system) / 1e6);
  cpuSeconds.transformers.push(line.cpu);
}
peer.stdin.end();
await peer.exited;
generator.dispose();
rmSync(folder, { recursive: true });
const result = {
  shape: flags.shape,
  batchSize,
  inputLength,
  maxNewTokens,
  engine: engine.name,
  threads,
  ours: ours.map((x) => Number(x.toFixed(3))),
  transformers: theirs.map((x) => Number(x.toFixed(3))),
  ratio: Number((middle(theirs) / middle(ours)).toFixed(2)),
  cpuRatio: Number((middle(cpuSeconds.transformers) / middle(cpuSeconds.ours)).toFixed(2)),
  cpuSeconds: { ours: middle(cpuSeconds.ours), transformers: middle(cpuSeconds.transformers) },
  rowsWithEqualIds: `${equal} of ${batchSize}`,
};
console.log(JSON.stringify(result));
