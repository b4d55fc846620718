// A step cut into sub-batches, by length or by cost: nothing lost, no needless padding, and the same update as the whole.
import { expect, test } from "vitest";
import type { Batch } from "#toolkit/batches/contract.ts";
import { resolveMethod } from "#toolkit/methods/methods.ts";
import { randomT5, type T5Model } from "#toolkit/models/t5/index.ts";
import { adamw, type Named } from "#toolkit/nn/index.ts";
import { keepTree, random, tf, useEngine } from "#toolkit/tensor/index.ts";
import { passSeconds } from "#toolkit/training/estimate.ts";
import { type CutOptions, cutParts, mergeParts, paddingOf, splitParts } from "#toolkit/training/parts.ts";
import { createStep, runStep } from "#toolkit/training/step.ts";
import { tinyT5 } from "./tiny-config.ts";

/** Rows of true length 2..inputLength and label length 1..labelLength, from a small linear congruence. */
function batch(rows: number, inputLength: number, labelLength: number, seed: number): Batch {
  let state = seed;
  const below = (limit: number): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * limit);
  };
  const inputIds = new Int32Array(rows * inputLength);
  const attentionMask = new Int32Array(rows * inputLength);
  const labels = new Int32Array(rows * labelLength).fill(-100);
  for (let row = 0; row < rows; row++) {
    const length = row === 0 ? inputLength : 2 + below(inputLength - 1);
    for (let i = 0; i < length; i++) inputIds[row * inputLength + i] = 2 + below(30);
    attentionMask.fill(1, row * inputLength, row * inputLength + length);
    const counted = row === 0 ? labelLength : 1 + below(labelLength);
    for (let i = 0; i < counted; i++) labels[row * labelLength + i] = 2 + below(30);
  }
  const taskIds = Int32Array.from({ length: rows }, () => below(2));
  const numbers = Int32Array.from({ length: rows }, (_, row) => seed * 100 + row);
  return { inputIds, attentionMask, labels, taskIds, rows: numbers, batchSize: rows, inputLength, labelLength };
}
const parts = [batch(5, 6, 2, 1), batch(3, 9, 4, 2), batch(8, 20, 3, 3)];
const allRows = (batches: readonly Batch[]): number[] => batches.flatMap((part) => [...part.rows]);
const shapes = (batches: readonly Batch[]): string[] => batches.map((part) => `${part.batchSize}x${part.inputLength}`);
/** Seconds in units of one position. */
const costOf =
  (overhead: number): CutOptions["cost"] =>
  (rows, input) =>
    overhead + rows * input;

test("exactly one sub-batch per length: no row is padded further, whatever its number of rows", () => {
  expect(splitParts(parts, { maxRows: 16, halves: false })).toEqual(parts);
  // Five rows are four and one, where a shape is an executable.
  expect(shapes(splitParts(parts, { maxRows: 16, halves: true }))).toEqual(["4x6", "1x6", "2x9", "1x9", "8x20"]);
  expect(shapes(splitParts(parts, { maxRows: 6, halves: true }))).toEqual([
    "3x6",
    "1x6",
    "1x6",
    "3x9",
    "6x20",
    "1x20",
    "1x20",
  ]);
  expect(shapes(splitParts(parts, { maxRows: 3, halves: false }))).toEqual([
    "3x6",
    "2x6",
    "3x9",
    "3x20",
    "3x20",
    "2x20",
  ]);
  for (const maxRows of [1, 2, 3, 5, 6, 7, 12, 16, 32])
    for (const halves of [true, false]) {
      const passes = splitParts(parts, { maxRows, halves });
      expect(allRows(passes)).toEqual(allRows(parts));
      expect(paddingOf(passes)).toBe(paddingOf(parts));
      expect(Math.max(...passes.map((part) => part.batchSize))).toBeLessThanOrEqual(maxRows);
      if (halves)
        expect(new Set(passes.map((part) => part.batchSize)).size).toBeLessThanOrEqual(Math.log2(maxRows) + 1);
    }
});

test("where a pass costs nothing of its own, every length is a pass", () => {
  expect(shapes(cutParts(parts, { maxRows: 16, rowStep: 1, cost: costOf(0) }))).toEqual(["5x6", "3x9", "8x20"]);
});

test("a pass that costs more than the padding it saves is joined with the next", () => {
  // 5 × (9 − 6) = 15 positions of padding against a pass of 16.
  expect(shapes(cutParts(parts, { maxRows: 16, rowStep: 1, cost: costOf(16) }))).toEqual(["8x9", "8x20"]);
  expect(shapes(cutParts(parts, { maxRows: 16, rowStep: 1, cost: costOf(14) }))).toEqual(["5x6", "3x9", "8x20"]);
  expect(shapes(cutParts(parts, { maxRows: 16, rowStep: 1, cost: costOf(1000) }))).toEqual(["16x20"]);
});

