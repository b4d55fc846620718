// Tables to ids: equal to the tokenizer's own, cached by content, the same from workers; padding on all real data.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lengthsFrom, paddingShare } from "#toolkit/batches/buckets.ts";
import { type EncodedDataset, encodeDataset } from "#toolkit/batches/encode.ts";
import { type Environment, readEnvironment } from "#toolkit/batches/environment.ts";
import { loadDataset } from "#toolkit/batches/load-dataset.ts";
import { createMixture } from "#toolkit/batches/mixture.ts";
import { encodeInWorkers } from "#toolkit/batches/tokenizer-pool.ts";
import { loadTokenizer, type Tokenizer } from "#toolkit/tokenizers/index.ts";
import { hasShared, shared } from "../shared-data.ts";

let folder: string;
let environment: Environment;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-encode-"));
  environment = readEnvironment({
    HF_HOME: join(folder, "hf"),
    BUNSEN_CACHE: join(folder, "bunsen"),
    BUNSEN_LOCK: join(folder, "lock.json"),
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const inputOf = (encoded: EncodedDataset, i: number): Int32Array =>
  encoded.inputTokens.subarray(encoded.inputOffsets[i], encoded.inputOffsets[i + 1]);
const targetOf = (encoded: EncodedDataset, i: number): Int32Array =>
  encoded.targetTokens.subarray(encoded.targetOffsets[i], encoded.targetOffsets[i + 1]);

describe.skipIf(!hasShared)("encoding", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(shared("tokenizers/t5.tokenizer.json"));
  });

  it("gives each example the tokenizer's ids of its text, from the cache or not", async () => {
    const table = await loadDataset("mini/rte", { split: "validation", environment });
    const first = await encodeDataset(table, tokenizer, { environment });
    const second = await encodeDataset(table, tokenizer, { environment });
    expect([first.cached, second.cached]).toEqual([false, true]);
    for (const encoded of [first, second]) {
      expect(encoded.length).toBe(table.numRows);
      for (const i of [0, 7, encoded.length - 1]) {
        const { input, target } = table.render()[i]!;
        expect(encoded.example(i)).toEqual({ input, target });
        expect(inputOf(encoded, i)).toEqual(tokenizer.encode(input));
        expect(targetOf(encoded, i)).toEqual(tokenizer.encode(target));
      }
      expect(encoded.inputOffsets.length).toBe(encoded.length + 1);
    }
  });

  it("uses no cached ids of other text, lengths or tokenizer", async () => {
    const table = await loadDataset("mini/sst2", { split: "test", environment });
    const names = new Set<string>();
    const tiny = await loadTokenizer(shared("golden/t5-tiny"));
    for (const encoded of [
      await encodeDataset(table, tokenizer, { environment }),
      await encodeDataset(table, tokenizer, { environment, prefix: false }),
      await encodeDataset(table, tokenizer, { environment, maxInputLength: 9 }),
      await encodeDataset(table, tiny, { environment }),
      await encodeDataset(await loadDataset("mini/sst2", { split: "validation", environment }), tokenizer, {
        environment,
      }),
    ]) {
      expect(encoded.cached).toBe(false);
      names.add(encoded.fingerprint);
    }
    expect(names.size).toBe(5);
    const kept = (await readdir(join(folder, "bunsen/tokens"), { recursive: true })).filter((name) =>
      name.endsWith(".arrow"),
    );
    expect(kept.length).toBeGreaterThanOrEqual(5);
  });

  it("cuts long inputs before </s> and counts them", async () => {
    const table = await loadDataset("mini/squad", { split: "test", environment });
    const encoded = await encodeDataset(table, tokenizer, { environment, maxInputLength: 20, cache: false });
    expect(encoded.truncated.inputs).toBeGreaterThan(0);
    let cut = 0;
    for (let i = 0; i < encoded.length; i++) {
      const ids = inputOf(encoded, i);
      expect(ids.length).toBeLessThanOrEqual(20);
      expect(ids.at(-1)).toBe(1);
      if (tokenizer.encode(encoded.example(i).input).length > 20) cut++;
    }
    expect(encoded.truncated.inputs).toBe(cut);
  });

  it("knows the row of each example where training explodes rows with several answers", async () => {
    const table = await loadDataset("mini/record", { split: "train", environment });
    const examples = table.render();
    const encoded = await encodeDataset(table, tokenizer, { environment });
    expect(encoded.length).toBe(examples.length);
    for (let i = 0; i < encoded.length; i += 97) {
      expect(encoded.example(i)).toEqual(examples[i]);
      expect(table.renderRow(encoded.tableRows[i]!)).toContainEqual(examples[i]);
    }
    expect(() => encoded.example(encoded.length)).toThrow(/there is no example/);
  });

  it("gives the same ids from workers as from this thread, in order", async () => {
    const texts = Array.from({ length: 9000 }, (_, i) => `sentence ${i} of ${i % 13} kinds, naïve ${i % 7}`);
    const here = tokenizer.encodeBatch(texts, { maxLength: 12 });
    const steps: number[] = [];
    const there = await encodeInWorkers(tokenizer, texts.length, texts, {
      maxLength: 12,
      workers: 2,
      onProgress: (n) => steps.push(n),
    });
    expect(there).toEqual(here);
    expect(steps.at(-1)).toBe(texts.length);
  });

  it("says that a worker cannot read the tokenizer", async () => {
    const gone = { ...tokenizer, path: join(folder, "gone.json") };
    const texts = Array.from({ length: 5000 }, () => "text");
    await expect(encodeInWorkers(gone, texts.length, texts, { maxLength: 9, workers: 1 })).rejects.toThrow(
      /tokenizer worker failed: No tokenizer at .*gone\.json/,
    );
  });

  it("names a length that makes no sense", async () => {
    const table = await loadDataset("mini/sst2", { environment });
    await expect(encodeDataset(table, tokenizer, { environment, maxInputLength: 0 })).rejects.toThrow(
      /maxInputLength must be .* not 0/,
    );
  });

  for (const [name, split] of [
    ["glue/cola", "train"],
    ["glue/rte", "train"],
    ["glue/stsb", "train"],
    ["glue/mrpc", "train"],
    ["glue/qnli", "test"],
    ["glue/sst2", "train"],
  ] as const)
    it(`pads ${name} under 10 % with at most 10 lengths, where pad-to-256 wastes most`, async () => {
      const table = await loadDataset(name, { split, from: shared("hub"), environment });
      const encoded = await encodeDataset(table, tokenizer, { environment });
      const mixture = createMixture([{ encoded }], { batchSize: 32, seed: 42 });
      expect(mixture.lengths[0]!.length).toBeLessThanOrEqual(10);
      expect(mixture.padding(0, mixture.stepsPerEpoch)).toBeLessThan(0.1);
      const rows = lengthsFrom(encoded.inputOffsets);
      expect(paddingShare(rows, mixture.lengths[0]!)).toBeLessThan(0.1);
      expect(paddingShare(rows, [256])).toBeGreaterThan(0.65);
    }, 120_000);
});
