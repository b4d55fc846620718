#!/usr/bin/env bun
// Examples a second on real SST-2 rows: an MPT step of T5-base shape (100 virtual tokens, f32, no dropout) beside PEFT's on
// one set of random weights. Ours goes the way of `train`: its plan of batches, its passes, its step, one AdamW update for
// each batch. PEFT takes the same rows three ways, batch by batch in turn with ours:
//   padded256   the same rows in the same order, padded to 256 input tokens;
//   longest     the same rows in the same order, padded to the batch's longest. The plan has put rows of like length
//               together, so this PEFT has its profit too;
//   shuffled    the same rows dealt out at random, padded to the batch's longest: what a data loader gives that does not
//               look at lengths.
// Labels are the template's, and padded alike on both sides. Compiling is told apart. The loss of the first batch is
// compared before anything is measured: both sides do the same work, or the bench fails. Not a measure of quality.
//
//   bun test/bench/examples.ts [--shape t5-base] [--batch 16] [--batches 4] [--from 0] [--prompt 100] [--lengths exact]
//       [--engine cpu] [--threads N]
//
// `--from` is the plan's first step that is measured. The peer's Python is that of test/conformance/peft.ts:
// `.venv-conformance-peft`, or the one that BUNSEN_CONFORMANCE_PYTHON names. A line of words goes to standard error, the
// line of JSON to standard output.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { findDataset } from "#datasets/index.ts";
import type { Batch } from "#toolkit/batches/contract.ts";
import { encodeDataset, lengthsFrom, loadDataset, readEnvironment } from "#toolkit/batches/index.ts";
import { saveAdapter } from "#toolkit/methods/adapter-files.ts";
import { resolveMethod } from "#toolkit/methods/methods.ts";
import { parseT5Config, randomT5, saveT5 } from "#toolkit/models/t5/index.ts";
import { adamw, hostRandom } from "#toolkit/nn/index.ts";
import { disposeTree, keepTree, parseEngineChoice, random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { loadTokenizer } from "#toolkit/tokenizers/index.ts";
import { resolveRun } from "#toolkit/training/check.ts";
import { mixtureOf } from "#toolkit/training/data.ts";
import { passSeconds } from "#toolkit/training/estimate.ts";
import { cutParts, paddingOf, splitParts } from "#toolkit/training/parts.ts";
import { createStep, runStep, type TrainState } from "#toolkit/training/step.ts";
import { writeJson } from "#toolkit/weights/index.ts";
import { hasShared, shared } from "../toolkit/shared-data.ts";
import { startPeer } from "./line-peer.ts";

const shapes: Readonly<Record<string, object>> = {
  // The tokenizer's vocabulary on a small body: to try this script, not to measure.
  toy: { d_model: 64, d_kv: 16, d_ff: 128, num_layers: 2, num_heads: 4 },
  "t5-small": { d_model: 512, d_kv: 64, d_ff: 2048, num_layers: 6, num_heads: 8 },
  "t5-base": { d_model: 768, d_kv: 64, d_ff: 3072, num_layers: 12, num_heads: 12 },
};
const modes = ["padded256", "longest", "shuffled"] as const;
/** What is wanted: at least so many times PEFT's examples a second. */
const goals: Readonly<Record<(typeof modes)[number], number | null>> = { padded256: 3, longest: 1.3, shuffled: null };
const rate = 1e-3;

const { values: flags } = parseArgs({
  options: {
    shape: { type: "string", default: "t5-base" },
    batch: { type: "string", default: "16" },
    batches: { type: "string", default: "4" },
    from: { type: "string", default: "0" },
    prompt: { type: "string", default: "100" },
    lengths: { type: "string", default: "exact" },
    engine: { type: "string", default: "cpu" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const shape = shapes[flags.shape];
if (!shape) throw new RangeError(`--shape: expected one of ${Object.keys(shapes).join(", ")}, got ${flags.shape}`);
if (flags.lengths !== "exact" && flags.lengths !== "merged")
  throw new RangeError(`--lengths: expected exact or merged, got ${flags.lengths}`);
const whole = (name: "batch" | "batches" | "from" | "prompt" | "threads", least: number): number => {
  const value = Number(flags[name]);
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`--${name}: expected a whole number of at least ${least}, got ${flags[name]}`);
  return value;
};
const [batchSize, count, fromStep, promptLength, threads] = [
  whole("batch", 1),
  whole("batches", 1),
  whole("from", 0),
  whole("prompt", 1),
  whole("threads", 1),
];
if (!hasShared) throw new Error("This bench needs the real SST-2: set BUNSEN_SHARED to the shared data folder.");
const python =
  process.env.BUNSEN_CONFORMANCE_PYTHON ?? resolve(import.meta.dirname, "../../.venv-conformance-peft/bin/python");
if (!existsSync(python))
  throw new Error(`no ${python}; run bun test/conformance/peft.ts first, or set BUNSEN_CONFORMANCE_PYTHON`);

const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits));
const middle = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
};
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

interface Measured {
  /** Wall clock. */
  readonly seconds: number;
  /** Of all threads: on a busy machine only this says what the work costs. */
  readonly cpu: number;
}

const folder = await mkdtemp(join(tmpdir(), "bunsen-examples-"));
const began = performance.now();
try {
  const result = await measure();
  const said = modes.map((mode) => {
    const { ratio, ratioOfTotals, examplesPerSecond } = result.peft[mode]!;
    const goal = goals[mode];
    return `${mode} ${examplesPerSecond}/s, ratio ${ratio} (totals ${ratioOfTotals}${goal === null ? "" : `, wanted ${goal}`})`;
  });
  console.error(
    `${flags.shape}, batch ${batchSize}, ${count} batches: ours ${result.ours.examplesPerSecond} examples/s; PEFT ${said.join("; ")}`,
  );
  console.log(JSON.stringify({ ...result, wholeRunSeconds: rounded((performance.now() - began) / 1000, 1) }));
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(0);

async function measure() {
  const engine = await useEngine(parseEngineChoice(flags.engine));
  const model = randomT5(parseT5Config({ model_type: "t5", ...shape, dropout_rate: 0 }), { seed: 5 });
  await saveT5(model, join(folder, "model"));

  // The rows and their batches, by the configuration's defaults.
  const run = resolveRun({
    run: join(folder, "run"),
    model: join(folder, "model"),
    tasks: ["glue/sst2"],
    method: "mpt",
    options: { numVirtualTokens: promptLength },
    steps: fromStep + count,
    batchSize,
    lengths: flags.lengths as "exact" | "merged",
    dropout: 0,
  });
  const environment = readEnvironment({ ...process.env, BUNSEN_CACHE: folder, HF_HOME: folder });
  const tokenizer = await loadTokenizer(shared("tokenizers/t5.tokenizer.json"));
  const parquet = shared("hub/datasets/nyu-mll/glue/sst2/train-00000-of-00001.parquet");
  const table = await loadDataset("glue/sst2", { from: parquet, environment });
  const encoded = await encodeDataset(table, tokenizer, { environment });
  const mixture = mixtureOf(run, [{ dataset: findDataset("glue/sst2"), splits: new Map([["train", encoded]]) }]);
  const compiles = engine.name !== "wasm";
  const cost = (rows: number, inputLength: number, labelLength: number): number =>
    passSeconds(
      model,
      { batchSize: rows, encoderLength: promptLength + inputLength, decoderLength: labelLength, teacherPasses: 0 },
      engine.name,
    );
  const passesAt = (step: number): Batch[] => {
    const { parts } = mixture.at(step);
    return run.lengths === "exact"
      ? splitParts(parts, { maxRows: batchSize, halves: compiles })
      : cutParts(parts, { maxRows: batchSize, rowStep: compiles ? Math.ceil(batchSize / 4) : 1, cost });
  };
  const steps = Array.from({ length: count }, (_, index) => fromStep + index);
  const plan = steps.map(passesAt);
  const order = plan.map((passes) => passes.flatMap((pass) => [...pass.rows]));
  const labelLength = Math.max(...plan.flat().map((pass) => pass.labelLength));

  // MPT as the method begins it, on both sides.
  const { method, options, problems } = resolveMethod("mpt", run.options, model.backbone);
  if (problems.length > 0) throw new Error(problems.join("; "));
  const parameters = tf.tidy(() =>
    keepTree({
      ...method.init(options, { backbone: model.backbone, numTasks: 1, seed: run.seed, tasks: ["glue/sst2"] }),
    }),
  );
  await saveAdapter(join(folder, "adapter"), method, options, parameters, { backbone: model.backbone });
  const groups = Object.keys(method.learningRates);
  const optimizer = adamw({ weightDecay: run.weightDecay });
  const step = createStep({
    model,
    method,
    options,
    frozen: {},
    optimizer,
    clipNorm: run.clipNorm,
    groups,
    precision: "f32",
  });
  const key = random.key(run.seed);
  const rates = tf.tensor1d(groups.map(() => rate));
  let state: TrainState = { parameters, optimizer: tf.tidy(() => keepTree(optimizer.init(parameters))) };

  /** One update by the rows of a step, from choosing them to the loss on the host. */
  async function once(at: number): Promise<Measured & { loss: number }> {
    const start = performance.now();
    const cpuBefore = process.cpuUsage();
    const out = await runStep(step, state, passesAt(at), (part) => tf.tidy(() => random.foldIn(key, part)), rates);
    state = out.state;
    const loss = (await out.numbers.loss!.data())[0]!;
    const { user, system } = process.cpuUsage(cpuBefore);
    disposeTree(out.numbers as never);
    return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, loss };
  }

  const rowsOf = (offsets: Int32Array, tokens: Int32Array, row: number): number[] => [
    ...tokens.subarray(offsets[row]!, offsets[row + 1]!),
  ];
  const dealt = shuffle(order.flat());
  const rows = (chosen: readonly number[]): { input: number[]; target: number[] }[] =>
    chosen.map((row) => ({
      input: rowsOf(encoded.inputOffsets, encoded.inputTokens, row),
      target: rowsOf(encoded.targetOffsets, encoded.targetTokens, row),
    }));
  const jobs = order.flatMap((chosen, index) => {
    const others = dealt.slice(index * batchSize, (index + 1) * batchSize);
    return [
      { mode: "padded256", length: 256, rows: rows(chosen) },
      { mode: "longest", length: null, rows: rows(chosen) },
      { mode: "shuffled", length: null, rows: rows(others) },
    ];
  });
  writeJson(join(folder, "jobs.json"), { jobs, labelLength, rate, weightDecay: run.weightDecay });

  const peer = startPeer([python, join(import.meta.dirname, "examples.py"), folder, String(threads)]);
  try {
    const ready = await peer.read();
    // Each new shape compiles once, outside what is measured.
    const warmed = performance.now();
    const seen = new Set<string>();
    let first: number | undefined;
    for (const [index, passes] of plan.entries()) {
      const kinds = passes.map((pass) =>
        [passes.length === 1 ? "whole" : "part", pass.batchSize, pass.inputLength, pass.labelLength].join(" "),
      );
      if (kinds.every((kind) => seen.has(kind))) continue;
      for (const kind of kinds) seen.add(kind);
      const { loss } = await once(steps[index]!);
      first ??= loss;
    }
    const warmSeconds = (performance.now() - warmed) / 1000;
    const peerLoss = Number(ready.loss);
    const apart = Math.abs(first! - peerLoss) / Math.abs(peerLoss);
    if (!(apart < 1e-3))
      throw new Error(
        `the first batch's loss is ${first} here and ${peerLoss} in PEFT: expected one and the same work`,
      );

    const ours: Measured[] = [];
    const theirs: Record<string, Measured[]> = Object.fromEntries(modes.map((mode) => [mode, []]));
    for (const at of steps) {
      ours.push(await once(at));
      for (const mode of modes) {
        const line = (await peer.round()) as unknown as Measured & { mode: string };
        if (line.mode !== mode) throw new Error(`the peer measured ${line.mode}; expected ${mode}`);
        theirs[mode]!.push(line);
      }
    }

    const compiled = Object.values(step.stats);
    const lengths = lengthsFrom(encoded.inputOffsets);
    const perSecond = (measured: readonly Measured[]): number =>
      rounded(batchSize / middle(measured.map(({ seconds }) => seconds)));
    const side = (measured: readonly Measured[]) => ({
      examplesPerSecond: perSecond(measured),
      examplesPerSecondOfTotals: rounded((batchSize * count) / sum(measured.map(({ seconds }) => seconds))),
      seconds: measured.map(({ seconds }) => rounded(seconds)),
      cpuSeconds: measured.map(({ cpu }) => rounded(cpu)),
    });
    /** Where both sides have the same rows in a batch, the median of the pairs; else of each side's median. */
    const ratioOf = (mode: string, what: keyof Measured): number => {
      const other = theirs[mode]!.map((one) => one[what]);
      const own = ours.map((one) => one[what]);
      return mode === "shuffled"
        ? middle(other) / middle(own)
        : middle(other.map((value, index) => value / own[index]!));
    };
    const totals = (mode: string, what: keyof Measured): number =>
      sum(theirs[mode]!.map((one) => one[what])) / sum(ours.map((one) => one[what]));
    return {
      bench: "examples",
      engine: engine.name,
      device: engine.device,
      threads,
      load: rounded(loadavg()[0]!),
      torch: ready.torch,
      transformers: ready.transformers,
      peftVersion: ready.peft,
      shape: flags.shape,
      batchSize,
      batches: count,
      fromStep,
      promptLength,
      labelLength,
      lengths: run.lengths,
      meanTokens: {
        measured: rounded(sum(order.flat().map((row) => lengths[row]!)) / (batchSize * count), 1),
        split: rounded(sum([...lengths]) / lengths.length, 1),
      },
      padding: rounded(paddingOf(plan.flat()), 3),
      longestOfBatch: {
        longest: order.map((chosen) => Math.max(...chosen.map((row) => lengths[row]!))),
        shuffled: order.map((_, index) =>
          Math.max(...dealt.slice(index * batchSize, (index + 1) * batchSize).map((row) => lengths[row]!)),
        ),
      },
      passes: plan.map((passes) => passes.map((pass) => `${pass.batchSize}x${pass.inputLength}`).join("+")),
      compile: {
        shapes: seen.size,
        executables: sum(compiled.map(({ executables }) => executables)),
        traceSeconds: rounded(sum(compiled.map(({ traceMs }) => traceMs)) / 1000),
        compileSeconds: rounded(sum(compiled.map(({ compileMs }) => compileMs)) / 1000),
        // First calls: tracing, compiling and one step of each shape.
        warmSeconds: rounded(warmSeconds, 1),
      },
      firstLoss: { ours: first, peft: peerLoss },
      ours: side(ours),
      peft: Object.fromEntries(
        modes.map((mode) => [
          mode,
          {
            ...side(theirs[mode]!),
            ratio: rounded(ratioOf(mode, "seconds")),
            ratioOfTotals: rounded(totals(mode, "seconds")),
            cpuRatio: rounded(ratioOf(mode, "cpu")),
            cpuRatioOfTotals: rounded(totals(mode, "cpu")),
          },
        ]),
      ),
    };
  } finally {
    await peer.end();
    step.dispose();
  }
}

/** In an order that a seed fixes. */
function shuffle(values: readonly number[]): number[] {
  const out = [...values];
  const host = hostRandom(11);
  for (let last = out.length - 1; last > 0; last--) {
    const other = host.integer(last + 1);
    [out[last], out[other]] = [out[other]!, out[last]!];
  }
  return out;
}
