// The configuration of a run: plain data, a union discriminated by `stage`, with every default written down here. It
// checks shape, ranges and names and collects all problems; what the method's options and the backbone add to them is
// check.ts. Nothing is read from disk here.
import type { Split, Variant } from "#datasets/contract.ts";
import type { AnyDatasetName } from "#datasets/index.ts";
import type { MethodName } from "#toolkit/methods/methods.ts";
import { editDistance } from "#toolkit/methods/options.ts";
import type { EngineChoice, Precision } from "#toolkit/tensor/contract.ts";

export type OptimizerName = "adamw" | "adafactor" | "sgd";
export type ScheduleName = "linear" | "cosine" | "constant";

/** What every stage has. Times are counted in optimiser steps. */
export interface CommonConfig {
  /** The run's folder. Starting again with the same folder and config goes on from its last checkpoint. */
  readonly run: string;
  /** Folder of the backbone: config.json, safetensors, tokenizer.json. */
  readonly model: string;
  /** Dataset names; several are trained as one mixture, task ids in this order. */
  readonly tasks: readonly AnyDatasetName[];
  /** A name of the methods table. */
  readonly method: MethodName | (string & Record<never, never>);
  /** The method's own options; what is absent is its default. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly steps: number;
  /** Examples of one forward pass; one optimiser step sees `batchSize` × `accumulate`. */
  readonly batchSize: number;
  readonly accumulate: number;
  /**
   * How a step's rows are cut into passes. `exact`: one sub-batch per input length, under a tenth of it padding. `merged`:
   * lengths are put together where the engine's overhead of a pass is estimated to cost more than the padding.
   */
  readonly lengths: "exact" | "merged";
  readonly optimizer: OptimizerName;
  /** Per group of the method (`shared`, `task`, …); absent groups take the method's own rate. */
  readonly learningRates: Readonly<Record<string, number>>;
  /** Multiplies every group's rate: what a learning-rate grid varies. */
  readonly learningRateScale: number;
  readonly schedule: ScheduleName;
  /** Steps of linear warm-up; below 1, a fraction of `steps`. */
  readonly warmup: number;
  readonly weightDecay: number;
  /** Global gradient norm; 0 does not clip. */
  readonly clipNorm: number;
  readonly seed: number;
  /** Few-shot: so many training examples in all, spread evenly over the classes and drawn by `seed`; null is the full training split. */
  readonly shots: number | null;
  /** At most so many examples of each evaluated split; null is all. */
  readonly evaluationExamples: number | null;
  /** Steps between evaluations on validation; 0 evaluates at the end only. */
  readonly evaluateEvery: number;
  readonly evaluationBatchSize: number;
  /** Splits evaluated at the end with the best checkpoint. */
  readonly finalSplits: readonly Split[];
  /** Steps between checkpoints; the last step always makes one. */
  readonly checkpointEvery: number;
  /** Evaluations without a better score before the run stops; 0 never stops early. */
  readonly patience: number;
  /** Folder of another run (or adapters) to start from; null starts fresh. */
  readonly from: readonly string[];
  readonly engine: EngineChoice;
  /** Threads of the engine; null takes BUNSEN_THREADS, else all cores. Fixed when the run begins, and kept on resume. */
  readonly threads: number | null;
  readonly precision: Precision;
  /** Task key in front of the input. */
  readonly prefix: boolean;
  readonly variant: Variant;
  /** Tokens of the input at most; null is the dataset's own limit. */
  readonly maxInputLength: number | null;
  /** Text for a method whose prompt starts from one; null takes the first task's title. */
  readonly initText: string | null;
  /** Tokens of an answer at most, when evaluating. */
  readonly maxNewTokens: number;
  /** Dropout of the backbone while training, or null for the model's own rate. */
  readonly dropout: number | null;
}

