// Pretrains a small T5 from text: a unigram vocabulary, then span corruption (Raffel et al. 2020, section 3.1.4), with a
// share of prefix language modelling (what Lester et al. 2021, section 3.1, adapt T5 with: a frozen model that has only
// ever written sentinels is hard to prompt), and nothing task-specific. For studies where no pretrained weights are at hand; it is resumable and its folder is a model
// folder. The toy backbone of the mini benchmark has a script of its own (datasets/mini/backbone).
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { corruptSpans } from "#datasets/mini/backbone/tasks.ts";
import { countWords, metaspace, printableAscii, tokenizerFile, trainUnigram } from "#datasets/mini/backbone/unigram.ts";
import { type Draw, draw } from "#datasets/random.ts";
import { forward, randomT5, saveT5, type T5Config } from "#toolkit/models/t5/index.ts";
import { adamw, clipByGlobalNorm, type Named, scheduleFactor } from "#toolkit/nn/index.ts";
import { compile, disposeTree, keepTree, tf, valueAndGrads } from "#toolkit/tensor/index.ts";
import { loadTokenizer } from "#toolkit/tokenizers/index.ts";
import { writeAtomic, writeJson } from "#toolkit/weights/index.ts";
import { loadState, saveState } from "./checkpoint.ts";

export interface PretrainOptions {
  /** The model's folder; starting again with it goes on. */
  readonly folder: string;
  /** Training text, whole in memory. */
  readonly texts: readonly string[];
  readonly model: Omit<T5Config, "vocabSize">;
  /** Pieces of the vocabulary. */
  readonly pieces: number;
  readonly sentinels?: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly inputLength: number;
  readonly labelLength: number;
  readonly learningRate: number;
  /**
   * The embedding's learning rate as a multiple of the others'. T5 draws embeddings at a deviation of 1, about 20 times
   * the other weights', and Adafactor, which it was trained with, scales each step by a tensor's size; AdamW does not.
   * Default 1.
   */
  readonly embeddingRate?: number;
  /** Share of rows that are a text's end to be told from its beginning; the others are span corruption. Default 0. */
  readonly prefixShare?: number;
  /** Chance that a span to hide begins at a token: 0.075, the default, hides 15 % of the tokens. */
  readonly spanChance?: number;
  readonly seed: number;
  readonly checkpointEvery?: number;
}

export interface PretrainEvent {
  readonly step: number;
  readonly totalSteps: number;
  readonly loss: number;
  readonly stepMs: number;
}

type Batch = { inputIds: tf.Tensor; attentionMask: tf.Tensor; labels: tf.Tensor };
type State = { weights: Named; slots: ReturnType<ReturnType<typeof adamw>["init"]> };

/** Learns the tokenizer of `texts` and writes it, unless the folder has one. */
function makeTokenizer(options: PretrainOptions): void {
  const path = join(options.folder, "tokenizer.json");
  if (existsSync(path)) return;
  const words = countWords(options.texts);
  const digits = [..."0123456789"].map((digit) => metaspace + digit);
  // A character that is rarer than this stays unknown: a vocabulary is no museum of typography.
  const kept = new Map([...words].filter(([word, count]) => count > 1 || /^[\u2581\x20-\x7e]*$/.test(word)));
  const pieces = trainUnigram(kept, { size: options.pieces, required: [metaspace, ...printableAscii, ...digits] });
  const file = `${JSON.stringify(tokenizerFile(pieces, options.sentinels ?? 100))}\n`;
  writeAtomic(path, () => [new TextEncoder().encode(file)]);
}

