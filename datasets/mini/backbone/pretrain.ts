// Makes the toy backbone of the mini benchmark: learns a vocabulary, pretrains a T5 v1.0 of width 64 with 2 + 2 layers
// on generated text (tasks.ts), and writes tokenizer.json, config.json, model.safetensors and log.jsonl beside itself.
//
//   command   bun datasets/mini/backbone/pretrain.ts [--steps 3000] [--out FOLDER] [--seed 1]
//   expected  loss about 1.3 (see log.jsonl), a file under 4 MB
//   time      about 9 minutes on two busy cores with the native engine (wasm runs out of memory at this batch)
//
// Same seed, engine, machine and thread count: same bytes. It uses the toolkit as any program does, by its public names.
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  adamw,
  compile,
  crossEntropy,
  disposeTree,
  forward,
  keepTree,
  loadTokenizer,
  randomT5,
  saveT5,
  scheduleFactor,
  type T5Config,
  t5v10,
  tf,
  useEngine,
  valueAndGrads,
} from "bunsen";
import { type Denoising, denoising, vocabularyText } from "./tasks.ts";
import { countWords, metaspace, printableAscii, tokenizerFile, trainUnigram } from "./unigram.ts";

const { values: flags } = parseArgs({
  options: {
    steps: { type: "string", default: "3000" },
    out: { type: "string", default: import.meta.dirname },
    seed: { type: "string", default: "1" },
  },
});
const settings = {
  seed: Number(flags.seed),
  steps: Number(flags.steps),
  batchSize: 48,
  maxInput: 56,
  maxTarget: 16,
  learningRate: 4e-3,
  warmup: 100,
  clipNorm: 1,
  pieces: 2400,
  vocabularyTexts: 12_000,
  sentinels: 20,
} as const;

const startedAt = performance.now();
const seconds = (): number => Math.round((performance.now() - startedAt) / 100) / 10;
mkdirSync(flags.out, { recursive: true });
const log: string[] = [];
const note = (entry: Record<string, unknown>): void => {
  const line = JSON.stringify({ ...entry, seconds: seconds() });
  log.push(line);
  process.stdout.write(`${line}\n`);
};
const write = (name: string, text: string): void => {
  writeFileSync(join(flags.out, `${name}.part`), text);
  renameSync(join(flags.out, `${name}.part`), join(flags.out, name));
};

// 1. Vocabulary.
const words = countWords(vocabularyText(settings.seed, settings.vocabularyTexts));
const digits = [..."0123456789"].map((digit) => metaspace + digit);
const pieces = trainUnigram(words, { size: settings.pieces, required: [metaspace, ...printableAscii, ...digits] });
write("tokenizer.json", `${JSON.stringify(tokenizerFile(pieces, settings.sentinels), null, 1)}\n`);
const tokenizer = await loadTokenizer(flags.out);
const encode = (text: string): number[] => [...tokenizer.encode(text, { addSpecialTokens: false })];
const sentinel = (index: number): number => tokenizer.tokenToId(`<extra_id_${index}>`)!;

// 2. A fresh model of the vocabulary's size, rounded up so that rows come in eights.
const config: T5Config = {
  vocabSize: Math.ceil(tokenizer.vocabularySize / 8) * 8,
  hiddenSize: 64,
  headSize: 16,
  numHeads: 4,
  feedForwardSize: 256,
  numEncoderLayers: 2,
  numDecoderLayers: 2,
  ...t5v10,
  dropoutRate: 0, // a model this small underfits: dropout would only slow it down
};
const engine = await useEngine();
const model = randomT5(config, { seed: settings.seed, tied: true, name: "mini" });
note({
  ...settings,
  engine: engine.name,
  device: engine.device,
  words: words.size,
  vocabulary: tokenizer.vocabularySize,
  parameters: model.backbone.numParameters,
});

// 3. Denoising.
type Tensors = { inputIds: tf.Tensor; attentionMask: tf.Tensor; labels: tf.Tensor };

/** [B, T] inputs and [B, L] labels, each ended by `</s>`. */
function collate(pairs: readonly Denoising[]): Tensors {
  const { maxInput, maxTarget } = settings;
  const inputIds = new Int32Array(pairs.length * maxInput);
  const attentionMask = new Int32Array(pairs.length * maxInput);
  const labels = new Int32Array(pairs.length * maxTarget).fill(-100);
  for (const [row, pair] of pairs.entries()) {
    const input = [...pair.input, tokenizer.endId];
    inputIds.set(input, row * maxInput);
    attentionMask.fill(1, row * maxInput, row * maxInput + input.length);
    labels.set([...pair.target, tokenizer.endId], row * maxTarget);
  }
  return {
    inputIds: tf.tensor2d(inputIds, [pairs.length, maxInput], "int32"),
    attentionMask: tf.tensor2d(attentionMask, [pairs.length, maxInput], "int32"),
    labels: tf.tensor2d(labels, [pairs.length, maxTarget], "int32"),
  };
}
const streamOf = (stream: string): Generator<Denoising> =>
  denoising({
    encode,
    sentinel,
    seed: settings.seed,
    stream,
    maxInput: settings.maxInput - 1,
    maxTarget: settings.maxTarget - 1,
  });
