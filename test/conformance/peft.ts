#!/usr/bin/env bun
// Models, adapters, generation and optimisers against transformers, PEFT and torch themselves: `bun
// test/conformance/peft.ts [--engine wasm|cpu]`. Adapters written here are loaded by PEFT, adapters written by PEFT are
// loaded here, both with random tiny models made here. It builds a virtual environment of its own, several GB large
// because of torch (BUNSEN_CONFORMANCE_PYTHON names another Python that has the same packages); a missing reference is
// a failure, not a skip. Not part of the quick test suite.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { command as parity } from "#toolkit/commands/parity.ts";
import { type Parameters, resolveMethod, saveAdapter } from "#toolkit/methods/index.ts";
import { createGenerator, parseT5Config, randomT5, saveT5, type T5Model } from "#toolkit/models/t5/index.ts";
import {
  adafactor,
  adamw,
  clipByGlobalNorm,
  hostRandom,
  normalValues,
  type Optimizer,
  scheduleFactor,
  sgd,
} from "#toolkit/nn/index.ts";
import { parseEngineChoice, random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { openSafetensors, toTensor, writeSafetensors } from "#toolkit/weights/index.ts";

const root = resolve(import.meta.dirname, "../..");
const requirements = join(import.meta.dirname, "peft-requirements.txt");

function python(): string {
  if (process.env.BUNSEN_CONFORMANCE_PYTHON) return process.env.BUNSEN_CONFORMANCE_PYTHON;
  const venv = join(root, ".venv-conformance-peft");
  const binary = join(venv, "bin/python");
  const marker = join(venv, "installed.txt");
  const wanted = readFileSync(requirements, "utf8");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return binary;
  console.log("building .venv-conformance-peft (once; torch is several GB) …");
  if (!existsSync(binary)) run(["python3", "-m", "venv", venv]);
  run([binary, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
  writeFileSync(marker, wanted);
  return binary;
}

function run(command: readonly string[]): string {
  const result = Bun.spawnSync([...command], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PYTHONWARNINGS: "ignore" },
  });
  if (result.exitCode !== 0)
    throw new Error(
      `${command.slice(0, 4).join(" ")} … failed (exit ${result.exitCode}):\n${result.stderr.toString().slice(-3000)}`,
    );
  return result.stdout.toString();
}

const { values: flags } = parseArgs({ options: { engine: { type: "string", default: "wasm" } } });
const engine = parseEngineChoice(flags.engine);
await useEngine(engine);
const folder = mkdtempSync(join(tmpdir(), "bunsen-conformance-"));
let failures = 0;
let checks = 0;
function check(name: string, pass: boolean, detail = ""): void {
  checks++;
  if (!pass) failures++;
  if (!pass || detail !== "") console.log(`${pass ? "ok  " : "FAIL"} ${name}${detail ? `: ${detail}` : ""}`);
}

// Two random models, stacks of one depth each (transformers cannot cache a deeper decoder, PEFT cannot prefix one): v1.0 (relu, tied, scaled) and v1.1 (gated, a head of its own).
const shape = {
  model_type: "t5",
  vocab_size: 60,
  d_model: 32,
  d_kv: 8,
  num_heads: 4,
  d_ff: 40,
  relative_attention_num_buckets: 8,
  relative_attention_max_distance: 16,
};
const bases: Readonly<Record<string, T5Model>> = {
  v10: randomT5(parseT5Config({ ...shape, num_layers: 3, num_decoder_layers: 3 }), { seed: 11 }),
  v11: randomT5(
    parseT5Config({
      ...shape,
      num_layers: 4,
      num_decoder_layers: 4,
      feed_forward_proj: "gated-gelu",
      tie_word_embeddings: false,
    }),
    { seed: 12, tied: false },
  ),
};
for (const [name, model] of Object.entries(bases)) await saveT5(model, join(folder, name));

const [rows, inputLength, labelLength] = [4, 9, 5];
const generator = hostRandom(99);
const ids = Int32Array.from({ length: rows * inputLength }, () => 3 + generator.integer(57));
const mask = new Int32Array(rows * inputLength).fill(1);
for (const [row, kept] of [9, 6, 8, 3].entries())
  for (let t = kept; t < inputLength; t++) [ids[row * inputLength + t], mask[row * inputLength + t]] = [0, 0];
const labels = Int32Array.from({ length: rows * labelLength }, () => 3 + generator.integer(57));
for (let row = 0; row < rows; row++) labels[row * labelLength + labelLength - 1 - (row % 2)] = 1;
for (const at of [4, 14]) if (at % labelLength === labelLength - 1 && at > 5) labels[at] = -100;
const taskIds = Int32Array.of(0, 2, 1, 2);
writeSafetensors(join(folder, "inputs.safetensors"), {
  input_ids: { shape: [rows, inputLength], values: ids, dtype: "I64" },
  attention_mask: { shape: [rows, inputLength], values: mask, dtype: "I64" },
  labels: { shape: [rows, labelLength], values: labels, dtype: "I64" },
  task_ids: { shape: [rows], values: taskIds, dtype: "I64" },
});

const jobs: Record<string, unknown>[] = Object.keys(bases).map((base) => ({ kind: "base", name: base, base }));

// Adapters that Bunsen writes and PEFT loads.
const written: readonly (readonly [string, Record<string, unknown>, number])[] = [
  ["mpt", { numVirtualTokens: 5 }, 3],
  ["mpt", { numVirtualTokens: 4, numRanks: 3, taskInit: "uniform" }, 3],
  ["mpt", { numVirtualTokens: 4, numTransformerSubmodules: 2 }, 3],
  ["mpt", { numVirtualTokens: 4, decomposition: false }, 3],
  ["prompt-tuning", { numVirtualTokens: 6 }, 1],
  ["p-tuning", { numVirtualTokens: 5, hiddenSize: 12 }, 1],
  ["p-tuning", { numVirtualTokens: 5, hiddenSize: 12, encoder: "lstm" }, 1],
  ["prefix-tuning", { numVirtualTokens: 3 }, 1],
  ["prefix-tuning", { numVirtualTokens: 3, projection: true, projectionSize: 10 }, 1],
  ["lora", { rank: 3, alpha: 6 }, 1],
  ["lora", { rank: 2, alpha: 4, targetModules: ["q", "k", "v", "o", "wo"] }, 1],
];
for (const [base, model] of Object.entries(bases))
  for (const [index, [name, overrides, numTasks]] of written.entries()) {
    const { method, options, problems } = resolveMethod(name, overrides, model.backbone);
    if (problems.length > 0) throw new Error(problems.join("; "));
    const tasks = ["a", "b", "c"].slice(0, numTasks);
    const fresh = method.init(options, { backbone: model.backbone, numTasks, tasks, seed: index + 1 });
    const parameters: Parameters = Object.fromEntries(
      Object.entries(fresh).map(([key, tensor], i) => [
        key,
        tf.add(tensor, random.normal(random.key(i), tensor.shape, 0, 0.05)),
      ]),
    );
    const job = `${base}-written-${index}-${name}`;
    await saveAdapter(join(folder, job), method, options, parameters, {
      backbone: model.backbone,
      baseModel: join(folder, base),
    });
    const decomposed = name === "mpt" && overrides.decomposition !== false;
    jobs.push({
      kind: "load",
      name: job,
      base,
      tasks: decomposed,
      generates: overrides.numTransformerSubmodules !== 2,
    });
  }

// Adapters that PEFT makes and Bunsen loads.
const made: readonly (readonly [Record<string, unknown>, boolean, number])[] = [
  [
    {
      class: "MultitaskPromptTuningConfig",
      num_virtual_tokens: 5,
      num_tasks: 3,
      num_ranks: 1,
      num_transformer_submodules: 1,
    },
    true,
    0.5,
  ],
  [{ class: "MultitaskPromptTuningConfig", num_virtual_tokens: 4, num_tasks: 3, num_ranks: 4 }, true, 0.5],
  [{ class: "PromptTuningConfig", num_virtual_tokens: 6, num_transformer_submodules: 1 }, false, 0.5],
  [{ class: "PromptTuningConfig", num_virtual_tokens: 6 }, false, 0.5],
  [
    { class: "PromptEncoderConfig", num_virtual_tokens: 6, encoder_hidden_size: 16, num_transformer_submodules: 1 },
    false,
    0.5,
  ],
  [
    {
      class: "PromptEncoderConfig",
      num_virtual_tokens: 6,
      encoder_hidden_size: 16,
      encoder_reparameterization_type: "LSTM",
    },
    false,
    0.5,
  ],
  [{ class: "PrefixTuningConfig", num_virtual_tokens: 4 }, false, 0.5],
  [{ class: "LoraConfig", r: 3, lora_alpha: 6, target_modules: ["q", "v"] }, false, 0.1],
];
for (const base of Object.keys(bases))
  for (const [index, [config, tasks, deviation]] of made.entries())
    jobs.push({
      kind: "make",
      name: `${base}-made-${index}-${config.class}`,
      base,
      config,
      tasks,
      deviation,
      seed: index,
    });

// Optimisers and schedules on given gradients.
const parameterShapes: Readonly<Record<string, readonly number[]>> = { matrix: [6, 5], vector: [7], cube: [2, 3, 4] };
const optimizerTensors: Record<string, { shape: readonly number[]; values: Float32Array }> = {};
for (const [name, size] of Object.entries(parameterShapes)) {
  const count = size.reduce((a, b) => a * b, 1);
  optimizerTensors[name] = { shape: size, values: normalValues(generator, count) };
  for (let step = 0; step < 5; step++)
    optimizerTensors[`grad.${step}.${name}`] = {
      shape: size,
      values: normalValues(generator, count, step === 2 ? 3 : 0.3),
    };
}
writeSafetensors(join(folder, "optimizer.safetensors"), optimizerTensors);
const optimizers: Readonly<Record<string, Optimizer>> = {
  adamw: adamw({ weightDecay: 0.02 }),
  sgd: sgd({ momentum: 0.9, weightDecay: 0.02 }),
  adafactor: adafactor({ weightDecay: 0.02 }),
  "adafactor-scaled": adafactor({ scaleParameter: true }),
};
const schedules = ["constant", "linear", "cosine"] as const;
for (const optimizer of Object.keys(optimizers))
  for (const schedule of schedules)
    jobs.push({ kind: "optimizer", name: `optimizer-${optimizer}-${schedule}`, optimizer, schedule });

writeFileSync(join(folder, "jobs.json"), JSON.stringify(jobs));
console.log(
  run([python(), join(import.meta.dirname, "peft_reference.py"), folder])
    .trim()
    .split("\n")
    .at(-1),
);

for (const job of jobs as { kind: string; name: string; base: string }[]) {
  if (job.kind === "optimizer") continue;
  const lines: { name: string; maxRelative?: number; status?: string; pass: boolean }[] = [];
  const args = [
    join(folder, job.name),
    "--engine",
    engine,
    ...(job.kind === "base" ? [] : ["--base", join(folder, job.base)]),
  ];
  await parity.run(args, { out: (text) => lines.push(JSON.parse(text)), err: console.error, interactive: false });
  const known = lines.filter(({ name }) => !name.startsWith("beams"));
  const bad = known.filter(({ pass, status }) => !pass || status === "unknown");
  const worst = Math.max(...known.map(({ maxRelative }) => maxRelative ?? 0));
  check(
    job.name,
    bad.length === 0 && known.length > 1,
    `${known.length} tensors, largest difference ${worst.toExponential(1)}${bad.length > 0 ? `, bad: ${JSON.stringify(bad.slice(0, 3))}` : ""}`,
  );
}

for (const [base, model] of Object.entries(bases)) {
  const io = openSafetensors(join(folder, base, "io.safetensors"));
  for (const [numBeams, lengthPenalty] of [
    [3, 1],
    [4, 0.5],
  ] as const) {
    const beams = createGenerator(model, { maxNewTokens: 6, numBeams, lengthPenalty });
    const found = await beams.generate({ inputIds: ids, attentionMask: mask, batchSize: rows, inputLength }, {});
    const reference = (await toTensor(io.read(`beams${numBeams}`)).array()) as number[][];
    const padded = found.map((row) => [0, ...row, 0, 0, 0, 0, 0, 0].slice(0, 7));
    check(
      `${base} beam search, ${numBeams} beams, length penalty ${lengthPenalty}`,
      JSON.stringify(padded) === JSON.stringify(reference),
      `${found.length} rows`,
    );
  }
}

for (const [name, optimizer] of Object.entries(optimizers))
  for (const schedule of schedules) {
    const file = openSafetensors(join(folder, "optimizer.safetensors"));
    const pick = (prefix: string): Record<string, tf.Tensor> =>
      Object.fromEntries(Object.keys(parameterShapes).map((key) => [key, toTensor(file.read(prefix + key))]));
    let parameters: Readonly<Record<string, tf.Tensor>> = pick("");
    let state = optimizer.init(parameters);
    for (let step = 0; step < 5; step++) {
      const { gradients } = clipByGlobalNorm(pick(`grad.${step}.`), 1.5);
      const rate = tf.scalar(
        0.1 * scheduleFactor({ name: schedule, totalSteps: 6, warmup: schedule === "constant" ? 0 : 2 }, step),
      );
      ({ parameters, state } = optimizer.update(gradients, state, parameters, () => rate));
    }
    const reference = openSafetensors(join(folder, `optimizer-${name}-${schedule}`, "io.safetensors"));
    let worst = 0;
    for (const [key, tensor] of Object.entries(parameters)) {
      const other = toTensor(reference.read(key));
      worst = Math.max(worst, tf.div(tf.max(tf.abs(tf.sub(tensor, other))), tf.max(tf.abs(other))).dataSync()[0]!);
    }
    check(`${name} with a ${schedule} schedule`, worst < 1e-5, `largest difference ${worst.toExponential(1)}`);
  }

mkdirSync(folder, { recursive: true });
rmSync(folder, { recursive: true });
console.log(`${checks} checks, ${failures} failures (engine ${engine})`);
process.exit(failures > 0 ? 1 : 0);
