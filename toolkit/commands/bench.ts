// `bunsen bench`: measures the engine and the training step on this machine, one JSON line each. The step is the very
// one that `train` runs (training/step.ts), on random weights of a known shape. Peers are measured by their own scripts.
import { parseArgs } from "node:util";
import { findMethod } from "#toolkit/methods/index.ts";
import { parseT5Config, type T5Model, t5Model } from "#toolkit/models/t5/index.ts";
import { t5Shapes } from "#toolkit/models/t5/weights.ts";
import { adamw } from "#toolkit/nn/index.ts";
import {
  compile,
  currentEngine,
  disposeTree,
  type Precision,
  parseEngineChoice,
  random,
  type TensorTree,
  tensorFromBytes,
  tf,
  treeLeaves,
  useEngine,
} from "#toolkit/tensor/index.ts";
import { createStep, type Step, type TrainState, takeStep, toTensors } from "#toolkit/training/step.ts";
import { type Command, UsageError } from "./contract.ts";

/** Shapes of the published T5 v1.0 checkpoints, in the hub's names, and one for runs of many steps. */
export const shapes: Readonly<Record<string, Record<string, number>>> = {
  "t5-tiny": { d_model: 64, d_kv: 16, d_ff: 128, num_layers: 2, num_heads: 4, vocab_size: 1024 },
  "t5-small": { d_model: 512, d_kv: 64, d_ff: 2048, num_layers: 6, num_heads: 8 },
  "t5-base": { d_model: 768, d_kv: 64, d_ff: 3072, num_layers: 12, num_heads: 12 },
  "t5-large": { d_model: 1024, d_kv: 64, d_ff: 4096, num_layers: 24, num_heads: 16 },
  "t5-3b": { d_model: 1024, d_kv: 128, d_ff: 16384, num_layers: 24, num_heads: 32 },
};

const flags = {
  shape: { type: "string", default: "t5-base" },
  method: { type: "string", default: "mpt" },
  batch: { type: "string", default: "4" },
  prompt: { type: "string", default: "100" },
  input: { type: "string", default: "156" },
  target: { type: "string", default: "8" },
  tasks: { type: "string", default: "6" },
  precision: { type: "string", default: "f32" },
  dropout: { type: "string", default: "0" },
  engine: { type: "string" },
  steps: { type: "string", default: "5" },
  share: { type: "boolean" },
} as const;

const usage = `usage: bunsen bench step [flags]     a training step of a T5 with a prompt method
       bunsen bench matmul [flags]   a [2048, 768] by [768, 3072] product

flags with their defaults: ${Object.entries(flags)
  .filter(([, flag]) => flag.type === "string")
  .map(([name, flag]) => `--${name} ${"default" in flag ? flag.default : "auto"}`)
  .join(" ")}
--share runs the matmul between the steps and prints the step's share of its rate, medians of both.
Prints one JSON line. Shapes: ${Object.keys(shapes).join(", ")}. Precisions: f32, bf16, tf32 (CUDA).

example: bunsen bench step --shape t5-base --method mpt --precision bf16 --dropout 0.1 --steps 5
memory over many steps, first and last tenth: bunsen bench step --shape t5-tiny --prompt 8 --input 16 --steps 10000`;

export interface BenchSettings {
  readonly shape: string;
  readonly method: string;
  readonly batch: number;
  readonly prompt: number;
  readonly input: number;
  readonly target: number;
  readonly tasks: number;
  readonly precision: Precision;
  readonly dropout: number;
  readonly engine: string | undefined;
  readonly steps: number;
  /** Whether the matmul runs between the steps. */
  readonly share: boolean;
}

