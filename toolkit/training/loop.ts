// A training run: from a configuration to a folder, told as events. The order of things is here; what a step computes
// is step.ts, what a checkpoint holds checkpoint.ts, what is written at the end finish.ts, teachers are teachers.ts.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Split } from "#datasets/index.ts";
import type { Batch } from "#toolkit/batches/contract.ts";
import type { Method, Parameters, SourceState } from "#toolkit/methods/contract.ts";
import { findMethod } from "#toolkit/methods/methods.ts";
import type { Backbone } from "#toolkit/models/contract.ts";
import { backboneDifference } from "#toolkit/models/identity.ts";
import type { T5Model } from "#toolkit/models/t5/index.ts";
import { adafactor, adamw, type Named, type Optimizer, scheduleFactor, sgd } from "#toolkit/nn/index.ts";
import { currentEngine, disposeTree, keepTree, random, tf } from "#toolkit/tensor/index.ts";
import type { Tokenizer } from "#toolkit/tokenizers/index.ts";
import { makeFolder, writeJson } from "#toolkit/weights/index.ts";
import { loadBackbone } from "./backbones.ts";
import { checkRun } from "./check.ts";
import { listCheckpoints, loadCheckpoint, type Position, pruneCheckpoints, saveCheckpoint } from "./checkpoint.ts";
import { configDifference, type RunConfig, type RunConfigInput } from "./config.ts";
import type { TrainEvent } from "./contract.ts";
import { loadTasks, mixtureOf, type TaskData } from "./data.ts";
import {
  batchPlanOf,
  type EnvironmentRecord,
  environmentDifference,
  pinThreads,
  readEnvironment,
  recordEnvironment,
  threadProblem,
} from "./environment.ts";
import { TrainingError, writing } from "./errors.ts";
import { estimate, passSeconds } from "./estimate.ts";
import { createPredictor, evaluate } from "./evaluate.ts";
import { finishRun, selectionScore, writeDerived } from "./finish.ts";
import { batchPlan, cutParts, paddingOf, splitParts } from "./parts.ts";
import { type RunResult, readResult } from "./result.ts";
import { logRows, openRunLog, readRunLog } from "./run-log.ts";
import { loadSources } from "./sources.ts";
import { createStep, runStep, type TeacherForcing, type TrainState } from "./step.ts";
import { trainTeachers } from "./teachers.ts";

export interface TrainOptions {
  /** Stops after the current step, with a checkpoint; starting again goes on. */
  readonly signal?: AbortSignal;
}

const optimizers: Readonly<Record<RunConfig["optimizer"], (config: RunConfig) => Optimizer>> = {
  adamw: (config) => adamw({ weightDecay: config.weightDecay }),
  adafactor: (config) => adafactor({ weightDecay: config.weightDecay }),
  sgd: (config) => sgd({ weightDecay: config.weightDecay, momentum: 0.9 }),
};

/** A method's parameters in the two trees of training: those with a learning-rate group, and the rest. */
function partition(
  parameters: Parameters,
  method: Method,
  options: Record<string, unknown>,
): { trainable: Named; frozen: Named } {
  const trainable: Record<string, tf.Tensor> = {};
  const frozen: Record<string, tf.Tensor> = {};
  for (const [name, tensor] of Object.entries(parameters)) {
    (method.group(name, options) === null ? frozen : trainable)[name] = tensor;
  }
  return { trainable, frozen };
}

/**
 * The configuration of a folder must be the one it was begun with; a new folder keeps this one.
 * @throws TrainingError with the differences, of configuration or of what decides the bits of a resumed run
 */
