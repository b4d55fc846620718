#!/usr/bin/env bun
// The training step of `bunsen bench step` beside JAX on the same graph: the StableHLO text that its gradients (forward
// and backward, all but the update of a few parameters) are traced to and the values of their arguments are handed to
// JAX's CPU client, calls are made in turn, the losses compared. JAX's text is traced in a process of its own whose
// products are XLA's (BUNSEN_ONEDNN=off): it knows no calls of ours. The flags are those of `bunsen bench step`. One JSON
// line; ratios below 1 mean that ours is faster. `compile_ms` is what the first call took beyond tracing and a later one.
//   bun test/bench/step-jax.ts --shape t5-base --precision f32 --steps 5
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PreparedStep, parseBench, prepareStep } from "#toolkit/commands/bench.ts";
import { currentEngine, tf, useEngine } from "#toolkit/tensor/index.ts";
import { Builder, type Program } from "#toolkit/tensor/stablehlo/builder.ts";
import { toBfloat16 } from "#toolkit/tensor/stored.ts";
import { middle, rounded } from "./figures.ts";
import { startPeer } from "./line-peer.ts";
import { pythonWith } from "./python-venv.ts";

const settings = parseBench(process.argv.slice(2));
const python = pythonWith("jax-requirements.txt", "bench-jax");
/** Where this process is the one that writes the text and the arguments. */
const exported = process.env.BUNSEN_STEP_EXPORT;
const folder = exported ?? mkdtempSync(join(tmpdir(), "bunsen-step-jax-"));
// Both sides compile: an executable from an earlier run would not show its time.
process.env.BUNSEN_XLA_CACHE = exported ? "off" : join(folder, "cache");
await useEngine("cpu");

/**
 * Takes the first step and writes down the program it was traced to and the tensors that were passed to it. They are
 * seen on their way into the library; nothing of the engine is changed.
 */
async function record(step: PreparedStep): Promise<void> {
  let program: Program | undefined;
  const finish = Builder.prototype.finish;
  Builder.prototype.finish = function (this: Builder, ...given: Parameters<typeof finish>): Program {
    const finished = finish.apply(this, given);
    // The next one is the update's.
    program ??= finished;
    return finished;
  };
  const backend = tf.backend() as unknown as { getInputTensorIds(tensors: readonly tf.TensorInfo[]): number[] };
  const plain = backend.getInputTensorIds;
  let passed = 0;
  const file = openSync(join(folder, "arguments.bin"), "w");
  let reading = false;
  backend.getInputTensorIds = function (this: unknown, tensors: readonly tf.TensorInfo[]): number[] {
    const ids = plain.call(this, tensors);
    const argument = program?.arguments[passed];
    if (argument && tensors.length === 1 && !reading) {
      // Reading a value may itself run an op (widening bf16), which is no argument.
      reading = true;
      const tensor = tensors[0]! as tf.Tensor;
      if (tensor.shape.join() !== argument.value.shape.join())
        throw new Error(`argument ${passed} is [${tensor.shape}], the program takes [${argument.value.shape}]`);
      const values = tensor.dataSync() as Float32Array;
      const narrow = argument.value.element === "bf16" ? toBfloat16(values) : values;
      writeSync(file, new Uint8Array(narrow.buffer, narrow.byteOffset, narrow.byteLength));
      passed += 1;
      reading = false;
    }
    return ids;
  };
  try {
    await step.gradients(0);
    if (!program || passed !== program.arguments.length)
      throw new Error(`${passed} of ${program?.arguments.length} arguments of the step were seen`);
    const described = program.arguments.map(({ value }) => ({ shape: value.shape, element: value.element }));
    writeFileSync(join(folder, "arguments.json"), JSON.stringify(described));
    writeFileSync(join(folder, "program.mlir"), program.text);
  } finally {
    closeSync(file);
    Builder.prototype.finish = finish;
    backend.getInputTensorIds = plain;
  }
}

if (exported) {
  await record(prepareStep(settings));
  process.exit(0);
}

try {
  const child = Bun.spawnSync([process.execPath, import.meta.path, ...process.argv.slice(2)], {
    env: { ...process.env, BUNSEN_STEP_EXPORT: folder, BUNSEN_ONEDNN: "off" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (child.exitCode !== 0) throw new Error(`tracing the program for JAX ended with ${child.exitCode}`);
  const step = prepareStep(settings);
  const began = performance.now();
  const { loss } = await step.gradients(0);
  const firstMs = performance.now() - began - step.stats.gradients.traceMs;
  const peer = startPeer([python, join(import.meta.dirname, "step-jax.py"), folder]);
  const ready = (await peer.read()) as { jax: string; compile: { ms: number; cpu_ms: number } };
  const ours: number[] = [];
  const theirs: number[] = [];
  const cpu: { ours: number[]; jax: number[] } = { ours: [], jax: [] };
  let jaxLoss = Number.NaN;
  let jaxRss = 0;
  let jaxFirst = 0;
  // Round 0 warms up and is not counted.
  for (let round = 0; round <= settings.steps; round++) {
    const before = process.cpuUsage();
    const start = performance.now();
    await step.gradients(round + 1);
    const ms = performance.now() - start;
    const used = process.cpuUsage(before);
    const line = (await peer.round()) as {
      ms: number;
      cpu_ms: number;
      scalars: Record<string, number>;
      peak_rss_mib: number;
    };
    jaxRss = line.peak_rss_mib;
    // The results are the gradients, then the numbers by name; the loss is the first of these.
    jaxLoss = line.scalars[String(Object.keys(step.state.parameters).length)] ?? Number.NaN;
    if (round === 0) {
      jaxFirst = line.ms;
      continue;
    }
    ours.push(ms);
    theirs.push(line.ms);
    cpu.ours.push((used.user + used.system) / 1000);
    cpu.jax.push(line.cpu_ms);
  }
  await peer.end();
  const { stats } = step;
  // With what the first run takes beyond a later one: ours compiles parts while others run.
  const compiling = {
    ours: firstMs - Math.min(...ours),
    jax: ready.compile.ms + jaxFirst - Math.min(...theirs),
  };
  const equal = Math.abs(jaxLoss - loss) <= (settings.precision === "f32" ? 1e-4 : 2e-2) * Math.abs(loss);
  console.log(
    JSON.stringify({
      bench: "step-jax",
      ...settings,
      engine: currentEngine().version,
      jax: ready.jax,
      gflop: rounded(stats.gradients.flops / 1e9),
      step_ms_median: { ours: rounded(middle(ours)), jax: rounded(middle(theirs)) },
      step_ms_min: { ours: rounded(Math.min(...ours)), jax: rounded(Math.min(...theirs)) },
      cpu_ms_median: { ours: rounded(middle(cpu.ours)), jax: rounded(middle(cpu.jax)) },
      ratio: rounded(middle(ours.map((ms, i) => ms / theirs[i]!)), 3),
      cpu_ratio: rounded(middle(cpu.ours) / middle(cpu.jax), 3),
      compile_ms: { ours: rounded(compiling.ours), jax: rounded(compiling.jax) },
      trace_ms: rounded(stats.gradients.traceMs),
      peak_rss_mib: { ours: rounded(process.resourceUsage().maxRSS / 1024), jax: jaxRss },
      loss: { ours: loss, jax: jaxLoss, equal },
    }),
  );
  if (!equal) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
