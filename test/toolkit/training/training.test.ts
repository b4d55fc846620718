// Whole runs on a tiny random T5 and generated data: what a folder holds, how a run goes on, how it stops.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomT5, saveT5, type T5Config } from "#toolkit/models/t5/index.ts";
import { useEngine } from "#toolkit/tensor/index.ts";
import { answer } from "#toolkit/training/answer.ts";
import { listCheckpoints } from "#toolkit/training/checkpoint.ts";
import { ConfigError, type RunConfigInput } from "#toolkit/training/config.ts";
import type { TrainEvent } from "#toolkit/training/contract.ts";
import { train } from "#toolkit/training/loop.ts";
import { readResult } from "#toolkit/training/result.ts";
import { logRows, readRunLog } from "#toolkit/training/run-log.ts";

const backbone = join(import.meta.dirname, "../../../datasets/mini/backbone");
const root = mkdtempSync(join(tmpdir(), "bunsen-train-"));
const model = join(root, "model");
const cache = process.env.BUNSEN_CACHE;

beforeAll(async () => {
  process.env.BUNSEN_CACHE = join(root, "cache");
  await useEngine("wasm");
  const vocabSize = (JSON.parse(readFileSync(join(backbone, "config.json"), "utf8")) as { vocab_size: number })
    .vocab_size;
  const config: T5Config = {
    vocabSize,
    hiddenSize: 16,
    headSize: 8,
    numHeads: 2,
    feedForwardSize: 32,
    numEncoderLayers: 1,
    numDecoderLayers: 1,
    relativeAttentionNumBuckets: 8,
    relativeAttentionMaxDistance: 32,
    dropoutRate: 0.1,
    layerNormEpsilon: 1e-6,
    gated: false,
    activation: "relu",
    scaleDecoderOutputs: true,
    padTokenId: 0,
    eosTokenId: 1,
    decoderStartTokenId: 0,
  };
  const made = randomT5(config, { seed: 3, tied: true });
  await saveT5(made, model);
  made.dispose();
  cpSync(join(backbone, "tokenizer.json"), join(model, "tokenizer.json"));
});
afterAll(() => {
  if (cache === undefined) delete process.env.BUNSEN_CACHE;
  else process.env.BUNSEN_CACHE = cache;
  rmSync(root, { recursive: true, force: true });
});

const base = (run: string): RunConfigInput => ({
  run: join(root, run),
  model,
  tasks: ["mini/sst2"],
  method: "prompt-tuning",
  options: { numVirtualTokens: 4 },
  steps: 6,
  batchSize: 4,
  warmup: 2,
  shots: 16,
  evaluationExamples: 8,
  evaluateEvery: 3,
  checkpointEvery: 2,
  engine: "wasm",
});

async function collect(
  config: RunConfigInput,
  until: (event: TrainEvent) => boolean = () => false,
): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of train(config)) {
    events.push(event);
    if (until(event)) break;
  }
  return events;
}
const stateOf = (run: string): Buffer =>
  readFileSync(join(listCheckpoints(join(root, run)).at(-1)!.folder, "training_state.safetensors"));

