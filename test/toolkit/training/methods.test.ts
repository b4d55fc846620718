// Every method of the table goes through the very loop that users call: trained, checkpointed, resumed, saved, loaded,
// asked. What each method computes is tested in test/toolkit/methods.
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { methodNames } from "#toolkit/methods/methods.ts";
import { randomT5, saveT5, type T5Config } from "#toolkit/models/t5/index.ts";
import { useEngine } from "#toolkit/tensor/index.ts";
import { answer } from "#toolkit/training/answer.ts";
import { listCheckpoints } from "#toolkit/training/checkpoint.ts";
import type { RunConfigInput } from "#toolkit/training/config.ts";
import { train } from "#toolkit/training/loop.ts";
import { readResult } from "#toolkit/training/result.ts";
import { tinyT5 } from "./tiny-config.ts";

const backbone = join(import.meta.dirname, "../../../datasets/mini/backbone");
const root = mkdtempSync(join(tmpdir(), "bunsen-methods-"));
const model = join(root, "model");

beforeAll(async () => {
  await useEngine("wasm");
  const { vocab_size: vocabSize } = JSON.parse(readFileSync(join(backbone, "config.json"), "utf8")) as {
    vocab_size: number;
  };
  const config: T5Config = { ...tinyT5, vocabSize, dropoutRate: 0.1 };
  const made = randomT5(config, { seed: 3, tied: true });
  await saveT5(made, model);
  made.dispose();
  cpSync(join(backbone, "tokenizer.json"), join(model, "tokenizer.json"));
  for (const task of ["mini/sst2", "mini/mrpc"])
    await run({ ...base(`source-${task.slice(5)}`), method: "prompt-tuning", tasks: [task] });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const base = (name: string): RunConfigInput => ({
  run: join(root, name),
  model,
  tasks: ["mini/rte"],
  method: "prompt-tuning",
  options: { numVirtualTokens: 4 },
  steps: 3,
  batchSize: 2,
  shots: 8,
  evaluationExamples: 2,
  checkpointEvery: 2,
  finalSplits: ["test"],
  maxNewTokens: 2,
  engine: "wasm",
});

async function run(config: RunConfigInput, stopAfter = Number.POSITIVE_INFINITY): Promise<void> {
  for await (const event of train(config)) if (event.type === "step" && event.step === stopAfter) return;
}

/** Options that fit a model of width 8 with one layer, where the defaults do not. */
const small: Readonly<Record<string, Record<string, unknown>>> = {
  mpt: { numVirtualTokens: 4 },
  "mpt-adapter": { numVirtualTokens: 4 },
  "prompt-tuning": { numVirtualTokens: 4 },
  spot: { numVirtualTokens: 4 },
  attempt: { numVirtualTokens: 4 },
  "p-tuning": { numVirtualTokens: 4 },
  "p-tuning-v2": { numVirtualTokens: 4 },
  "prefix-tuning": { numVirtualTokens: 4 },
  dept: { numVirtualTokens: 4, rank: 4 },
  bmtpt: { numVirtualTokens: 4 },
  "adapter-drop": { firstLayer: 0 },
  compacter: { reduction: 2 },
};
const startsFromSources: readonly string[] = ["spot", "attempt"];

describe("Through the training loop", () => {
  test.each([...methodNames])("%s is trained, resumed to the same bits, saved, loaded and asked", async (method) => {
    const config = (name: string): RunConfigInput =>
      ({
        ...base(`${method}-${name}`),
        method,
        options: small[method] ?? {},
        ...(startsFromSources.includes(method)
          ? { stage: "target", from: [join(root, "source-sst2"), join(root, "source-mrpc")] }
          : {}),
      }) as RunConfigInput;
    await run(config("whole"));
    await run(config("broken"), 3); // the events of step 3 came, its checkpoint did not
    await run(config("broken"));
    const state = (name: string): Buffer =>
      readFileSync(join(listCheckpoints(join(root, `${method}-${name}`)).at(-1)!.folder, "training_state.safetensors"));
    expect(state("broken").equals(state("whole"))).toBe(true);
    const result = readResult(join(root, `${method}-whole`));
    expect(result.trainableParameters).toBeGreaterThan(0);
    expect(typeof (await answer(result.run, "rte sentence1: the cook ran . sentence2: the cook ran ."))).toBe("string");
  });
});