function claimFolder(config: RunConfig, environment: EnvironmentRecord, backbone: Backbone): void {
  writing("the run", () => makeFolder(config.run));
  const configPath = join(config.run, "config.json");
  const environmentPath = join(config.run, "environment.json");
  const begin = (): void => {
    writing("the run's environment", () => writeJson(environmentPath, environment));
    writing("the run's configuration", () => writeJson(configPath, config));
  };
  if (!existsSync(configPath)) {
    const strange = readdirSync(config.run, { withFileTypes: true }).find(
      (entry) => entry.isFile() && !entry.name.startsWith(".") && entry.name !== basename(environmentPath),
    );
    if (strange !== undefined) {
      throw new TrainingError(
        `${config.run} is no run folder, and holds files (${strange.name}) that a run would lie among or write over. Name a folder that is new, empty or a run's.`,
      );
    }
    begin();
    return;
  }
  const before = configOf(configPath);
  if (before === null) {
    throw new TrainingError(
      `${config.run} is no run folder: its config.json is not a run's. Name a folder that is new, empty or a run's.`,
    );
  }
  const record = readEnvironment(config.run);
  const plan = record === null ? 1 : batchPlanOf(record);
  const { run: _before, ...own } = before;
  // A run begun before there was a choice of threads took the default.
  const rest = { ...own, threads: own.threads ?? null };
  const { run: _now, ...now } = config; // a moved folder is the same run
  // The first plan had no choice of lengths: whether such a run can go on is not a question of configuration.
  const difference = configDifference(plan === 1 ? { ...rest, lengths: now.lengths } : rest, now);
  const begun = listCheckpoints(config.run).length > 0;
  if (difference.length > 0) {
    // What failed before its first step (more shots than rows, say) left nothing to go on with.
    if (!begun && !existsSync(join(config.run, "log.arrow")) && finishedResult(config.run) === null) {
      begin();
      return;
    }
    throw new TrainingError(
      `${config.run} was begun with another configuration (was → is):\n${difference.map((line) => `  ${line}`).join("\n")}\nTake the old values back to go on, or name a new run folder.`,
    );
  }
  if (plan !== batchPlan && finishedResult(config.run) === null) {
    if (begun) {
      throw new TrainingError(
        `${config.run} was begun with version ${plan} of the plan of batches, and this is version ${batchPlan}: its remaining steps would hold other rows in other sub-batches, so it could not end as it would have. Finish it with the Bunsen that began it${record?.git ? ` (commit ${record.git.commit.slice(0, 10)})` : ""}, or name a new run folder.`,
      );
    }
    // Nothing was trained yet: it begins anew.
    begin();
    return;
  }
  const trainedOn = record?.backbone;
  const other = begun && trainedOn ? backboneDifference({ ...trainedOn, name: config.model }, backbone) : null;
  if (other !== null) {
    throw new TrainingError(
      `${config.run} was begun with another backbone: ${other}. Put that backbone back to go on, or name a new run folder.`,
    );
  }
  if (record !== null && begun) {
    const changes = environmentDifference(record, environment);
    if (changes.length > 0) {
      throw new TrainingError(
        `${config.run} was begun on another engine or machine (was → is):\n${changes.map((line) => `  ${line}`).join("\n")}\nGoing on here could not give the parameters of an uninterrupted run. Resume where it began, or name a new run folder.`,
      );
    }
  }
}

/** A run's configuration; null where the file is something else: a model's, say. */
function configOf(path: string): RunConfig | null {
  try {
    const value = JSON.parse(readFileSync(path, "utf8")) as Partial<RunConfig> | null;
    return typeof value?.method === "string" && Array.isArray(value.tasks) && typeof value.stage === "string"
      ? (value as RunConfig)
      : null;
  } catch {
    return null;
  }
}

function withDropout(model: T5Model, rate: number | null): T5Model {
  return rate === null || rate === model.config.dropoutRate
    ? model
    : { ...model, config: { ...model.config, dropoutRate: rate } };
}

/** Starting values of a run's parameters. */
function initialParameters(
  config: RunConfig,
  method: Method,
  options: Record<string, unknown>,
  model: T5Model,
  tokenizer: Tokenizer,
  tasks: readonly TaskData[],
  sources: readonly SourceState[],
): Parameters {
  const first = tasks[0]!.dataset;
  const ids = (text: string): number[] => [...tokenizer.encode(text, { addSpecialTokens: false })];
  return method.init(options, {
    backbone: model.backbone,
    numTasks: config.tasks.length,
    seed: config.seed,
    tasks: config.tasks,
    textIds: ids(config.initText ?? first.title),
    labelIds: (first.labels ?? []).map(ids),
    ...(sources.length === 0 ? {} : { sources }),
  });
}

