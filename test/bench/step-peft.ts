#!/usr/bin/env bun
// The training step of `bunsen bench step` beside Hugging Face PEFT's multitask prompt tuning in torch: T5 of the same
// shape, batch and lengths, dropout the same, one step of each in turn, so that a machine whose speed changes is as slow
// for both. The flags are those of `bunsen bench step`. One JSON line; ratios below 1 mean that ours is faster.
// `$BUNSEN_PYTHON` names a Python with the libraries; without it one is built.
//   bun test/bench/step-peft.ts --precision bf16 --dropout 0.1 --steps 20
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseBench, prepareStep, shapes } from "#toolkit/commands/bench.ts";
import { currentEngine, useEngine } from "#toolkit/tensor/index.ts";
import { middle, rounded } from "./figures.ts";
import { startPeer } from "./line-peer.ts";
import { pythonWith } from "./python-venv.ts";

const settings = parseBench(process.argv.slice(2));
const { precision, dropout, batch, prompt, input, target, steps } = settings;
if (settings.method !== "mpt" || precision === "tf32")
  throw new RangeError(`expected --method mpt and --precision f32|bf16, got ${settings.method}, ${precision}`);
const python = pythonWith("peft-requirements.txt", "bench-peft");
const folder = mkdtempSync(join(tmpdir(), "bunsen-step-peft-"));
// The peak is to hold the compiler's work too, whatever an earlier run left.
process.env.BUNSEN_XLA_CACHE = join(folder, "cache");

interface Side {
  readonly ms: number[];
  readonly cpu: number[];
}

try {
  await useEngine("cpu");
  const step = prepareStep(settings);
  await step.next(0);
  const built = {
    shape: shapes[settings.shape],
    threads: currentEngine().threads ?? 1,
    ...{ precision, dropout, batch, prompt, input, target },
  };
  const peer = startPeer([python, join(import.meta.dirname, "step-peft.py"), JSON.stringify(built)]);
  const versions = await peer.read();
  const [ours, theirs]: [Side, Side] = [
    { ms: [], cpu: [] },
    { ms: [], cpu: [] },
  ];
  let peerRss = 0;
  // Round 0 warms up and is not counted.
  for (let round = 0; round <= steps; round++) {
    const before = process.cpuUsage();
    const start = performance.now();
    await step.next(round + 1);
    const ms = performance.now() - start;
    const used = process.cpuUsage(before);
    const line = (await peer.round()) as { ms: number; cpu_ms: number; peak_rss_mib: number };
    peerRss = line.peak_rss_mib;
    if (round === 0) continue;
    ours.ms.push(ms);
    ours.cpu.push((used.user + used.system) / 1000);
    theirs.ms.push(line.ms);
    theirs.cpu.push(line.cpu_ms);
  }
  await peer.end();
  const both = (of: (side: Side) => number): { ours: number; peft: number } => ({
    ours: rounded(of(ours)),
    peft: rounded(of(theirs)),
  });
  console.log(
    JSON.stringify({
      bench: "step-peft",
      ...settings,
      engine: currentEngine().version,
      ...versions,
      step_ms_median: both(({ ms }) => middle(ms)),
      step_ms_min: both(({ ms }) => Math.min(...ms)),
      cpu_ms_median: both(({ cpu }) => middle(cpu)),
      // Median over the pairs of neighbouring steps.
      ratio: rounded(middle(ours.ms.map((ms, at) => ms / theirs.ms[at]!)), 3),
      ratio_of_medians: rounded(middle(ours.ms) / middle(theirs.ms), 3),
      ratio_of_minima: rounded(Math.min(...ours.ms) / Math.min(...theirs.ms), 3),
      peak_rss_mib: { ours: rounded(process.resourceUsage().maxRSS / 1024, 0), peft: peerRss },
    }),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
