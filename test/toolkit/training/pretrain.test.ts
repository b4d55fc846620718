// Pretraining on text: a model folder that the toolkit loads, and the same bits when it was broken off.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { currentEngine, useEngine } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { loadBackbone } from "#toolkit/training/backbones.ts";
import { type PretrainOptions, pretrain } from "#toolkit/training/pretrain.ts";
import { tinyT5 } from "./tiny-config.ts";

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: pretraining is not repeated on the cpu engine");
const root = mkdtempSync(join(tmpdir(), "bunsen-pretrain-"));
beforeAll(() => useEngine("wasm"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const options = (folder: string): PretrainOptions => ({
  folder: join(root, folder),
  texts: Array.from(
    { length: 40 },
    (_, index) => `the cook number ${index} found a red hat and a blue boat near the old river .`,
  ),
  model: tinyT5,
  pieces: 150,
  sentinels: 20,
  steps: 6,
  batchSize: 4,
  inputLength: 24,
  labelLength: 10,
  learningRate: 0.01,
  seed: 1,
  checkpointEvery: 2,
});
async function run(given: PretrainOptions, stopAfter = Number.POSITIVE_INFINITY): Promise<number[]> {
  const steps: number[] = [];
  for await (const event of pretrain(given)) {
    steps.push(event.step);
    expect(Number.isFinite(event.loss)).toBe(true);
    if (event.step === stopAfter) break;
  }
  return steps;
}

describe("Pretraining on text", () => {
  test("makes a model folder, and going on after a break gives the same weights", async () => {
    expect(await run(options("whole"))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await run(options("broken"), 4)).toEqual([1, 2, 3, 4]);
    expect(existsSync(join(root, "broken/model.safetensors"))).toBe(false);
    // The generator was left before step 4's checkpoint was written: it goes on from step 2.
    expect(await run(options("broken"))).toEqual([3, 4, 5, 6]);
    const weights = (folder: string): Buffer => readFileSync(join(root, folder, "model.safetensors"));
    expect(weights("broken").equals(weights("whole"))).toBe(true);
    const { model, tokenizer } = await loadBackbone(join(root, "whole"), "wasm");
    expect(model.config.vocabSize).toBeGreaterThanOrEqual(tokenizer.vocabularySize);
    expect(await run(options("whole"))).toEqual([]);
    // Two trainings and a vocabulary, eagerly: a busy machine takes more than the usual minute.
  }, 240_000);

  test("refuses a folder of other settings", async () => {
    await expect(run({ ...options("whole"), steps: 7 })).rejects.toThrow(/begun with other settings/);
  });
});

describe.skipIf(!hasNative)("Pretraining on the compiled cpu engine", () => {
  beforeAll(() => useEngine("cpu"));

  test("gives the same bits when repeated, and when broken off and gone on with", async () => {
    expect(currentEngine().name).toBe("cpu");
    const weights = (folder: string): Buffer => readFileSync(join(root, folder, "model.safetensors"));
    expect(await run(options("cpu-whole"))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await run(options("cpu-again"))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(weights("cpu-again").equals(weights("cpu-whole"))).toBe(true);
    await run(options("cpu-broken"), 3);
    expect(await run(options("cpu-broken"))).toEqual([3, 4, 5, 6]);
    expect(weights("cpu-broken").equals(weights("cpu-whole"))).toBe(true);
  }, 240_000);
});
