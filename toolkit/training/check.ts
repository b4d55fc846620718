// The check of a run before anything is loaded, in two stages whose problems come together in one error: what the
// configuration alone tells (fields, names, the method's options and groups), then what small files add (the backbone's
// config.json, tokenizer and headers, the runs it starts from, labels). No weight is read and no engine started.
import { type Dataset, datasetNames, findDataset, type Split } from "#datasets/index.ts";
import { DataError, loadDataset } from "#toolkit/batches/index.ts";
import type { SourceShape } from "#toolkit/methods/contract.ts";
import { type AnyMethod, findMethod, methodNames, validateOptions } from "#toolkit/methods/methods.ts";
import type { Field } from "#toolkit/methods/options.ts";
import type { Tokenizer } from "#toolkit/tokenizers/index.ts";
import { inspectBackbone } from "./backbones.ts";
import { ConfigError, didYouMean, isRecord, type ReadConfig, type RunConfig, readConfig, shown } from "./config.ts";
import { inspectSources } from "./sources.ts";

/** Fills and checks a configuration by itself: fields, names, the method's options and groups. @throws ConfigError */
export function resolveRun(input: unknown): RunConfig {
  const { config, problems } = readRun(input);
  if (problems.length > 0) throw new ConfigError(problems);
  return config as unknown as RunConfig;
}

/**
 * As `resolveRun`, and everything that the backbone's small files, the runs of `from` and data on this machine tell.
 * @throws ConfigError with every problem of both stages, each with what was expected, what came and the allowed values
 */
export async function checkRun(input: unknown): Promise<RunConfig> {
  const { config, problems } = readRun(input);
  problems.push(...(await fileProblems(config)));
  if (problems.length > 0) throw new ConfigError([...new Set(problems)]);
  return config as unknown as RunConfig;
}

/**
 * What the backbone's small files and data on this machine tell of configurations, each problem once. The runs of `from`
 * are left out: a study's are not trained yet when it is checked.
 */
export async function backboneProblems(inputs: readonly unknown[]): Promise<string[]> {
  const problems = new Set<string>();
  for (const input of inputs) {
    const { config } = readRun(input);
    for (const problem of await fileProblems({ ...config, from: [] })) problems.add(problem);
  }
  return [...problems];
}

function readRun(input: unknown): ReadConfig {
  const datasets = datasetNames();
  const read = readConfig(input, { methods: methodNames, datasets, isDataset: (name) => datasets.includes(name) });
  read.problems.push(...methodProblems(read.config));
  return read;
}

/** The method and its options with defaults, where the configuration names one. */
function methodOf(
  config: ReadConfig["config"],
): { readonly method: AnyMethod; readonly options: Record<string, unknown> } | null {
  const { method: name, options } = config;
  if (typeof name !== "string" || !(methodNames as readonly string[]).includes(name)) return null;
  const method = findMethod(name);
  return { method, options: { ...method.defaults, ...(isRecord(options) ? options : {}) } };
}

const named = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === "string" && item !== "") : [];

/** `options.rank must be …` */
const asOption = (problem: string): string => `options.${problem}`;

/** What a configuration's method says to it. */
function methodProblems(config: ReadConfig["config"]): string[] {
  const known = methodOf(config);
  if (known === null) return [];
  const { method, options } = known;
  const problems = validateOptions(method, options, null).map(asOption);
  const groups = Object.keys(method.learningRates);
  for (const name of Object.keys(isRecord(config.learningRates) ? config.learningRates : {})) {
    if (groups.includes(name)) continue;
    problems.push(
      `learningRates.${name}: ${method.name} has no such group${didYouMean(name, groups)}; expected one of ${groups.join(", ")}`,
    );
  }
  problems.push(...needProblems(method, options, config));
  if (config.stage === "source") problems.push(...teacherProblems(method, options, config.distillation));
  return problems;
}

/** What the method needs of the rest of the configuration. */
function needProblems(method: AnyMethod, options: Record<string, unknown>, config: ReadConfig["config"]): string[] {
  const problems: string[] = [];
  // A target without `from` has been told so.
  if (method.needsSources === true && named(config.from).length === 0 && config.stage !== "target") {
    problems.push(
      `from: ${method.name} starts from what was trained on other tasks; expected the folder of at least one finished run, got nothing`,
    );
  }
  const [first] = named(config.tasks);
  for (const [name, field] of Object.entries<Field>(method.fields)) {
    if (field.kind !== "choice" || first === undefined || !datasetNames().includes(first)) continue;
    if (field.needs?.[String(options[name])] !== "labels" || (findDataset(first).labels?.length ?? 0) > 0) continue;
    const others = field.values.filter((value) => field.needs?.[value] === undefined);
    problems.push(
      `options.${name} ${shown(options[name])} starts from class labels, and ${first} has none; expected one of ${others.join(", ")}`,
    );
  }
  return problems;
}

/** Whether its virtual tokens stand before the input, as one prompt. */
const hasPrompt = ({ fields }: AnyMethod): boolean =>
  Object.values<Field>(fields).some((field) => field.is === "prompt length");