describe("A training run", () => {
  test("tells its story as events and leaves a complete folder", async () => {
    const events = await collect(base("whole"));
    expect(events[0]).toMatchObject({ type: "start", totalSteps: 6, trainableParameters: 64 });
    expect(events.filter((event) => event.type === "step")).toHaveLength(6);
    expect(events.filter((event) => event.type === "evaluation" && event.split === "test")).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ type: "done", steps: 6 });
    const files = readdirSync(join(root, "whole")).sort();
    expect(files).toEqual([
      "README.md",
      "adapter",
      "checkpoints",
      "config.json",
      "environment.json",
      "events.out.tfevents.bunsen",
      "log.arrow",
      "metrics.csv",
      "metrics.json",
      "predictions",
    ]);
    const result = readResult(join(root, "whole"));
    expect(result).toMatchObject({ method: "prompt-tuning", steps: 6, reported: { "mini/sst2": "accuracy" } });
    expect(readdirSync(join(root, "whole/adapter")).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
    const losses = logRows(readRunLog(join(root, "whole/log.arrow"))).filter((row) => row.name === "loss");
    expect(losses.map((row) => row.step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(readFileSync(join(root, "whole/predictions/mini-sst2-test.jsonl"), "utf8").trim().split("\n")).toHaveLength(
      8,
    );
    expect(typeof (await answer(join(root, "whole"), "sst2 sentence: a fine film"))).toBe("string");
  });

  test("broken off anywhere, goes on to the very same bits", async () => {
    await collect(base("straight"));
    for (const stopAt of [1, 3, 5]) {
      const name = `broken-${stopAt}`;
      await collect(base(name), (event) => event.type === "step" && event.step === stopAt);
      expect(existsSync(join(root, name, "metrics.json"))).toBe(false);
      const events = await collect(base(name));
      const first = events.find((event) => event.type === "step");
      expect(first).toMatchObject({ step: Math.floor(stopAt === 3 ? 2 : stopAt / 2) * (stopAt === 3 ? 1 : 2) + 1 });
      expect(stateOf(name).equals(stateOf("straight")), `stopped at step ${stopAt}`).toBe(true);
      const steps = logRows(readRunLog(join(root, name, "log.arrow"))).filter((row) => row.name === "loss");
      expect(steps.map((row) => row.step)).toEqual([1, 2, 3, 4, 5, 6]);
    }
  });

  test("finished, it is not trained again", async () => {
    const before = stateOf("whole");
    const events = await collect(base("whole"));
    expect(events.map((event) => event.type)).toEqual(["done"]);
    expect(stateOf("whole").equals(before)).toBe(true);
  });

  test("accumulation over parts gives the step of the whole batch", async () => {
    const config = { ...base("one"), steps: 1, dropout: 0, evaluateEvery: 0 } as RunConfigInput;
    await collect({ ...config, batchSize: 8 });
    await collect({ ...config, run: join(root, "two"), batchSize: 4, accumulate: 2 });
    const loss = (run: string): number =>
      logRows(readRunLog(join(root, run, "log.arrow"))).find((row) => row.name === "loss")!.value;
    expect(loss("two")).toBeCloseTo(loss("one"), 4);
  });

  test("a folder of another configuration is refused with the difference", async () => {
    await expect(collect({ ...base("whole"), steps: 7, seed: 1 } as RunConfigInput)).rejects.toThrow(
      /another configuration \(was → is\):\n {2}steps: 6 → 7\n {2}seed: 42 → 1/,
    );
  });

  test("a folder of another machine is refused once there is something to go on from", async () => {
    await collect(base("elsewhere"), (event) => event.type === "checkpoint");
    const path = join(root, "elsewhere/environment.json");
    const record = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...record, cores: 512 }));
    await expect(collect(base("elsewhere"))).rejects.toThrow(/another engine or machine[\s\S]*cores: 512 →/);
  });

  test("a loss that is no number stops it, with the step, the rows and the last good checkpoint", async () => {
    const config = {
      ...base("nan"),
      learningRates: { prompt: 1e30 },
      clipNorm: 0,
      warmup: 0,
      schedule: "constant",
      checkpointEvery: 1,
      evaluateEvery: 0,
    };
    await expect(collect(config as RunConfigInput)).rejects.toThrow(
      /Step \d+ gave loss .*training stopped.*mini\/sst2 \d+.*last good checkpoint is .*step-/,
    );
    expect(listCheckpoints(join(root, "nan")).length).toBeGreaterThan(0);
    expect(existsSync(join(root, "nan/metrics.json"))).toBe(false);
  });

  test("a disk that refuses a checkpoint ends it with the reason and what to do", async () => {
    mkdirSync(join(root, "full"));
    symlinkSync("/dev/null/nowhere", join(root, "full/checkpoints"));
    await expect(collect(base("full"))).rejects.toThrow(
      /checkpoint of step 2 could not be written to .*Make room or mend the folder, then start the same command again/,
    );
  });

  test("wrong options of the method are reported together", async () => {
    const wrong = { ...base("wrong"), options: { numVirtualTokens: 0, initt: "text" }, learningRates: { shraed: 1 } };
    const error = await collect(wrong as RunConfigInput).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).problems).toHaveLength(3);
    expect((error as Error).message).toMatch(/numVirtualTokens must be[\s\S]*|initt/);
    expect(existsSync(join(root, "wrong"))).toBe(false);
  });

  test("early stopping ends it and keeps the best", async () => {
    const config = {
      ...base("early"),
      learningRateScale: 1e-9,
      steps: 40,
      evaluateEvery: 1,
      patience: 2,
      checkpointEvery: 100,
    };
    const events = await collect(config as RunConfigInput);
    const steps = events.filter((event) => event.type === "step");
    expect(steps).toHaveLength(3);
    expect(readResult(join(root, "early"))).toMatchObject({ bestStep: 1, steps: 3 });
  });
});

