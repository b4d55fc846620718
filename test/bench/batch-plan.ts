#!/usr/bin/env bun
// What training's plan of batches does on the six real GLUE sets and on mixtures of them: padding, passes of a step and
// compiled shapes, with lengths exact and merged. With --steps N also the time of N steps of each on the engine, in turn, on
// a random T5 (the first steps compile; they are told apart).
//
//   bun test/bench/batch-plan.ts [--batch 32] [--engine cpu] [--shape toy|small] [--prompt 100] [--steps 0]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Batch } from "#toolkit/batches/contract.ts";
import {
  createMixture,
  type EncodedDataset,
  encodeDataset,
  loadDataset,
  type Mixture,
  type MixtureOptions,
  readEnvironment,
} from "#toolkit/batches/index.ts";
import { findMethod } from "#toolkit/methods/methods.ts";
import { randomT5, type T5Model, t5v10 } from "#toolkit/models/t5/index.ts";
import { adamw } from "#toolkit/nn/index.ts";
import { disposeTree, keepTree, parseEngineChoice, random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { loadTokenizer } from "#toolkit/tokenizers/index.ts";
import { passSeconds } from "#toolkit/training/estimate.ts";
import { cutParts, paddingOf, splitParts } from "#toolkit/training/parts.ts";
import { createStep, runStep } from "#toolkit/training/step.ts";
import { hasShared, shared } from "../toolkit/shared-data.ts";

const { values } = parseArgs({
  options: {
    batch: { type: "string", default: "32" },
    engine: { type: "string", default: "cpu" },
    shape: { type: "string", default: "small" },
    prompt: { type: "string", default: "100" },
    steps: { type: "string", default: "0" },
  },
});
const [batchSize, promptLength, timed] = [values.batch, values.prompt, values.steps].map(Number) as [
  number,
  number,
  number,
];
const engine = parseEngineChoice(values.engine) as "cpu" | "cuda" | "wasm";
const size = values.shape === "toy" ? { hidden: 64, layers: 2 } : { hidden: 512, layers: 6 };
const config = {
  hiddenSize: size.hidden,
  feedForwardSize: 4 * size.hidden,
  headSize: size.hidden / 8,
  numHeads: 8,
  numEncoderLayers: size.layers,
  numDecoderLayers: size.layers,
  vocabSize: 32128,
  ...t5v10,
  dropoutRate: 0,
} as const;
const files = {
  cola: "train",
  rte: "train",
  sst2: "train",
  stsb: "train",
  mrpc: "train",
  qnli: "validation", // the split at hand
};

if (!hasShared) throw new Error("This bench needs the real GLUE sets: set BUNSEN_SHARED to the shared data folder.");
const folder = await mkdtemp(join(tmpdir(), "bunsen-plan-"));
try {
  const environment = readEnvironment({ ...process.env, BUNSEN_CACHE: folder, HF_HOME: folder });
  const tokenizer = await loadTokenizer(shared("tokenizers/t5.tokenizer.json"));
  const sets: EncodedDataset[] = [];
  for (const [name, split] of Object.entries(files)) {
    const from = shared(`hub/datasets/nyu-mll/glue/${name}/${split}-00000-of-00001.parquet`);
    const table = await loadDataset(`glue/${name}`, { from, environment });
    sets.push(await encodeDataset(table, tokenizer, { environment, maxInputLength: 256 }));
  }
  const cost = (rows: number, inputLength: number, labelLength: number): number =>
    passSeconds(
      { config } as unknown as T5Model,
      { batchSize: rows, encoderLength: promptLength + inputLength, decoderLength: labelLength, teacherPasses: 0 },
      engine,
    );
  const compiles = engine !== "wasm";
  const cuts: Record<string, (parts: readonly Batch[]) => Batch[]> = {
    exact: (parts) => splitParts(parts, { maxRows: batchSize, halves: compiles }),
    merged: (parts) => cutParts(parts, { maxRows: batchSize, rowStep: compiles ? Math.ceil(batchSize / 4) : 1, cost }),
  };
  const common: MixtureOptions = { batchSize, seed: 42, paddingGoal: 0.09 };
  const one = (encoded: EncodedDataset): Mixture => createMixture([{ encoded }], common);
  const all = (more: Partial<MixtureOptions>): Mixture =>
    createMixture(
      sets.map((encoded) => ({ encoded })),
      { ...common, ...more },
    );
  const plans: [string, Mixture][] = [
    ...sets.map((encoded): [string, Mixture] => [encoded.name, one(encoded)]),
    ["all six, proportional", all({})],
    ["all six, equal", all({ sampling: { kind: "equal" } })],
    ["all six, 2 to 6 slots", all({ stochasticTasks: {} })],
  ];
  console.log(`batch ${batchSize}, prompt ${promptLength}, merged by the costs of t5-${values.shape} on ${engine}\n`);
  console.log("| rows | lengths (of a task at most) | cut | padding % | passes a step | shapes in 400 steps |");
  console.log("|---|---|---|---|---|---|");
  for (const [name, mixture] of plans) {
    const lengths = `${new Set(mixture.lengths.flat()).size} (${Math.max(...mixture.lengths.map((own) => own.length))})`;
    for (const [cut, passesOf] of Object.entries(cuts)) {
      const passes = Array.from({ length: 400 }, (_, step) => passesOf(mixture.at(step).parts));
      const shapes = new Set(passes.flat().map((pass) => `${pass.batchSize} ${pass.inputLength} ${pass.labelLength}`));
      const padding = (100 * paddingOf(passes.flat())).toFixed(1);
      console.log(
        `| ${name} | ${lengths} | ${cut} | ${padding} | ${(passes.flat().length / 400).toFixed(2)} | ${shapes.size} |`,
      );
    }
  }
  if (timed > 0) await times(all({ stochasticTasks: {} }), cuts);
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exit(0);

/** The same steps twice: first with every shape new, then compiled. */
async function times(mixture: Mixture, ways: Record<string, (parts: readonly Batch[]) => Batch[]>): Promise<void> {
  await useEngine(engine);
  const model = randomT5(config, { seed: 1, tied: true });
  const method = findMethod("mpt");
  const options = { ...method.defaults, numVirtualTokens: promptLength };
  const optimizer = adamw({ weightDecay: 1e-5 });
  const groups = Object.keys(method.learningRates);
  const names = Object.keys(files);
  console.log("\n| cut | passes | s a step, shapes new | s a step, compiled |\n|---|---|---|---|");
  for (const [cut, passesOf] of Object.entries(ways)) {
    const step = createStep({ model, method, options, frozen: {}, optimizer, clipNorm: 1, groups, precision: "f32" });
    const parameters = tf.tidy(() =>
      keepTree({
        ...method.init(options, { backbone: model.backbone, numTasks: names.length, seed: 1, tasks: names }),
      }),
    );
    let state = { parameters, optimizer: tf.tidy(() => keepTree(optimizer.init(parameters))) };
    const seconds: number[] = [];
    let passed = 0;
    for (const _round of ["new", "compiled"]) {
      const began = performance.now();
      for (let at = 0; at < timed; at++) {
        const passes = passesOf(mixture.at(at).parts);
        passed += passes.length;
        const rates = tf.tensor1d(groups.map(() => 1e-3));
        const out = await runStep(step, state, passes, () => random.key(1), rates);
        await out.numbers.loss!.data();
        state = out.state as typeof state;
        disposeTree([rates, out.numbers as never]);
      }
      seconds.push((performance.now() - began) / 1000 / timed);
    }
    console.log(`| ${cut} | ${passed / 2 / timed} | ${seconds.map((each) => each.toFixed(3)).join(" | ")} |`);
    step.dispose();
  }
}