/** Whether teachers can be trained that the method's prompt can be compared with. */
function teacherProblems(method: AnyMethod, options: Record<string, unknown>, distillation: unknown): string[] {
  if (!isRecord(distillation) || !(Number(distillation.weight) > 0)) return [];
  const length = "numVirtualTokens";
  const problems: string[] = [];
  if (!hasPrompt(method)) {
    problems.push(
      `distillation.weight: expected 0, got ${shown(distillation.weight)}: ${method.name} has no prompt of one length (option ${length}) that a teacher's could be compared with`,
    );
    return problems;
  }
  const teacher = methodOf({ method: distillation.teacherMethod });
  if (teacher === null) return problems;
  if (!hasPrompt(teacher.method) || teacher.method.needsSources === true) {
    const fit = methodNames.filter((name) => {
      const candidate = findMethod(name);
      return hasPrompt(candidate) && candidate.needsSources !== true;
    });
    problems.push(
      `distillation.teacherMethod: expected a method with a prompt of one length that starts from nothing (${fit.join(", ")}), got ${shown(distillation.teacherMethod)}`,
    );
    return problems;
  }
  const own = validateOptions(teacher.method, { ...teacher.options, [length]: options[length] }, null);
  // What the student's own length is blamed for need not be said of its teachers too.
  problems.push(
    ...own
      .filter((problem) => !problem.startsWith(length))
      .map((problem) => `distillation.teacherMethod ${teacher.method.name}: ${problem}`),
  );
  return problems;
}

/** The second stage: what files tell. Parts of the configuration that are no names cannot be looked up. */
async function fileProblems(config: ReadConfig["config"]): Promise<string[]> {
  const problems: string[] = [];
  const { model } = config;
  const backbone = typeof model === "string" && model !== "" ? await inspectBackbone(model) : null;
  problems.push(...(backbone?.problems ?? []).map((problem) => `model: ${problem}`));
  const shape = backbone?.shape ?? null;
  const known = methodOf(config);
  if (known !== null && shape !== null)
    problems.push(...validateOptions(known.method, known.options, shape).map(asOption));
  const from = inspectSources(named(config.from), shape);
  problems.push(...from.problems.map((problem) => `from: ${problem}`));
  if (known !== null && shape !== null && from.problems.length === 0 && from.sources.length > 0) {
    const tasks = named(config.tasks);
    problems.push(...sourceFit(known, shape, tasks, from.sources).map((problem) => `from: ${problem}`));
  }
  for (const task of named(config.tasks)) {
    if (!datasetNames().includes(task)) continue;
    if (backbone?.tokenizer) problems.push(...labelProblems(task, backbone.tokenizer, String(model)));
    problems.push(...(await dataProblems(task, config)));
  }
  return problems;
}

function sourceFit(
  { method, options }: { readonly method: AnyMethod; readonly options: Record<string, unknown> },
  backbone: { readonly hiddenSize: number },
  tasks: readonly string[],
  sources: readonly SourceShape[],
): string[] {
  // Sizes that are no numbers have been told.
  if (validateOptions(method, options, null).length > 0) return [];
  if (method.checkSources === undefined) {
    const readers = methodNames.filter((name) => findMethod(name).checkSources !== undefined);
    return [
      `${method.name} starts from nothing, and would not read these runs; leave \`from\` (and stage "target") out, or take a method that starts from sources: ${readers.join(", ")}`,
    ];
  }
  return method.checkSources(options, { backbone, tasks, sources });
}

/** Class labels that the backbone can never write apart. */
function labelProblems(task: string, tokenizer: Tokenizer, model: string): string[] {
  const labels = findDataset(task).labels ?? [];
  const ids = labels.map((label) => [...tokenizer.encode(label, { addSpecialTokens: false })]);
  return labels.flatMap((label, i) => {
    if (ids[i]!.length === 0 || ids[i]!.some((id) => id === tokenizer.unknownId)) {
      return [
        `tasks: the tokenizer of ${model} cannot write the label ${shown(label)} of ${task}; use the backbone's own tokenizer, or another label text`,
      ];
    }
    const twin = ids.findIndex((other) => other.join() === ids[i]!.join());
    return twin === i
      ? []
      : [
          `tasks: the tokenizer of ${model} writes the labels ${shown(labels[twin])} and ${shown(label)} of ${task} alike; choose other label texts`,
        ];
  });
}

/** Splits whose every row has been rendered in this process: the runs of a sweep need not do it again. */
const rendered = new WeakMap<Dataset, Set<string>>();

/** What the template says to the rows of a dataset of one's own, whose files lie here. The hub's are checked as they come. */
async function dataProblems(task: string, config: ReadConfig["config"]): Promise<string[]> {
  const dataset = findDataset(task);
  if (dataset.source.folder === undefined) return [];
  const variant = config.variant === "faithful" ? "faithful" : "fixed";
  const evaluated = new Set(named(config.finalSplits));
  if (config.evaluateEvery !== 0) evaluated.add("validation");
  const problems: string[] = [];
  for (const split of new Set<Split>(["train", "validation", "test"])) {
    if (split !== "train" && !evaluated.has(split)) continue;
    try {
      const table = await loadDataset(task, { split, variant, prefix: config.prefix !== false });
      const key = `${table.fingerprint} ${split} ${variant} ${table.prefix}`;
      const seen = rendered.get(dataset) ?? new Set();
      if (seen.has(key)) continue;
      for (let row = 0; row < table.numRows; row++) table.renderRow(row);
      rendered.set(dataset, seen.add(key));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push(`tasks: ${task}: ${error.message}`);
    }
  }
  return problems;
}
