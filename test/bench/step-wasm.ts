#!/usr/bin/env bun
// The training step of `bunsen bench step` on the wasm engine beside tfjs's own cpu backend (plain JavaScript), the same
// graph op by op, steps taken in turn. The peer is slow: one step each and a small batch by default. The flags are those
// of `bunsen bench step`. One JSON line; ratios of 10 mean that wasm is ten times faster.
//   bun test/bench/step-wasm.ts --shape t5-small --batch 1
import { parseBench, prepareStep } from "#toolkit/commands/bench.ts";
import { currentEngine, tf, useEngine } from "#toolkit/tensor/index.ts";
import { registerHostRandom } from "#toolkit/tensor/random.ts";
import { middle } from "./figures.ts";

const defaults = ["--shape", "t5-small", "--batch", "1", "--steps", "1"];
const settings = parseBench([...defaults, ...process.argv.slice(2)]);

await useEngine("wasm");
const engine = currentEngine();
const wasm = prepareStep(settings);
// Everything made from here on is the cpu backend's own: a step of its own, with the same weights.
registerHostRandom("cpu");
await tf.setBackend("cpu");
const plain = prepareStep(settings);

const sides = { wasm, cpu: plain } as const;
type Side = keyof typeof sides;
const times: Record<Side, number[]> = { wasm: [], cpu: [] };
// Both sides have one thread: on a busy machine the processor time is the figure to compare.
const cpuTimes: Record<Side, number[]> = { wasm: [], cpu: [] };
const losses: Partial<Record<Side, number>> = {};
for (let index = 0; index < settings.steps; index++) {
  for (const side of ["wasm", "cpu"] as const) {
    await tf.setBackend(side);
    // Nothing is compiled on either side, so there is nothing to warm up but the JavaScript engine itself.
    const before = process.cpuUsage();
    const start = performance.now();
    const { loss } = await sides[side].next(index);
    // Of the first step only: AdamW turns the rounding of gradients near zero into whole steps.
    losses[side] ??= loss;
    times[side].push(performance.now() - start);
    const { user, system } = process.cpuUsage(before);
    cpuTimes[side].push((user + system) / 1000);
  }
}

const pair = (from: Record<Side, number[]>): { wasm: number; "tfjs cpu": number; ratio: number } => {
  const [ours, theirs] = [middle(from.wasm), middle(from.cpu)];
  return { wasm: Math.round(ours), "tfjs cpu": Math.round(theirs), ratio: Number((theirs / ours).toFixed(2)) };
};
const equal = Math.abs(losses.wasm! - losses.cpu!) <= 1e-4 * Math.abs(losses.cpu!);
console.log(
  JSON.stringify({
    bench: "step-wasm",
    ...settings,
    engine: engine.version,
    device: engine.device,
    step_ms_median: pair(times),
    cpu_ms_median: pair(cpuTimes),
    loss: { ...losses, equal },
  }),
);
if (!equal) process.exitCode = 1;
