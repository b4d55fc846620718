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
import { findDataset } from "#datasets/index.ts";
import { randomT5, saveT5, type T5Config, t5v10 } from "#toolkit/models/t5/index.ts";
import { useEngine } from "#toolkit/tensor/index.ts";
import { answer } from "#toolkit/training/answer.ts";
import { listCheckpoints } from "#toolkit/training/checkpoint.ts";
import { ConfigError, type RunConfigInput } from "#toolkit/training/config.ts";
import type { TrainEvent } from "#toolkit/training/contract.ts";
import { train } from "#toolkit/training/loop.ts";
import { readResult } from "#toolkit/training/result.ts";
import { logRows, readRunLog } from "#toolkit/training/run-log.ts";
import { type HubServer, startHub } from "../batches/hub-server.ts";
import { parquetOf } from "../batches/parquet-files.ts";

const backbone = join(import.meta.dirname, "../../../datasets/mini/backbone");
const root = mkdtempSync(join(tmpdir(), "bunsen-train-"));
const model = join(root, "model");
const cache = process.env.BUNSEN_CACHE;
let tiny: T5Config;

beforeAll(async () => {
  process.env.BUNSEN_CACHE = join(root, "cache");
  await useEngine("wasm");
  const vocabSize = (JSON.parse(readFileSync(join(backbone, "config.json"), "utf8")) as { vocab_size: number })
    .vocab_size;
  tiny = {
    ...t5v10,
    vocabSize,
    hiddenSize: 16,
    headSize: 8,
    numHeads: 2,
    feedForwardSize: 32,
    numEncoderLayers: 1,
    numDecoderLayers: 1,
    relativeAttentionNumBuckets: 8,
    relativeAttentionMaxDistance: 32,
  };
  const made = randomT5(tiny, { seed: 3, tied: true });
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
      const [start] = events;
      const first = events.find((event) => event.type === "step");
      expect(start).toMatchObject({ type: "start", fromStep: first!.type === "step" ? first!.step - 1 : -1 });
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

  test("a folder of something else is refused, and nothing in it touched", async () => {
    const folder = join(root, "notes");
    mkdirSync(folder);
    writeFileSync(join(folder, "README.md"), "my notes");
    await expect(collect(base("notes"))).rejects.toThrow(/notes is no run folder, and holds files \(README\.md\)/);
    expect(readdirSync(folder)).toEqual(["README.md"]);
    expect(readFileSync(join(folder, "README.md"), "utf8")).toBe("my notes");
    for (const [name, text] of [
      ["of-a-model", JSON.stringify({ d_model: 512 })],
      ["broken", "{"],
    ] as const) {
      mkdirSync(join(root, name));
      writeFileSync(join(root, name, "config.json"), text);
      await expect(collect(base(name))).rejects.toThrow(/is no run folder: its config\.json is not a run's/);
    }
  });

  test("what failed before its first step does not hold its folder", async () => {
    const config = { ...base("failed-early"), steps: 1 } as RunConfigInput;
    await expect(collect({ ...config, shots: 1_000_000 } as RunConfigInput)).rejects.toThrow(/1000000 shots/);
    expect((await collect(config)).at(-1)?.type).toBe("done");
  });

  test("a folder of another machine is refused once there is something to go on from", async () => {
    await collect(base("elsewhere"), (event) => event.type === "checkpoint");
    const path = join(root, "elsewhere/environment.json");
    const record = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...record, cores: 512 }));
    await expect(collect(base("elsewhere"))).rejects.toThrow(/another engine or machine[\s\S]*cores: 512 →/);
  });

  test("a folder of an older plan of batches is refused once it was trained, read once it is finished", async () => {
    const older = (run: string): void => {
      for (const [file, gone] of [
        ["config.json", "lengths"],
        ["environment.json", "batchPlan"],
      ] as const) {
        const path = join(root, run, file);
        const { [gone]: _, ...rest } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
        writeFileSync(path, JSON.stringify(rest));
      }
    };
    await collect(base("older"), (event) => event.type === "checkpoint");
    older("older");
    await expect(collect(base("older"))).rejects.toThrow(
      /older was begun with version 1 of the plan of batches, and this is version 2: .* or name a new run folder/,
    );
    // Nothing trained, nothing lost: it begins anew, and can go on from then on.
    await collect(base("older-start"), (event) => event.type === "start");
    older("older-start");
    await collect(base("older-start"), (event) => event.type === "checkpoint");
    expect((await collect(base("older-start"))).at(-1)?.type).toBe("done");
    older("older-start");
    expect((await collect(base("older-start"))).map(({ type }) => type)).toEqual(["done"]);
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
      /the checkpoint of step 2: the folder .* could not be made: .*ENOTDIR.*Mend that path, or name a folder elsewhere, then start the same command again/,
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

describe("What is odd about the data", () => {
  const names = ["BUNSEN_HUB", "HF_HOME", "BUNSEN_LOCK"] as const;
  const before = names.map((name) => process.env[name]);
  let hub: HubServer;
  beforeAll(() => {
    const dataset = findDataset("glue/rte");
    const files: Record<string, Uint8Array> = {};
    for (const [hubSplit, path] of Object.entries(dataset.source.files)) {
      const rows = findDataset("mini/rte").generate!(hubSplit, { rows: 60 });
      files[`${dataset.source.repo}:${path}`] = parquetOf(rows);
    }
    hub = startHub({ kind: "api", files });
    process.env.BUNSEN_HUB = hub.url;
    process.env.HF_HOME = join(root, "hf");
    process.env.BUNSEN_LOCK = join(root, "lock.json");
  });
  afterAll(async () => {
    for (const [i, name] of names.entries()) {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }
    await hub.stop();
  });
  const warningsOf = (run: string): string[] =>
    logRows(readRunLog(join(root, run, "log.arrow"))).flatMap((row) => (row.kind === "warning" ? [row.name] : []));

  test("is an event of every run that reads it and is in its folder once, also when it goes on", async () => {
    const config = (run: string): RunConfigInput => ({ ...base(run), tasks: ["glue/rte"], steps: 4, shots: null });
    const expected = [
      expect.stringContaining("glue/rte train has 60 rows; the published table has 2490"),
      expect.stringMatching(/glue\/rte validation has \d+ rows; the published table has 138/),
      expect.stringMatching(/glue\/rte test has \d+ rows; the published table has 139/),
    ];
    const messages = (events: readonly TrainEvent[]): string[] =>
      events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
    const first = await collect(config("odd"), (event) => event.type === "step" && event.step === 3);
    expect(messages(first).sort()).toEqual(expect.arrayContaining(expected));
    const again = await collect(config("odd"));
    expect(messages(again)).toHaveLength(3);
    expect(warningsOf("odd")).toHaveLength(3);
    // The second run of a process finds the data loaded: it is told all the same.
    expect(messages(await collect(config("odd-too")))).toEqual(messages(again));
    expect(warningsOf("odd-too")).toEqual(messages(again));
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

  test("a mixed batch is one sub-batch per length and one update, made ahead, and a run that goes on cuts alike", async () => {
    const config = (run: string, more: Partial<RunConfigInput> = {}): RunConfigInput =>
      ({
        ...source(),
        run: join(root, run),
        tasks: ["mini/sst2", "mini/squad"],
        batchSize: 8,
        checkpointEvery: 8,
        steps: 16,
        evaluateEvery: 0,
        finalSplits: [],
        distillation: { weight: 0 },
        ...more,
      }) as RunConfigInput;
    const events = await collect(config("cut"));
    const steps = events.flatMap((event) => (event.type === "step" && event.stage === "source" ? [event] : []));
    expect(steps.map((step) => step.step)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    const mean = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
    // Reviews have some 15 tokens and questions with their passage some 45: as one batch, a third would be padding.
    expect(mean(steps.map((step) => step.padding!))).toBeLessThan(0.1);
    expect(mean(steps.map((step) => step.subBatches!))).toBeGreaterThan(1.2);
    const rows = logRows(readRunLog(join(root, "cut/log.arrow"))).filter((row) => row.name === "padding");
    expect(rows.map((row) => row.value)).toEqual(steps.map((step) => step.padding));
    const { data } = readResult(join(root, "cut"));
    expect(data!.padding).toBeLessThan(0.1);
    expect(data!.waitShare).toBeGreaterThanOrEqual(0);
    // Of the middle step: the first one starts the thread, and any other may meet a busy machine.
    const waits = steps.map(({ waitMs, stepMs }) => waitMs / (waitMs + stepMs)).sort((a, b) => a - b);
    expect(waits[8]).toBeLessThan(0.02);

    await collect(
      config("cut-broken"),
      (event) => event.type === "step" && event.stage === "source" && event.step === 11,
    );
    await collect(config("cut-broken"));
    expect(stateOf("cut-broken").equals(stateOf("cut"))).toBe(true);

    // Put together by cost, which for a toy is one pass a step.
    await collect(config("merged", { steps: 2, lengths: "merged" }));
    expect(readResult(join(root, "merged")).data!.subBatches).toBe(1);
  });

  test("a source that is not finished is refused", async () => {
    const config = { ...base("orphan"), stage: "target", from: join(root, "nowhere"), method: "mpt" };
    await expect(collect(config as RunConfigInput)).rejects.toThrow(
      /from: .*nowhere is no run: expected the folder of a finished run/,
    );
  });
});