/**
 * Trains a run and yields what happens. Breaking off the iteration leaves a folder from which the same call goes on;
 * a finished run is not trained again, its `done` event comes at once.
 * @throws ConfigError with every problem of the configuration, the backbone's and the sources' files included
 * @throws TrainingError for a folder of another configuration or machine, or a loss that is no number
 */
export async function* train(input: RunConfigInput, runtime: TrainOptions = {}): AsyncGenerator<TrainEvent> {
  const config = await checkRun(input);
  const { signal } = runtime;
  pinThreads(config.run, config.threads);
  const { model: loaded, tokenizer } = await loadBackbone(config.model, config.engine, config.precision);
  const model = withDropout(loaded, config.dropout);
  const method = findMethod(config.method);
  const options: Record<string, unknown> = { ...method.defaults, ...config.options };
  const groups = Object.keys(method.learningRates);

  const engine = currentEngine();
  const wrongThreads = threadProblem(engine, config.threads);
  if (wrongThreads !== null) throw new TrainingError(wrongThreads);
  const environment = recordEnvironment(engine, model.backbone);
  claimFolder(config, environment, model.backbone);
  const finished = finishedResult(config.run);
  if (finished !== null) {
    yield doneEvent(finished);
    return;
  }

  const started = performance.now();
  const warnings: TrainEvent[] = [];
  const tasks = await loadTasks(
    config,
    tokenizer,
    (warning) => warnings.push({ type: "warning", message: warning.message }),
    signal,
  );
  const mixture = mixtureOf(config, tasks);
  const sources = await loadSources(config.from, model.backbone);
  const initial = tf.tidy(() =>
    keepTree(initialParameters(config, method, options, model, tokenizer, tasks, sources) as Named),
  );
  const { trainable, frozen } = partition(initial, method, options);
  const optimizer = optimizers[config.optimizer](config);

  const promptLength = Number(options.numVirtualTokens ?? 0);
  const lengths = mixture.lengths.flat();
  const checkpoint = listCheckpoints(config.run).at(-1);
  const fromStep = checkpoint?.position.step ?? 0;
  const work = {
    batchSize: config.batchSize,
    encoderLength: promptLength + Math.round(lengths.reduce((sum, length) => sum + length, 0) / lengths.length),
    decoderLength: Math.max(...tasks.map((task) => longestLabel(task))),
    steps: (config.steps - fromStep) * config.accumulate,
    trainableValues: Object.values(trainable).reduce((sum, tensor) => sum + tensor.size, 0),
    teacherPasses: config.stage === "source" && config.distillation.weight > 0 ? 1 : 0,
  };
  yield {
    type: "start",
    run: config.run,
    totalSteps: config.steps,
    fromStep,
    trainableParameters: method.countParameters(options, model.backbone, config.tasks.length),
    estimate: estimate(model, work, engine.name),
  };

  let teachers: TeacherForcing | undefined;
  const needs: RunResult["needs"][number][] = sourceCosts(config.from);
  if (config.stage === "source" && config.distillation.weight > 0) {
    const trained = yield* trainTeachers(config, model, promptLength, (child) => train(child, runtime));
    needs.push(...trained.needs);
    const { weight, temperature, logits, hidden, hiddenLayers } = config.distillation;
    teachers = { weight, temperature, logits, hidden, hiddenLayers, prompts: trained.prompts };
  }

  const step = createStep({
    model,
    method,
    options,
    frozen,
    optimizer,
    clipNorm: config.clipNorm,
    groups,
    precision: config.precision,
    ...(teachers === undefined ? {} : { teachers }),
  });

  let state: TrainState = { parameters: trainable, optimizer: tf.tidy(() => keepTree(optimizer.init(trainable))) };
  let position: Position = { step: 0, best: null, waited: 0, finished: false, seconds: 0 };
  if (checkpoint !== undefined) {
    const restored = loadCheckpoint(checkpoint.folder, state);
    disposeTree(state as never);
    state = restored.state;
    Object.assign(frozen, restored.parameters);
    position = checkpoint.position;
  }

  const compiles = engine.name !== "wasm";
  const maxRows = config.batchSize;
  const passesOf: Record<RunConfig["lengths"], (parts: readonly Batch[]) => Batch[]> = {
    exact: (parts) => splitParts(parts, { maxRows, halves: compiles }),
    merged: (parts) =>
      cutParts(parts, {
        maxRows,
        rowStep: compiles ? Math.ceil(maxRows / 4) : 1,
        cost: (rows, inputLength, labelLength) =>
          passSeconds(
            model,
            {
              batchSize: rows,
              encoderLength: promptLength + inputLength,
              decoderLength: labelLength,
              teacherPasses: work.teacherPasses,
            },
            engine.name,
          ),
      }),
  };
  const comparedPrompt = teachers?.prompts.shape[1] ?? 0;

  const logPath = join(config.run, "log.arrow");
  const told = new Set(logRows(readRunLog(logPath)).flatMap((row) => (row.kind === "warning" ? [row.name] : [])));
  const log = openRunLog(logPath, (row) => row.step <= position.step);
  const predictor = createPredictor(model, tokenizer, method, options, () => ({ ...frozen, ...state.parameters }), {
    maxNewTokens: config.maxNewTokens,
    precision: config.precision,
  });
  const before = position.seconds;
  const seconds = (): number => before + (performance.now() - started) / 1000;
  const baseKey = random.key(config.seed);
  const emit = (event: TrainEvent): TrainEvent => {
    // A run that goes on meets the warnings of its data again; the log has them once.
    if (event.type !== "warning" || !told.has(event.message)) log.add(event);
    if (event.type === "warning") told.add(event.message);
    return event;
  };
  const save = async (finishedTraining: boolean): Promise<TrainEvent> => {
    position = { ...position, finished: finishedTraining, seconds: seconds() };
    log.flush(true);
    const path = await saveCheckpoint(config.run, state, frozen, position, {
      method,
      options,
      backbone: model.backbone,
      baseModel: config.model,
    });
    pruneCheckpoints(config.run);
    return { type: "checkpoint", step: position.step, path, best: position.best?.step === position.step };
  };
  const evaluateSplit = async function* (split: Split): AsyncGenerator<TrainEvent, number> {
    const scores: number[] = [];
    for (const [taskId, task] of tasks.entries()) {
      const encoded = task.splits.get(split)!;
      const { metrics } = await evaluate(predictor, task.dataset, encoded, {
        batchSize: config.evaluationBatchSize,
        lengths: config.lengths,
        taskId,
      });
      scores.push(selectionScore(metrics));
      yield emit({
        type: "evaluation",
        stage: config.stage,
        step: position.step,
        task: task.dataset.name,
        split,
        metrics,
      });
    }
    return scores.reduce((sum, score) => sum + score, 0) / scores.length;
  };

  try {
    for (const warning of warnings) yield emit(warning);
    const batches = mixture.batches({
      fromStep: position.step,
      toStep: config.steps,
      ...(signal === undefined ? {} : { signal }),
    });
    if (!position.finished) {
      for await (const { step: index, parts, waitMs } of batches) {
        const at = performance.now();
        const factor = scheduleFactor(
          { name: config.schedule, totalSteps: config.steps, warmup: config.warmup },
          index,
        );
        const learningRates = Object.fromEntries(
          groups.map((group) => [
            group,
            (config.learningRates[group] ?? method.learningRates[group]!) * config.learningRateScale * factor,
          ]),
        );
        const rates = tf.tensor1d(Object.values(learningRates));
        const passes = passesOf[config.lengths](parts);
        const key = (part: number): tf.Tensor => tf.tidy(() => random.foldIn(random.foldIn(baseKey, index), part));
        const out = await runStep(step, state, passes, key, rates, comparedPrompt);
        state = out.state;
        const numbers: Record<string, number> = {};
        for (const [name, tensor] of Object.entries(out.numbers)) numbers[name] = (await tensor.data())[0]!;
        disposeTree([rates, out.numbers as never]);
        const { loss = Number.NaN, norm = Number.NaN, ...lossParts } = numbers;
        if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
          throw notANumber(config, index + 1, loss, norm, passes[0]!.rows, passes[0]!.taskIds);
        }
        position = { ...position, step: index + 1 };
        yield emit({
          type: "step",
          stage: config.stage,
          step: index + 1,
          totalSteps: config.steps,
          loss,
          parts: lossParts,
          learningRates,
          stepMs: performance.now() - at,
          waitMs,
          padding: paddingOf(passes),
          subBatches: passes.length,
        });
        const last = index + 1 === config.steps;
        let stop = false;
        let better = false;
        if (config.evaluateEvery > 0 && ((index + 1) % config.evaluateEvery === 0 || last)) {
          const score = yield* evaluateSplit("validation");
          better = position.best === null || score > position.best.score;
          position = better
            ? { ...position, best: { step: position.step, score }, waited: 0 }
            : { ...position, waited: position.waited + 1 };
          stop = config.patience > 0 && position.waited >= config.patience;
        }
        const aborted = signal?.aborted === true;
        if (last || stop || better || aborted || (index + 1) % config.checkpointEvery === 0) {
          yield await save(last || stop);
          writeDerived(config.run);
        }
        if (stop || aborted) break;
      }
    }
    if (signal?.aborted === true && !position.finished) return;
    if (!position.finished) yield await save(true);
    const best = listCheckpoints(config.run).find((found) => found.position.step === position.best?.step);
    if (best !== undefined && best.position.step !== position.step) {
      const restored = loadCheckpoint(best.folder, state);
      disposeTree(state as never);
      state = restored.state;
    }
    const result = yield* finishRun({
      config,
      method,
      options,
      model,
      tasks,
      predictor,
      parameters: { ...frozen, ...state.parameters },
      steps: position.step,
      bestStep: position.best?.step ?? position.step,
      seconds,
      needs,
      engine,
      environment,
      emit,
      flush: () => log.flush(true),
    });
    yield doneEvent(result);
  } finally {
    log[Symbol.dispose]();
    predictor[Symbol.dispose]();
    step.dispose();
    disposeTree([state as never, frozen, baseKey, ...(teachers === undefined ? [] : [teachers.prompts])]);
    for (const source of sources) disposeTree(source.parameters as Named);
  }
}

