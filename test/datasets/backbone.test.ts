// The toy backbone: its file sizes, its vocabulary on real and odd text, its tokenizer as two libraries would read it,
// and that its pretraining pairs are what they say. The pretraining itself is too long for a test.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { corruptSpans, denoising } from "#datasets/mini/backbone/tasks.ts";
import { countWords, metaspace, printableAscii, trainUnigram } from "#datasets/mini/backbone/unigram.ts";
import { draw } from "#datasets/random.ts";
import { encodeDataset, loadDataset } from "#toolkit/batches/index.ts";
import { loadT5 } from "#toolkit/models/t5/index.ts";
import { useEngine } from "#toolkit/tensor/index.ts";
import { loadTokenizer } from "#toolkit/tokenizers/index.ts";

const folder = resolve(import.meta.dirname, "../../datasets/mini/backbone");
const hub = join(process.env.BUNSEN_SHARED ?? resolve(import.meta.dirname, "../../../shared"), "data/hub");
if (!existsSync(hub)) console.warn(`unknown tokens in real SST-2 are not counted: no ${hub}`);
const tokenizer = await loadTokenizer(folder);

describe("The toy backbone", () => {
  test("is small: at most 4 MB and 4,000 pieces, and fits its tokenizer", async () => {
    expect(statSync(join(folder, "model.safetensors")).size).toBeLessThan(4e6);
    expect(tokenizer.vocabularySize).toBeLessThanOrEqual(4000);
    await useEngine("wasm");
    const model = loadT5(folder);
    expect(model.config).toMatchObject({
      hiddenSize: 64,
      numEncoderLayers: 2,
      numDecoderLayers: 2,
      activation: "relu",
    });
    expect(model.config.vocabSize).toBeGreaterThanOrEqual(tokenizer.vocabularySize);
    model.dispose();
  });

  test("its tokenizer knows every printable ASCII character, ends with </s> and gives text back", () => {
    for (const character of printableAscii) {
      const ids = [...tokenizer.encode(`a${character}b`)];
      expect(ids, character).not.toContain(tokenizer.unknownId);
      expect(ids.at(-1)).toBe(tokenizer.endId);
    }
    expect(tokenizer.decode(tokenizer.encode("Zebra #42 (100%) ~ x_y"))).toBe("Zebra #42 (100%) ~ x_y");
    expect(tokenizer.tokenToId("<extra_id_0>")).toBe(tokenizer.vocabularySize - 1);
    expect([tokenizer.padId, tokenizer.endId, tokenizer.unknownId]).toEqual([0, 1, 2]);
  });

  test.skipIf(!existsSync(hub))("less than 1 % of real SST-2 is unknown to it", async () => {
    const table = await loadDataset("glue/sst2", { split: "validation", from: join(hub, "datasets") });
    const encoded = await encodeDataset(table, tokenizer, { cache: false });
    const unknown = encoded.inputTokens.filter((id) => id === tokenizer.unknownId).length;
    expect(unknown / encoded.inputTokens.length).toBeLessThan(0.01);
  });

  test("its log says what made it", () => {
    const lines = readFileSync(join(folder, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, number>);
    expect(lines[0]).toMatchObject({ seed: 1, vocabulary: tokenizer.vocabularySize });
    expect(lines.at(-1)!.step).toBe(lines[0]!.steps);
    expect(lines.at(-1)!.loss).toBeLessThan(lines[1]!.loss!);
  });
});

describe("Its pretraining pairs", () => {
  const sentinel = (index: number): number => 1000 + index;

  test("hide spans that the target gives back whole", () => {
    for (let seed = 0; seed < 50; seed++) {
      const ids = Array.from({ length: 30 }, (_, index) => index + 1);
      const [input, target] = corruptSpans(ids, draw(seed), sentinel);
      const hidden = new Map<number, number[]>();
      for (const id of target) {
        if (id >= 1000) hidden.set(id, []);
        else [...hidden.values()].at(-1)!.push(id);
      }
      expect(input.flatMap((id) => (id >= 1000 ? hidden.get(id)! : [id]))).toEqual(ids);
      expect(hidden.size).toBeGreaterThan(0);
    }
  });

  test("are the same for the same seed and stream, other for the held-out stream, and within their lengths", () => {
    const take = (stream: string) => {
      const pairs = denoising({
        encode: (text) => [...tokenizer.encode(text, { addSpecialTokens: false })],
        sentinel: (index) => tokenizer.tokenToId(`<extra_id_${index}>`)!,
        seed: 1,
        stream,
        maxInput: 55,
        maxTarget: 15,
      });
      return Array.from({ length: 200 }, () => pairs.next().value!);
    };
    const pairs = take("train");
    expect(take("train")).toEqual(pairs);
    expect(take("held out")).not.toEqual(pairs);
    for (const pair of pairs) {
      expect(pair.input.length).toBeLessThanOrEqual(55);
      expect(pair.target.length).toBeGreaterThan(0);
      expect(pair.target.length).toBeLessThanOrEqual(15);
    }
    expect(new Set(pairs.map((pair) => pair.objective))).toEqual(new Set(["spans", "ending", "choice"]));
    // No template of the benchmark and no label digit as an answer of its own accord.
    for (const pair of pairs.slice(0, 100))
      expect(tokenizer.decode(pair.input)).not.toMatch(/sentence\d?:|premise:|hypothesis:/);
  });
});

describe("The unigram trainer", () => {
  test("keeps required characters, prefers frequent words and is deterministic", () => {
    const words = countWords(Array.from({ length: 50 }, () => "banana bandana ban"));
    const pieces = trainUnigram(words, { size: 14, required: [metaspace, "q"] });
    expect(pieces).toEqual(trainUnigram(words, { size: 14, required: [metaspace, "q"] }));
    expect(pieces.length).toBeLessThanOrEqual(14);
    const names = pieces.map(([piece]) => piece);
    expect(names).toContain("q");
    expect(names).toContain("▁banana");
    expect(() => trainUnigram(words, { size: 3, required: [] })).toThrow(/cannot hold/);
  });
});