/** How much the student copies the teachers. Weight λ = 0.9 and the sum's form: MPT, section 3.3 as reported second-hand (reference notes); T is not stated anywhere readable. */
export interface Distillation {
  /** λ of L = L_PLM + λ (L_logits + L_hidden); 0 trains no teachers. */
  readonly weight: number;
  readonly temperature: number;
  /** Scales inside λ(·): 1 and 1 is the paper's sum. */
  readonly logits: number;
  readonly hidden: number;
  /** `last`: the outputs of both stacks after their final norm; `all`: every layer's output, averaged. The paper's choice is not known. */
  readonly hiddenLayers: "last" | "all";
  /** Steps and learning-rate scale of each teacher, which is vanilla prompt tuning; null takes the run's own. */
  readonly teacherMethod: string;
  readonly teacherSteps: number | null;
  readonly teacherLearningRateScale: number | null;
  /** Folder of the teachers' runs, so that several source runs share them; null: `teachers` in the run's own folder. */
  readonly teacherFolder: string | null;
}

export interface SamplingConfig {
  readonly kind: "proportional" | "equal" | "temperature";
  readonly temperature: number;
  /** A task counts as at most so many examples (T5's examples-proportional mixing: 2^18). */
  readonly cap: number;
  /** Task slots of a batch are drawn uniformly from min..max (stochastic task sampling); null draws rows one by one. */
  readonly slots: { readonly min: number; readonly max: number } | null;
}

/** One task or a mixture, trained from scratch: the baselines. */
export interface SingleConfig extends CommonConfig {
  readonly stage: "single";
}

/** Stage 1: teachers, then the shared prompt with distillation over a mixture. */
export interface SourceConfig extends CommonConfig {
  readonly stage: "source";
  readonly distillation: Distillation;
  readonly sampling: SamplingConfig;
}

/** Stage 2: adaptation to the tasks from what `from` left behind. */
export interface TargetConfig extends CommonConfig {
  readonly stage: "target";
}

export type RunConfig = SingleConfig | SourceConfig | TargetConfig;

type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: DeepPartial<T[K]> }
    : T;

type Needed = "run" | "model" | "tasks" | "method" | "steps";
type Input<C extends RunConfig> = Pick<C, Needed> &
  DeepPartial<Omit<C, Needed | "stage" | "from">> & {
    readonly stage?: C["stage"];
    readonly from?: string | readonly string[];
  };

/** What a user writes: only what differs from the defaults. */
export type RunConfigInput =
  | Input<SingleConfig>
  | (Input<SourceConfig> & { readonly stage: "source" })
  | (Input<TargetConfig> & { readonly stage: "target" });