function longestLabel(task: TaskData): number {
  const { targetOffsets, length } = task.splits.get("train")!;
  let longest = 1;
  for (let i = 0; i < length; i++) longest = Math.max(longest, targetOffsets[i + 1]! - targetOffsets[i]!);
  return longest;
}

function finishedResult(run: string): RunResult | null {
  return existsSync(join(run, "metrics.json")) ? readResult(run) : null;
}

function doneEvent(result: RunResult): TrainEvent {
  const metrics: Record<string, number> = {};
  for (const [split, byTask] of Object.entries(result.scores)) {
    for (const [task, scores] of Object.entries(byTask ?? {})) {
      for (const [name, value] of Object.entries(scores)) metrics[`${task}/${split}/${name}`] = value;
    }
  }
  return { type: "done", run: result.run, steps: result.steps, seconds: result.seconds, metrics };
}

/** What the runs that this one starts from cost, teachers included. */
function sourceCosts(from: readonly string[]): RunResult["needs"][number][] {
  return from.flatMap((run) => {
    if (!existsSync(join(run, "metrics.json"))) return [];
    const { steps, seconds, needs } = readResult(run);
    return [{ run, steps, seconds }, ...needs];
  });
}

function notANumber(
  config: RunConfig,
  step: number,
  loss: number,
  norm: number,
  rows: Int32Array,
  taskIds: Int32Array,
): TrainingError {
  const last = listCheckpoints(config.run).at(-1);
  const examples = [...rows].slice(0, 8).map((row, index) => `${config.tasks[taskIds[index]!]} ${row}`);
  return new TrainingError(
    `Step ${step} gave loss ${loss} and gradient norm ${norm}: training stopped. Its batch began with rows ${examples.join(", ")}. ${
      last === undefined ? "There is no checkpoint before it." : `The last good checkpoint is ${last.folder}.`
    } Lower learningRateScale, clip gradients (clipNorm), or look at those rows; then name a new run folder.`,
  );
}