describe("MPT's two stages", () => {
  const source = (): RunConfigInput => ({
    ...base("source"),
    stage: "source",
    method: "mpt",
    tasks: ["mini/sst2", "mini/mrpc"],
    steps: 3,
    evaluateEvery: 0,
    sampling: { kind: "equal", slots: { min: 2, max: 2 } },
    distillation: { weight: 0.9, teacherSteps: 2 },
  });

  test("the source stage trains teachers, then a student with all parts of the loss", async () => {
    const events = await collect(source());
    const stages = events.flatMap((event) => (event.type === "step" ? [event.stage] : []));
    expect([...new Set(stages)]).toEqual(["teacher mini/sst2", "teacher mini/mrpc", "source"]);
    const joint = events.find((event) => event.type === "step" && event.stage === "source");
    expect(joint).toMatchObject({
      parts: { lm: expect.any(Number), logits: expect.any(Number), hidden: expect.any(Number) },
    });
    const { loss, parts, learningRates } = joint as Extract<TrainEvent, { type: "step" }>;
    expect(loss).toBeCloseTo(parts.lm! + 0.9 * (parts.logits! + parts.hidden!), 3);
    // Two speeds: the rates of shared and task parameters differ as the paper's do.
    const last = events.findLast((event) => event.type === "step" && event.stage === "source") as typeof joint & {
      learningRates: Record<string, number>;
    };
    expect(Object.keys(learningRates)).toEqual(["shared", "task"]);
    expect(last.learningRates.task! / last.learningRates.shared!).toBeCloseTo(4 / 3, 6);
    expect(readResult(join(root, "source")).needs.map((need) => need.steps)).toEqual([2, 2]);
  });

  test("the target stage starts from the shared prompt and the mean of u and v, and names what it cost", async () => {
    const config = {
      ...base("target"),
      stage: "target",
      from: join(root, "source"),
      method: "mpt",
      tasks: ["mini/rte"],
      steps: 2,
      evaluateEvery: 0,
    };
    await collect(config as RunConfigInput);
    const result = readResult(join(root, "target"));
    expect(result.trainableParameters).toBe(4 * 16 + 4 + 16);
    expect(result.needs.map((need) => need.run)).toEqual([
      join(root, "source"),
      join(root, "source/teachers/mini-sst2"),
      join(root, "source/teachers/mini-mrpc"),
    ]);
  });

  test("a source that is not finished is refused", async () => {
    const config = { ...base("orphan"), stage: "target", from: join(root, "nowhere"), method: "mpt" };
    await expect(collect(config as RunConfigInput)).rejects.toThrow(/nowhere is no run: expected a folder/);
  });
});