/** A model folder made of text; yields each step. A finished folder yields nothing. */
export async function* pretrain(options: PretrainOptions): AsyncGenerator<PretrainEvent> {
  const { folder, texts, steps, batchSize, inputLength, labelLength, seed } = options;
  const { embeddingRate = 1, prefixShare = 0, spanChance = 0.075 } = options;
  if (texts.length === 0) throw new RangeError("no text to pretrain on");
  mkdirSync(folder, { recursive: true });
  const { texts: _texts, folder: _folder, checkpointEvery = 250, ...settings } = options;
  const record = { ...settings, texts: texts.length };
  const recordPath = join(folder, "pretraining.json");
  if (existsSync(recordPath)) {
    const before = readFileSync(recordPath, "utf8");
    if (JSON.stringify(JSON.parse(before)) !== JSON.stringify(record)) {
      throw new Error(
        `${folder} was begun with other settings (${recordPath}); take them back or name another folder.`,
      );
    }
  } else writeJson(recordPath, record);
  if (existsSync(join(folder, "model.safetensors"))) return;

  makeTokenizer(options);
  const tokenizer = await loadTokenizer(folder);
  const sentinel = (index: number): number => tokenizer.tokenToId(`<extra_id_${index}>`)!;
  const vocabSize = Math.ceil(tokenizer.vocabularySize / 8) * 8;
  const model = randomT5({ ...options.model, vocabSize }, { seed, tied: true });
  const rows = tokenizer.encodeBatch(texts, { addSpecialTokens: false });

  /** Consecutive texts joined from a random place until there are `wanted` tokens. */
  const window = (stream: Draw, wanted: number): number[] => {
    const ids: number[] = [];
    for (let at = stream.below(texts.length); ids.length < wanted; at = (at + 1) % texts.length) {
      ids.push(...rows.tokens.subarray(rows.offsets[at], rows.offsets[at + 1]));
    }
    return ids.slice(0, wanted);
  };
  /** Tokens of which spans are hidden: a span adds a sentinel to its 2.5 tokens on average, </s> ends both sides. */
  const spansWindow = Math.floor(
    Math.min((inputLength - 1) / (1 - 1.2 * spanChance), (labelLength - 1) / (3.5 * spanChance)),
  );
  const pairOf = (stream: Draw): [number[], number[]] => {
    if (stream.chance(prefixShare)) {
      const ids = window(stream, Math.min(inputLength + labelLength - 2, 2 * labelLength));
      const cut = Math.max(ids.length - labelLength + 1, (ids.length >> 2) + stream.below(ids.length >> 1));
      return [ids.slice(0, cut), ids.slice(cut)];
    }
    const maxSpans = options.sentinels ?? 100;
    return corruptSpans(window(stream, spansWindow), stream, sentinel, { chance: spanChance, maxSpans });
  };
  // What the batch of a step is, is a pure function of the step.
  const batchOf = (step: number): Batch => {
    const stream = draw(seed, "pretraining", String(step));
    const inputIds = new Int32Array(batchSize * inputLength);
    const attentionMask = new Int32Array(batchSize * inputLength);
    const labels = new Int32Array(batchSize * labelLength).fill(-100);
    for (let row = 0; row < batchSize; row++) {
      const [input, target] = pairOf(stream);
      const source = [...input.slice(0, inputLength - 1), tokenizer.endId];
      inputIds.set(source, row * inputLength);
      attentionMask.fill(1, row * inputLength, row * inputLength + source.length);
      labels.set([...target.slice(0, labelLength - 1), tokenizer.endId], row * labelLength);
    }
    return {
      inputIds: tf.tensor2d(inputIds, [batchSize, inputLength], "int32"),
      attentionMask: tf.tensor2d(attentionMask, [batchSize, inputLength], "int32"),
      labels: tf.tensor2d(labels, [batchSize, labelLength], "int32"),
    };
  };

  const optimizer = adamw({ beta2: 0.98, weightDecay: 0 });
  const weights: Named = Object.fromEntries(
    [...model.weights].map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))]),
  );
  let state: State = { weights, slots: tf.tidy(() => keepTree(optimizer.init(weights))) };
  let done = 0;
  const statePath = join(folder, "pretraining-state.safetensors");
  if (existsSync(statePath)) {
    const restored = loadState(statePath, state);
    disposeTree(state as never);
    state = restored.tree;
    done = Number(restored.metadata.step);
  }
  const update = compile(
    (current: State, batch: Batch, rate: tf.Tensor) => {
      const { value, grads } = valueAndGrads(
        (given: Named) => forward(model, { ...batch, ports: { weight: (name, frozen) => given[name] ?? frozen } }).loss,
        current.weights,
      );
      const { gradients } = clipByGlobalNorm(grads, 1);
      const updated = optimizer.update(gradients, current.slots, current.weights, (name) =>
        name === "shared.weight" ? tf.mul(rate, embeddingRate) : rate,
      );
      return { state: { weights: updated.parameters, slots: updated.state }, loss: value };
    },
    { name: "pretraining step", donate: [0] },
  );
  try {
    for (let step = done; step < steps; step++) {
      const at = performance.now();
      const batch = batchOf(step);
      const factor = scheduleFactor({ name: "linear", totalSteps: steps, warmup: 0.03 }, step);
      const rate = tf.scalar(options.learningRate * Math.max(0.01, factor));
      const out = await update(state, batch, rate);
      state = out.state;
      const loss = (await out.loss.data())[0]!;
      disposeTree([batch, rate, out.loss]);
      if (!Number.isFinite(loss)) throw new Error(`pretraining step ${step + 1} gave loss ${loss}; lower learningRate`);
      yield { step: step + 1, totalSteps: steps, loss, stepMs: performance.now() - at };
      if ((step + 1) % checkpointEvery === 0) await saveState(statePath, state, { step: String(step + 1) });
    }
    await saveT5(model, folder, state.weights);
    rmSync(statePath, { force: true });
  } finally {
    update.dispose();
    disposeTree(state as never);
    model.dispose();
  }
}