const take = (stream: Generator<Denoising>, count: number): Denoising[] =>
  Array.from({ length: count }, () => stream.next().value as Denoising);

/**
 * Cross-entropy where an example weighs √length rather than its length: answers of one token must not drown in spans.
 */
function loss(logits: tf.Tensor, labels: tf.Tensor): tf.Tensor {
  const [batch, length, vocabulary] = logits.shape as [number, number, number];
  const counted = tf.cast(tf.greaterEqual(labels, tf.scalar(0, "int32")), "float32");
  const weights = tf.div(counted, tf.sqrt(tf.sum(counted, 1, true)));
  const ids = tf.reshape(tf.maximum(labels, tf.scalar(0, "int32")), [batch * length]);
  const hot = tf.cast(tf.oneHot(ids, vocabulary), "float32");
  const negative = tf.neg(tf.sum(tf.mul(tf.logSoftmax(tf.reshape(logits, [batch * length, vocabulary])), hot), -1));
  return tf.div(tf.sum(tf.mul(negative, tf.reshape(weights, [batch * length]))), tf.sum(weights));
}

type Weights = Record<string, tf.Tensor>;
const optimizer = adamw({ beta2: 0.98, weightDecay: 0 });
const run = (weights: Weights, batch: Tensors): ReturnType<typeof forward> =>
  forward(model, { ...batch, ports: { weight: (name, frozen) => weights[name] ?? frozen } });
type State = { weights: Weights; slots: ReturnType<typeof optimizer.init> };
const step = compile(
  (state: State, batch: Tensors, rate: tf.Tensor) => {
    const { value, grads } = valueAndGrads(
      (weights: Weights) => loss(run(weights, batch).logits, batch.labels),
      state.weights,
    );
    const norm = tf.sqrt(tf.addN(Object.values(grads).map((gradient) => tf.sum(tf.square(gradient)))));
    const factor = tf.minimum(1, tf.div(settings.clipNorm, tf.add(norm, 1e-6)));
    const clipped = Object.fromEntries(
      Object.entries(grads).map(([name, gradient]) => [name, tf.mul(gradient, factor)]),
    );
    const updated = optimizer.update(clipped, state.slots, state.weights, () => rate);
    return { state: { weights: updated.parameters as Weights, slots: updated.state }, loss: value };
  },
  { name: "pretraining step", donate: [0] },
);
const correct = compile(
  (weights: Weights, batch: Tensors) => {
    const { logits } = run(weights, batch);
    const counted = tf.cast(tf.greaterEqual(batch.labels, tf.scalar(0, "int32")), "float32");
    const hit = tf.cast(tf.equal(tf.cast(tf.argMax(logits, -1), "int32"), batch.labels), "float32");
    return {
      hits: tf.sum(tf.mul(hit, counted), 1),
      tokens: tf.sum(counted, 1),
      loss: crossEntropy(logits, batch.labels),
    };
  },
  { name: "held-out accuracy" },
);

const weights: Weights = Object.fromEntries(
  [...model.weights].map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))]),
);
let state: State = { weights, slots: tf.tidy(() => keepTree(optimizer.init(weights))) };
const heldOutStream = streamOf("held out");
const heldOut = Array.from({ length: 6 }, () => take(heldOutStream, settings.batchSize));

/** Share of held-out examples with every token right, by objective and kind; of spans, the share of tokens. */
async function accuracies(): Promise<Record<string, number>> {
  const counts = new Map<string, [right: number, all: number]>();
  for (const pairs of heldOut) {
    const batch = collate(pairs);
    const out = await correct(state.weights, batch);
    const hits = await out.hits.data();
    const tokens = await out.tokens.data();
    for (const [row, pair] of pairs.entries()) {
      const key = pair.objective === "spans" ? "spans" : `${pair.objective} ${pair.kind}`;
      const count = counts.get(key) ?? [0, 0];
      const spans = pair.objective === "spans";
      count[0] += spans ? hits[row]! : Number(hits[row] === tokens[row]);
      count[1] += spans ? tokens[row]! : 1;
      counts.set(key, count);
    }
    disposeTree([batch, out]);
  }
  return Object.fromEntries(
    [...counts].sort().map(([key, [right, all]]) => [key, Math.round((1000 * right) / all) / 1000]),
  );
}

const training = streamOf("train");
let mean = 0;
for (let index = 0; index < settings.steps; index++) {
  const factor = scheduleFactor({ name: "linear", totalSteps: settings.steps, warmup: settings.warmup }, index);
  const batch = collate(take(training, settings.batchSize));
  const rate = tf.scalar(settings.learningRate * Math.max(factor, 0.01));
  const out = await step(state, batch, rate);
  state = out.state;
  const value = (await out.loss.data())[0]!;
  disposeTree([batch, rate, out.loss]);
  if (!Number.isFinite(value)) throw new Error(`step ${index + 1} gave loss ${value}; lower the learning rate`);
  mean = index === 0 ? value : 0.98 * mean + 0.02 * value;
  if ((index + 1) % 250 === 0 || index + 1 === settings.steps) {
    note({ step: index + 1, loss: Math.round(mean * 1e4) / 1e4, heldOut: await accuracies() });
  }
}

// 4. The folder.
await saveT5(model, flags.out, state.weights);
write("log.jsonl", `${log.join("\n")}\n`);