/** The flags of `bunsen bench`, for it and for the scripts that measure the same step beside a peer. @throws UsageError */
export function parseBench(args: readonly string[]): BenchSettings {
  let values: Record<string, string | undefined>;
  let share = false;
  try {
    const { share: isShared, ...parsed } = parseArgs({ args: [...args], options: flags, strict: true }).values;
    share = isShared === true;
    values = parsed;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${usage}`);
  }
  const whole = (name: keyof typeof flags): number => {
    const value = Number(values[name]);
    if (!Number.isSafeInteger(value) || value < 1)
      throw new UsageError(`--${name} expected a whole number of at least 1, got ${values[name]}`);
    return value;
  };
  const oneOf = <T extends string>(name: keyof typeof flags, allowed: readonly T[]): T => {
    if (!allowed.includes(values[name] as T))
      throw new UsageError(`--${name} expected one of ${allowed.join(", ")}, got ${values[name]}`);
    return values[name] as T;
  };
  const dropout = Number(values.dropout);
  if (!(dropout >= 0 && dropout < 1))
    throw new UsageError(`--dropout expected a number from 0 to below 1, got ${values.dropout}`);
  return {
    shape: oneOf("shape", Object.keys(shapes)),
    method: values.method!,
    batch: whole("batch"),
    prompt: whole("prompt"),
    input: whole("input"),
    target: whole("target"),
    tasks: whole("tasks"),
    precision: oneOf("precision", ["f32", "bf16", "tf32"]),
    dropout,
    engine: values.engine,
    steps: whole("steps"),
    share,
  };
}

/** Random weights at the scale of T5's initialisation, straight to the device; the values do not change the time. */
function weightsOf(shape: string, precision: Precision, dropout: number): T5Model {
  const config = parseT5Config({ model_type: "t5", ...shapes[shape], dropout_rate: dropout });
  const weights = new Map<string, tf.Tensor>();
  let state = 1;
  const entries = [...t5Shapes(config)];
  const sizeOf = (dimensions: readonly number[]): number => dimensions.reduce((product, size) => product * size, 1);
  // One array for all: garbage of a model's size would count as the step's memory.
  const whole = new Float32Array(Math.max(...entries.map(([, dimensions]) => sizeOf(dimensions))));
  for (const [name, dimensions] of entries) {
    const size = sizeOf(dimensions);
    const values = whole.subarray(0, size);
    // T5 draws q smaller by √D, since its scores are not divided by it: with larger scores roundings to bf16 grow to the size of the result.
    const fanIn = (dimensions[1] ?? 1) * (name.endsWith(".q.weight") ? config.headSize : 1);
    const scale = name === "shared.weight" ? 1 : 2 * fanIn ** -0.5;
    for (let i = 0; i < size; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      values[i] = dimensions.length === 1 ? 1 : (state / 2 ** 31) * scale;
    }
    weights.set(
      name,
      tf.keep(
        tensorFromBytes(new Uint8Array(values.buffer, 0, values.byteLength), "F32", dimensions, {
          store: precision === "bf16" ? "bf16" : "f32",
        }),
      ),
    );
  }
  return t5Model(config, weights, shape);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
/** GFLOP/s of so many GFLOP in so many milliseconds. */
const rate = (gflop: number, ms: number): number => (1000 * gflop) / ms;
const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits));

/** A training step on random weights, ready to run. */
export interface PreparedStep {
  /** One step from the state that the last one left. The first call traces and compiles. */
  next(index: number): Promise<{ readonly loss: number }>;
  /** The same without the update: forward and backward. */
  gradients(index: number): Promise<{ readonly loss: number }>;
  /** Of the programs of the gradients and of the update. */
  readonly stats: Step["stats"];
  readonly state: TrainState;
}

/** Sets the step up on the engine in use. */
export function prepareStep(settings: BenchSettings): PreparedStep {
  const { batch, prompt, input, target, tasks, precision, dropout } = settings;
  const model = weightsOf(settings.shape, precision, dropout);
  const method = findMethod(settings.method);
  const options = {
    ...method.defaults,
    ...("numVirtualTokens" in method.defaults ? { numVirtualTokens: prompt } : {}),
    ...("init" in method.defaults ? { init: "random" } : {}),
  };
  const names = Array.from({ length: tasks }, (_, index) => `task ${index}`);
  const parameters = method.init(options, { backbone: model.backbone, numTasks: tasks, seed: 0, tasks: names });
  const trainable = Object.fromEntries(
    Object.entries(parameters).filter(([name]) => method.group(name, options) !== null),
  );
  const frozen = Object.fromEntries(
    Object.entries(parameters).filter(([name]) => method.group(name, options) === null),
  );
  const groups = [...new Set(Object.keys(trainable).map((name) => method.group(name, options)!))];
  const optimizer = adamw();
  const step = createStep({ model, method, options, frozen, optimizer, clipNorm: 0, groups, precision });
  let state: TrainState = { parameters: trainable, optimizer: optimizer.init(trainable) };
  const tensors = toTensors({
    batchSize: batch,
    inputLength: input,
    labelLength: target,
    inputIds: new Int32Array(batch * input).fill(5),
    attentionMask: new Int32Array(batch * input).fill(1),
    labels: new Int32Array(batch * target).fill(7),
    taskIds: new Int32Array(batch).fill(0),
  } as never);
  const rates = tf.fill([groups.length], 0.3);
  const shares = tf.ones([3]);
  return {
    async next(index) {
      const key = random.key(index);
      const next = await takeStep(step, state, tensors, key, rates);
      const loss = (await next.numbers.loss!.data())[0]!;
      state = next.state;
      disposeTree([next.numbers, key]);
      return { loss };
    },
    async gradients(index) {
      const key = random.key(index);
      const out = await step.gradients(state.parameters, tensors, key, shares);
      const loss = (await out.numbers.loss!.data())[0]!;
      disposeTree([out.gradients, out.numbers, key]);
      return { loss };
    },
    get stats() {
      return step.stats;
    },
    get state() {
      return state;
    },
  };
}

/** Of all bits of a tree's tensors. */
function hashOf(tree: TensorTree): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const leaf of treeLeaves(tree)) {
    const values = leaf.dataSync() as Float32Array;
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}

/** Memory of the first and the last tenth of the steps. */
function growth(memory: readonly { readonly rss: number; readonly tensors: number }[]): Record<string, number> {
  const tenth = Math.floor(memory.length / 10);
  const mean = (part: readonly { readonly rss: number }[]): number =>
    part.reduce((sum, { rss }) => sum + rss, 0) / part.length;
  const [first, last] = [mean(memory.slice(0, tenth)), mean(memory.slice(-tenth))];
  return {
    rss_first_tenth_mib: rounded(first, 1),
    rss_last_tenth_mib: rounded(last, 1),
    rss_growth_percent: rounded(100 * (last / first - 1), 2),
    tensors_first: memory[0]!.tensors,
    tensors_last: memory.at(-1)!.tensors,
  };
}

async function benchStep(settings: BenchSettings): Promise<Record<string, unknown>> {
  const { batch, prompt, input, target, precision, dropout, steps } = settings;
  await useEngine(settings.engine === undefined ? undefined : parseEngineChoice(settings.engine));
  const step = prepareStep(settings);
  const times: number[] = [];
  const cpu: number[] = [];
  const memory: { rss: number; tensors: number }[] = [];
  let first = { ms: 0, cpu: 0 };
  let loss = Number.NaN;
  const matmul = settings.share ? await prepareMatmul(precision) : undefined;
  const products: number[] = [];
  // The first call traces and compiles; it is not one of the steps.
  for (let index = 0; index <= steps; index++) {
    const start = performance.now();
    const startCpu = process.cpuUsage();
    ({ loss } = await step.next(index));
    const used = process.cpuUsage(startCpu);
    const took = { ms: performance.now() - start, cpu: (used.user + used.system) / 1000 };
    if (index === 0) {
      first = took;
      continue;
    }
    times.push(took.ms);
    cpu.push(took.cpu);
    memory.push({ rss: process.memoryUsage.rss() / 2 ** 20, tensors: tf.memory().numTensors });
    for (let round = 0; matmul && round < 10; round++) products.push(await matmul());
  }
  const { stats } = step;
  const engine = currentEngine();
  const gflop = stats.gradients.flops / 1e9;
  const stepMs = median(times);
  const compileMs = Math.max(0, first.ms - stats.gradients.traceMs - Math.min(...times));
  return {
    bench: "step",
    engine: engine.name,
    version: engine.version,
    device: engine.device,
    shape: settings.shape,
    method: settings.method,
    batch,
    prompt,
    input,
    target,
    precision,
    dropout,
    steps,
    step_ms_median: rounded(stepMs, 1),
    step_ms_min: rounded(Math.min(...times), 1),
    // Of all cores together: tells a slow step from a busy machine.
    cpu_ms_median: rounded(median(cpu), 1),
    trace_ms: rounded(stats.gradients.traceMs, 1),
    // What the first step took beyond tracing and a later step: besides the compiler's work, the products' kernels are set
    // up and memory is touched for the first time. Parts of a program run while others are compiled, so it is one number.
    compile_ms: rounded(compileMs, 1),
    compile_cpu_ms: rounded(first.cpu - median(cpu), 1),
    // Kilobytes on Linux.
    peak_rss_mib: rounded(process.resourceUsage().maxRSS / 1024),
    ...(steps >= 100 ? growth(memory) : {}),
    gflop: rounded(gflop, 1),
    gflops: rounded(rate(gflop, stepMs), 1),
    ...(matmul === undefined
      ? {}
      : {
          matmul_gflops_median: rounded(rate(matmulGflop, median(products)), 1),
          matmul_gflops_best: rounded(rate(matmulGflop, Math.min(...products)), 1),
          share: rounded(rate(gflop, stepMs) / rate(matmulGflop, median(products)), 3),
          share_of_best: rounded(rate(gflop, Math.min(...times)) / rate(matmulGflop, Math.min(...products)), 3),
        }),
    tokens_per_s: rounded((1000 * batch * (input + target)) / stepMs, 1),
    loss: rounded(loss, 4),
    // Equal in two processes that computed the same bits.
    state_hash: hashOf(step.state),
  };
}

const [rows, inner, columns] = [2048, 768, 3072] as const;
const matmulGflop = (2 * rows * inner * columns) / 1e9;

/** The product [2048, 768] by [768, 3072], compiled; each call gives its milliseconds. */
async function prepareMatmul(precision: Precision): Promise<() => Promise<number>> {
  const store = precision === "bf16" ? "bf16" : "f32";
  const upload = (shape: readonly [number, number], seed: number): tf.Tensor => {
    const values = Float32Array.from({ length: shape[0] * shape[1] }, (_, index) => Math.sin(index * seed));
    return tf.keep(tensorFromBytes(new Uint8Array(values.buffer), "F32", shape, { store }));
  };
  const [a, b] = [upload([rows, inner], 1), upload([inner, columns], 2)];
  const product = compile((x: tf.Tensor, y: tf.Tensor) => [tf.matMul(x, y)], { precision, name: "matmul" });
  const call = async (): Promise<number> => {
    const start = performance.now();
    disposeTree(await product(a, b));
    return performance.now() - start;
  };
  for (let index = 0; index < 3; index++) await call();
  return call;
}

async function benchMatmul(settings: BenchSettings): Promise<Record<string, unknown>> {
  await useEngine(settings.engine === undefined ? undefined : parseEngineChoice(settings.engine));
  const matmul = await prepareMatmul(settings.precision);
  const times: number[] = [];
  for (let index = 0; index < settings.steps; index++) times.push(await matmul());
  const engine = currentEngine();
  return {
    bench: "matmul",
    engine: engine.name,
    device: engine.device,
    precision: settings.precision,
    gflops: rounded(rate(matmulGflop, Math.min(...times)), 1),
    gflops_median: rounded(rate(matmulGflop, median(times)), 1),
  };
}

const benches: Readonly<Record<string, (settings: BenchSettings) => Promise<Record<string, unknown>>>> = {
  step: benchStep,
  matmul: benchMatmul,
};

export const command: Command = {
  summary: "measure the engine and the training step",
  usage,
  async run(args, terminal) {
    const [name, ...rest] = args;
    const bench = benches[name ?? ""];
    if (!bench)
      throw new UsageError(`bench expected ${Object.keys(benches).join(" or ")}, got ${name ?? "nothing"}\n\n${usage}`);
    terminal.out(JSON.stringify(await bench(parseBench(rest))));
    return 0;
  },
};

/** The command as a function of its arguments, for scripts. */
export async function bench(args: readonly string[]): Promise<number> {
  return command.run(args, { out: console.log, err: console.error, interactive: false });
}