/** All problems of a configuration together. */
export class ConfigError extends Error {
  override readonly name: string = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length} ${problems.length === 1 ? "problem" : "problems"}:\n${problems
        .map((problem) => `  - ${problem}`)
        .join("\n")}`,
    );
    this.problems = problems;
  }
}

/** Names that a configuration may use; given by the caller, since this file knows neither methods nor datasets. */
export interface KnownNames {
  readonly methods: readonly string[];
  /** True for a dataset name; absent: not checked. */
  readonly isDataset?: (name: string) => boolean;
  readonly datasets?: readonly string[];
}

const splits: readonly Split[] = ["train", "validation", "test"];

/** ` (did you mean "x"?)` for a near name, else nothing. */
export function didYouMean(name: string, names: readonly string[]): string {
  const ranked = names
    .map((candidate): [string, number] => [candidate, editDistance(name.toLowerCase(), candidate.toLowerCase())])
    .sort((a, b) => a[1] - b[1]);
  const [best, far] = ranked[0] ?? ["", Infinity];
  const prefix = names.find((candidate) => name.length > 2 && candidate.toLowerCase().startsWith(name.toLowerCase()));
  if (far <= (name.length < 3 ? 1 : Math.max(2, Math.floor(name.length / 3)))) return ` (did you mean "${best}"?)`;
  return prefix === undefined ? "" : ` (did you mean "${prefix}"?)`;
}

/** `"x"`, `[1,2]`, `undefined` … as a message shows a value that came. */
export const shown = (value: unknown): string => {
  if (value === undefined) return "nothing";
  // JSON has no NaN and no Infinity, and would say null.
  const plain = (_key: string, each: unknown): unknown =>
    typeof each === "number" && !Number.isFinite(each) ? String(each) : each;
  return (typeof value === "number" ? String(value) : (JSON.stringify(value, plain) ?? String(value))).slice(0, 80);
};

/** One field: its default and what it must be. `expected` completes the sentence "expected …". */
interface FieldRule {
  readonly fallback?: unknown;
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

const integer = (fallback: number | undefined, min: number): FieldRule => ({
  ...(fallback === undefined ? {} : { fallback }),
  expected: `an integer of at least ${min}`,
  accepts: (value) => Number.isInteger(value) && (value as number) >= min,
});
const number = (fallback: number, min: number, exclusive = false): FieldRule => ({
  fallback,
  expected: exclusive ? `a number above ${min}` : `a number of at least ${min}`,
  accepts: (value) => typeof value === "number" && Number.isFinite(value) && (exclusive ? value > min : value >= min),
});
const orNull = (rule: FieldRule, fallback: unknown = null): FieldRule => ({
  fallback,
  expected: `${rule.expected} or null`,
  accepts: (value) => value === null || rule.accepts(value),
});
const oneOf = (fallback: string | undefined, values: readonly string[]): FieldRule => ({
  ...(fallback === undefined ? {} : { fallback }),
  expected: `one of ${values.map((value) => `"${value}"`).join(", ")}`,
  accepts: (value) => typeof value === "string" && values.includes(value),
});
const text = (fallback?: string): FieldRule => ({
  ...(fallback === undefined ? {} : { fallback }),
  expected: "a non-empty string",
  accepts: (value) => typeof value === "string" && value !== "",
});
const flag = (fallback: boolean): FieldRule => ({
  fallback,
  expected: "true or false",
  accepts: (value) => typeof value === "boolean",
});
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const texts = (fallback: readonly string[] | undefined, allowed?: readonly string[]): FieldRule => ({
  ...(fallback === undefined ? {} : { fallback }),
  expected: allowed === undefined ? "a list of names" : `a list out of ${allowed.map((a) => `"${a}"`).join(", ")}`,
  accepts: (value) =>
    Array.isArray(value) &&
    value.every((item) => typeof item === "string" && item !== "" && (allowed?.includes(item) ?? true)),
});

const stages = ["single", "source", "target"] as const;

const common: Readonly<Record<string, FieldRule>> = {
  stage: oneOf("single", stages),
  run: text(),
  model: text(),
  tasks: {
    ...texts(undefined),
    expected: "a list of at least one dataset name",
    accepts: (value) => texts([]).accepts(value) && (value as unknown[]).length > 0,
  },
  method: text(),
  options: { fallback: {}, expected: "an object of the method's options", accepts: isRecord },
  steps: integer(undefined, 1),
  batchSize: integer(16, 1),
  accumulate: integer(1, 1),
  lengths: oneOf("exact", ["exact", "merged"]),
  optimizer: oneOf("adamw", ["adamw", "adafactor", "sgd"]),
  learningRates: {
    fallback: {},
    expected: "an object of finite numbers above 0, by parameter group",
    accepts: (value) =>
      isRecord(value) &&
      Object.values(value).every((rate) => typeof rate === "number" && Number.isFinite(rate) && rate > 0),
  },
  learningRateScale: number(1, 0, true),
  schedule: oneOf("linear", ["linear", "cosine", "constant"]),
  warmup: number(0.06, 0),
  weightDecay: number(1e-5, 0),
  clipNorm: number(1, 0),
  seed: integer(42, 0),
  shots: orNull(integer(undefined, 1)),
  evaluationExamples: orNull(integer(undefined, 1)),
  evaluateEvery: integer(0, 0),
  evaluationBatchSize: integer(32, 1),
  finalSplits: texts(["validation", "test"], splits),
  checkpointEvery: integer(100, 1),
  patience: integer(0, 0),
  from: texts([]),
  engine: oneOf("auto", ["auto", "cuda", "cpu", "wasm"]),
  threads: orNull(integer(undefined, 1)),
  precision: oneOf("f32", ["f32", "bf16", "tf32"]),
  prefix: flag(true),
  variant: oneOf("fixed", ["faithful", "fixed"]),
  maxInputLength: orNull(integer(undefined, 4)),
  initText: orNull(text()),
  maxNewTokens: integer(20, 1),
  dropout: {
    fallback: null,
    expected: "a number from 0 to below 1 or null",
    accepts: (value) => value === null || (typeof value === "number" && value >= 0 && value < 1),
  },
};

const distillation: Readonly<Record<string, FieldRule>> = {
  weight: number(0.9, 0),
  temperature: number(1, 0, true),
  logits: number(1, 0),
  hidden: number(1, 0),
  hiddenLayers: oneOf("last", ["last", "all"]),
  teacherMethod: text("prompt-tuning"),
  teacherSteps: orNull(integer(undefined, 1)),
  teacherLearningRateScale: orNull(number(1, 0, true)),
  teacherFolder: orNull(text()),
};

const sampling: Readonly<Record<string, FieldRule>> = {
  kind: oneOf("proportional", ["proportional", "equal", "temperature"]),
  temperature: number(1, 0, true),
  cap: integer(2 ** 18, 1),
  slots: {
    fallback: null,
    expected: "null or {min, max}, integers with 1 ≤ min ≤ max",
    accepts: (value) =>
      value === null ||
      (isRecord(value) &&
        Number.isInteger(value.min) &&
        Number.isInteger(value.max) &&
        (value.min as number) >= 1 &&
        (value.max as number) >= (value.min as number)),
  },
};

function checkFields(
  input: Record<string, unknown>,
  rules: Readonly<Record<string, FieldRule>>,
  path: string,
  problems: string[],
): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const name of Object.keys(input)) {
    if (!(name in rules)) {
      const names = Object.keys(rules);
      problems.push(`${path}${name}: unknown field${didYouMean(name, names)}; expected one of ${names.join(", ")}`);
    }
  }
  for (const [name, rule] of Object.entries(rules)) {
    const value = input[name] === undefined ? rule.fallback : input[name];
    out[name] = value;
    if (!rule.accepts(value)) problems.push(`${path}${name}: expected ${rule.expected}, got ${shown(value)}`);
  }
  return out;
}

/** A configuration with its defaults, and what is wrong with it. Fields that are wrong are as they came. */
export interface ReadConfig {
  readonly config: Readonly<Record<string, unknown>>;
  readonly problems: string[];
}

/**
 * Fills defaults and checks everything that needs no model and no file.
 * @throws ConfigError with every problem, each with what was expected, what came and the allowed values.
 */
export function resolveConfig(input: unknown, known: KnownNames): RunConfig {
  const { config, problems } = readConfig(input, known);
  if (problems.length > 0) throw new ConfigError(problems);
  return config as unknown as RunConfig;
}

/** As `resolveConfig`, for a caller that has more to check: problems are returned. */
export function readConfig(input: unknown, known: KnownNames): ReadConfig {
  if (!isRecord(input)) {
    return { config: {}, problems: [`expected an object with run, model, tasks, method, steps, got ${shown(input)}`] };
  }
  const problems: string[] = [];
  const { distillation: distil, sampling: sample, from, ...rest } = input;
  const config = checkFields(
    { ...rest, ...(from === undefined || from === null ? {} : { from: typeof from === "string" ? [from] : from }) },
    common,
    "",
    problems,
  );
  if (config.stage === "source") {
    for (const [name, value, rules] of [
      ["distillation", distil, distillation],
      ["sampling", sample, sampling],
    ] as const) {
      if (value !== undefined && !isRecord(value)) problems.push(`${name}: expected an object, got ${shown(value)}`);
      config[name] = checkFields(isRecord(value) ? value : {}, rules, `${name}.`, problems);
    }
  } else {
    for (const [name, value] of [["distillation", distil] as const, ["sampling", sample] as const]) {
      if (value !== undefined)
        problems.push(`${name}: only for stage "source", and this stage is ${shown(config.stage)}`);
    }
  }
  if (config.stage === "target" && Array.isArray(config.from) && config.from.length === 0) {
    problems.push('from: stage "target" starts from a source run; expected its folder, got nothing');
  }
  if (typeof config.method === "string" && config.method !== "" && !known.methods.includes(config.method)) {
    problems.push(
      `method: unknown method "${config.method}"${didYouMean(config.method, known.methods)}; expected one of ${known.methods.join(", ")}`,
    );
  }
  const teacher = (config.distillation as Record<string, unknown> | undefined)?.teacherMethod;
  if (typeof teacher === "string" && !known.methods.includes(teacher)) {
    problems.push(
      `distillation.teacherMethod: unknown method "${teacher}"${didYouMean(teacher, known.methods)}; expected one of ${known.methods.join(", ")}`,
    );
  }
  if (Array.isArray(config.tasks)) {
    const names = config.tasks.filter((task): task is string => typeof task === "string");
    for (const task of names) {
      if (known.isDataset !== undefined && !known.isDataset(task)) {
        problems.push(
          `tasks: unknown dataset "${task}"${didYouMean(task, known.datasets ?? [])}; expected one of ${(known.datasets ?? []).join(", ")}`,
        );
      }
    }
    for (const task of names.filter((name, index) => names.indexOf(name) !== index)) {
      problems.push(`tasks: "${task}" is named twice; name each dataset once`);
    }
  }
  return { config, problems };
}

/** Leaves by dotted path, for comparing and for showing a configuration. */
export function flatten(value: unknown, path = ""): Map<string, unknown> {
  const out = new Map<string, unknown>();
  if (isRecord(value) && Object.keys(value).length > 0) {
    for (const [name, item] of Object.entries(value)) {
      for (const [key, leaf] of flatten(item, path === "" ? name : `${path}.${name}`)) out.set(key, leaf);
    }
  } else out.set(path, value);
  return out;
}

/** Lines `path: was → is` for every leaf that differs; empty where the two are the same configuration. */
export function configDifference(before: unknown, after: unknown): string[] {
  const a = flatten(before);
  const b = flatten(after);
  const lines: string[] = [];
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const was = shown(a.get(key));
    const is = shown(b.get(key));
    if (JSON.stringify(a.get(key)) !== JSON.stringify(b.get(key))) lines.push(`${key}: ${was} → ${is}`);
  }
  return lines;
}

/** Sets dotted paths, as the command line's `--set key=value` does; values are JSON where they parse as such, else text. */
export function applySettings(input: Record<string, unknown>, settings: readonly string[]): Record<string, unknown> {
  const out = structuredClone(input);
  const problems: string[] = [];
  for (const setting of settings) {
    const at = setting.indexOf("=");
    if (at < 1) {
      problems.push(`--set ${setting}: expected key=value, e.g. --set options.numVirtualTokens=20`);
      continue;
    }
    const path = setting.slice(0, at).split(".");
    const raw = setting.slice(at + 1);
    let value: unknown = raw;
    try {
      value = JSON.parse(raw);
    } catch {
      value = raw; // a plain word needs no quotes on the command line
    }
    let node = out;
    for (const name of path.slice(0, -1)) {
      if (!isRecord(node[name])) node[name] = {};
      node = node[name] as Record<string, unknown>;
    }
    node[path.at(-1)!] = value;
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return out;
}
