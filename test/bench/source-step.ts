// Measures MPT's source-stage step (student forward and backward, teachers' forward in the same step, distillation, a
// mixture of six tasks) against a vanilla prompt tuning step of the same shapes, in pairs in one process. The floor of the
// ratio is 1.5: three passes against two. One JSON line.
//
//   bun test/bench/source-step.ts [--shape base|small] [--batch 8] [--input 156] [--prompt 100] [--pairs 5] [--engine cpu]
import { parseArgs } from "node:util";
import { findMethod } from "#toolkit/methods/methods.ts";
import { randomT5, type T5Config, t5v10 } from "#toolkit/models/t5/index.ts";
import { adamw } from "#toolkit/nn/index.ts";
import {
  currentEngine,
  disposeTree,
  keepTree,
  parseEngineChoice,
  random,
  tf,
  useEngine,
} from "#toolkit/tensor/index.ts";
import {
  createStep,
  type Step,
  type TeacherForcing,
  type TrainState,
  takeStep,
  toTensors,
} from "#toolkit/training/step.ts";

const { values } = parseArgs({
  options: {
    shape: { type: "string", default: "base" },
    batch: { type: "string", default: "8" },
    input: { type: "string", default: "156" },
    target: { type: "string", default: "8" },
    prompt: { type: "string", default: "100" },
    pairs: { type: "string", default: "5" },
    engine: { type: "string", default: "auto" },
  },
});
const [batchSize, inputLength, labelLength, promptLength, pairs] = [
  values.batch,
  values.input,
  values.target,
  values.prompt,
  values.pairs,
].map(Number) as [number, number, number, number, number];
const sizes = {
  base: { hiddenSize: 768, feedForwardSize: 3072, numHeads: 12, numEncoderLayers: 12, numDecoderLayers: 12 },
  small: { hiddenSize: 512, feedForwardSize: 2048, numHeads: 8, numEncoderLayers: 6, numDecoderLayers: 6 },
}[values.shape];
if (sizes === undefined) throw new RangeError(`--shape: expected base or small, got ${values.shape}`);
const config: T5Config = {
  ...sizes,
  vocabSize: 32128,
  headSize: 64,
  ...t5v10,
  dropoutRate: 0,
};
const tasks = 6;
await useEngine(values.engine === "auto" ? undefined : parseEngineChoice(values.engine));
const model = randomT5(config, { seed: 1, tied: true });
const draw = (size: number, below: number): Int32Array =>
  Int32Array.from({ length: size }, (_, index) => 3 + ((index * 7919) % below));
const batch = toTensors({
  inputIds: draw(batchSize * inputLength, 32000),
  attentionMask: new Int32Array(batchSize * inputLength).fill(1),
  labels: draw(batchSize * labelLength, 32000),
  taskIds: Int32Array.from({ length: batchSize }, (_, index) => index % tasks),
  rows: new Int32Array(batchSize),
  batchSize,
  inputLength,
  labelLength,
});
const key = random.key(1);

interface Side {
  readonly step: Step;
  state: TrainState;
  readonly rates: tf.Tensor;
}

function side(name: string, teachers?: TeacherForcing): Side {
  const method = findMethod(name);
  const options = { ...method.defaults, numVirtualTokens: promptLength };
  const optimizer = adamw({ weightDecay: 1e-5 });
  const parameters = keepTree(
    tf.tidy(() =>
      keepTree({
        ...method.init(options, { backbone: model.backbone, numTasks: tasks, seed: 1, tasks: Array(tasks).fill("t") }),
      }),
    ),
  );
  const groups = Object.keys(method.learningRates);
  const step = createStep({
    model,
    method,
    options,
    frozen: {},
    optimizer,
    clipNorm: 1,
    groups,
    precision: "f32",
    ...(teachers === undefined ? {} : { teachers }),
  });
  const state = { parameters, optimizer: tf.tidy(() => keepTree(optimizer.init(parameters))) };
  return { step, state, rates: tf.tensor1d(groups.map(() => 1e-3)) };
}

async function once(one: Side): Promise<number> {
  const at = performance.now();
  const out = await takeStep(one.step, one.state, batch, key, one.rates);
  one.state = out.state;
  await out.numbers.loss!.data();
  const ms = performance.now() - at;
  disposeTree(out.numbers as never);
  return ms;
}

const prompts = tf.randomNormal([tasks, promptLength, config.hiddenSize], 0, 1, "float32", 5);
const vanilla = side("prompt-tuning");
const source = side("mpt", { weight: 0.9, temperature: 1, logits: 1, hidden: 1, hiddenLayers: "last", prompts });
for (const one of [vanilla, source]) {
  await once(one); // traced and compiled here
  await once(one);
}
const measured: { vanilla: number; source: number }[] = [];
for (let pair = 0; pair < pairs; pair++) measured.push({ vanilla: await once(vanilla), source: await once(source) });
const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[numbers.length >> 1]!;
process.stdout.write(
  `${JSON.stringify({
    engine: currentEngine().name,
    device: currentEngine().device,
    shape: `t5-${values.shape}`,
    batchSize,
    promptLength,
    inputLength,
    labelLength,
    vanillaMs: Math.round(median(measured.map((one) => one.vanilla))),
    sourceMs: Math.round(median(measured.map((one) => one.source))),
    ratio: Number(median(measured.map((one) => one.source / one.vanilla)).toFixed(3)),
    pairs: measured.map((one) => Number((one.source / one.vanilla).toFixed(3))),
  })}\n`,
);
process.exit(0);