test("no pass has more rows than the batch size, and no row is lost or told twice", () => {
  for (const maxRows of [1, 3, 4, 7, 16])
    for (const rowStep of [1, 2, 4])
      for (const overhead of [0, 5, 50, 500]) {
        if (rowStep > maxRows) continue;
        const cost = costOf(overhead);
        const passes = cutParts(parts, { maxRows, rowStep, cost });
        expect(allRows(passes)).toEqual(allRows(parts));
        expect(Math.max(...passes.map((part) => part.batchSize))).toBeLessThanOrEqual(maxRows);
        const tokens = (batches: readonly Batch[]): number =>
          batches.reduce((sum, part) => sum + part.attentionMask.reduce((a, b) => a + b, 0), 0);
        expect(tokens(passes)).toBe(tokens(parts));
        if (maxRows < 16) continue;
        const seconds = (batches: readonly Batch[]): number =>
          batches.reduce((sum, part) => sum + cost(part.batchSize, part.inputLength, part.labelLength), 0);
        expect(seconds(passes)).toBeLessThanOrEqual(seconds([mergeParts(parts)]));
        if (rowStep === 1) expect(seconds(passes)).toBeLessThanOrEqual(seconds(parts));
        expect(paddingOf(passes)).toBeLessThanOrEqual(paddingOf([mergeParts(parts)]));
      }
});

test("cut at a quarter of the batch, passes have few sizes: compiled shapes stay few", () => {
  const passes = cutParts(parts, { maxRows: 16, rowStep: 4, cost: costOf(0) });
  for (const { batchSize } of passes) expect(batchSize % 4).toBe(0);
  expect(passes.length).toBeGreaterThan(1);
});

test("a model whose positions are dear is cut, a toy is not", () => {
  const sized = (hiddenSize: number, layers: number): T5Model =>
    ({
      config: {
        hiddenSize,
        feedForwardSize: 4 * hiddenSize,
        headSize: 64,
        numHeads: hiddenSize / 64,
        numEncoderLayers: layers,
        numDecoderLayers: layers,
        vocabSize: 32128,
        gated: false,
      },
    }) as T5Model;
  const passes = (model: T5Model): number =>
    cutParts(parts, {
      maxRows: 16,
      rowStep: 1,
      cost: (rows, input, label) =>
        passSeconds(
          model,
          { batchSize: rows, encoderLength: input + 10, decoderLength: label, teacherPasses: 0 },
          "wasm",
        ),
    }).length;
  expect(passes(sized(64, 2))).toBe(1);
  expect(passes(sized(768, 12))).toBe(3);
});

test("sub-batches give the loss, its parts and the update of the whole, teachers included", async () => {
  await useEngine("wasm");
  const model = randomT5(
    { ...tinyT5, vocabSize: 40, hiddenSize: 16, headSize: 8, feedForwardSize: 32 },
    { seed: 3, tied: true },
  );
  const { method, options } = resolveMethod("mpt", { numVirtualTokens: 4 }, model.backbone);
  const prompts = tf.keep(tf.randomNormal([2, 4, 16], 0, 1, "float32", 5));
  const optimizer = adamw({ weightDecay: 0 });
  const step = createStep({
    model,
    method,
    options,
    frozen: {},
    optimizer,
    clipNorm: 0,
    groups: Object.keys(method.learningRates),
    precision: "f32",
    teachers: { weight: 0.9, temperature: 1, logits: 1, hidden: 1, hiddenLayers: "last", prompts },
  });
  const run = async (batches: readonly Batch[]): Promise<{ numbers: number[]; norm: number }> => {
    const parameters = tf.tidy(() =>
      keepTree(
        method.init(options, {
          backbone: model.backbone,
          numTasks: 2,
          seed: 1,
          tasks: ["a", "b"],
          textIds: [5, 6, 7, 8],
          labelIds: [],
        }) as Named,
      ),
    );
    const state = { parameters, optimizer: tf.tidy(() => keepTree(optimizer.init(parameters))) };
    const rates = tf.tensor1d(Object.keys(method.learningRates).map(() => 0.1));
    const out = await runStep(step, state, batches, () => random.key(1), rates, 4);
    const value = (name: string): number => out.numbers[name]!.dataSync()[0]!;
    return { numbers: ["loss", "lm", "logits", "hidden"].map(value), norm: value("norm") };
  };
  const whole = await run([mergeParts(parts)]);
  for (const cut of [
    parts,
    splitParts(parts, { maxRows: 16, halves: true }),
    cutParts(parts, { maxRows: 4, rowStep: 1, cost: costOf(1) }),
  ]) {
    const { numbers, norm } = await run(cut);
    for (const [index, value] of numbers.entries()) expect(value / whole.numbers[index]!).toBeCloseTo(1, 4);
    expect(norm / whole.norm).toBeCloseTo(1, 4);
  }
  expect(new Set(parts.map((part) => part.labels.filter((label) => label >= 0).length / part.batchSize)).size).toBe(3);
  step.dispose();
  prompts.dispose();
  model.dispose();
});
