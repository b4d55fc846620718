// The end of a run: the best parameters evaluated, and everything a reader of the folder wants: adapter, predictions,
// metrics.json, CSV, TensorBoard events, a model card. metrics.json comes last: where it is, all of it is.
import { join } from "node:path";
import type { Split } from "#datasets/contract.ts";
import { saveAdapter } from "#toolkit/methods/adapter-files.ts";
import type { Method, Parameters } from "#toolkit/methods/contract.ts";
import { averageOfMetrics } from "#toolkit/metrics/index.ts";
import type { T5Model } from "#toolkit/models/t5/index.ts";
import type { Engine } from "#toolkit/tensor/index.ts";
import { makeFolder, writeAtomic, writeJson } from "#toolkit/weights/index.ts";
import { modelCard } from "./card.ts";
import type { RunConfig } from "./config.ts";
import type { TrainEvent } from "./contract.ts";
import type { TaskData } from "./data.ts";
import type { EnvironmentRecord } from "./environment.ts";
import { writing, writingLater } from "./errors.ts";
import { evaluate, type Predictor } from "./evaluate.ts";
import type { RunResult } from "./result.ts";
import { type LogRow, logRows, readRunLog } from "./run-log.ts";
import { metricsCsv, tensorBoardEvents } from "./tensorboard.ts";

/** What checkpoints are chosen by: the mean of all metrics of a task, as the published code does. */
export const selectionScore = (metrics: Readonly<Record<string, number>>): number => averageOfMetrics(metrics);

/** @throws TrainingError where the disk refuses; what was there before stays */
function write(what: string, path: string, content: string | Uint8Array): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  writing(what, () => writeAtomic(path, () => [bytes]));
}

/** Writes the copies of the run log that other tools read. */
export function writeDerived(run: string): void {
  const rows = logRows(readRunLog(join(run, "log.arrow")));
  write("the metrics as CSV", join(run, "metrics.csv"), metricsCsv(rows));
  write("the TensorBoard events", join(run, "events.out.tfevents.bunsen"), tensorBoardEvents(rows));
}

/** How well the device was fed, from the run log; undefined without a step. */
export function dataShares(rows: readonly LogRow[]): RunResult["data"] {
  const sum = (name: string): number => {
    let total = 0;
    for (const row of rows) if (row.kind === "step" && row.name === name) total += row.value;
    return total;
  };
  const steps = rows.filter((row) => row.kind === "step" && row.name === "padding").length;
  if (steps === 0) return undefined;
  const [stepMs, waitMs] = [sum("stepMs"), sum("waitMs")];
  return {
    padding: sum("padding") / steps,
    subBatches: sum("subBatches") / steps,
    waitShare: waitMs / (stepMs + waitMs),
  };
}

export interface FinishContext {
  readonly config: RunConfig;
  readonly method: Method;
  readonly options: Record<string, unknown>;
  readonly model: T5Model;
  readonly tasks: readonly TaskData[];
  readonly predictor: Predictor;
  readonly parameters: Parameters;
  readonly steps: number;
  readonly bestStep: number;
  readonly seconds: () => number;
  readonly needs: RunResult["needs"];
  readonly engine: Engine;
  readonly environment: EnvironmentRecord;
  readonly emit: (event: TrainEvent) => TrainEvent;
  readonly flush: () => void;
}

/** Evaluates the final splits, writes the folder's last files and returns the result. */
export async function* finishRun(context: FinishContext): AsyncGenerator<TrainEvent, RunResult> {
  const { config, method, options, model, tasks, predictor } = context;
  const scores: Partial<Record<Split, Record<string, Record<string, number>>>> = {};
  writing("the predictions", () => makeFolder(join(config.run, "predictions")));
  // Training ends here: what evaluation costs is the same for every method and is not counted.
  const seconds = context.seconds();
  for (const split of config.finalSplits) {
    for (const [taskId, task] of tasks.entries()) {
      const { name } = task.dataset;
      const { metrics, predictions } = await evaluate(predictor, task.dataset, task.splits.get(split)!, {
        batchSize: config.evaluationBatchSize,
        lengths: config.lengths,
        taskId,
      });
      scores[split] = { ...scores[split], [name]: { ...metrics } };
      const lines = predictions.map(({ row, prediction, example }) =>
        JSON.stringify({ row, input: example.input, target: example.target, prediction }),
      );
      write(
        "the predictions",
        join(config.run, "predictions", `${name.replaceAll("/", "-")}-${split}.jsonl`),
        `${lines.join("\n")}\n`,
      );
      yield context.emit({
        type: "evaluation",
        stage: `${config.stage} final`,
        step: context.bestStep,
        task: name,
        split,
        metrics,
      });
    }
  }
  context.flush();
  const { backbone } = model;
  await writingLater("the adapter", () =>
    saveAdapter(join(config.run, "adapter"), method, options, context.parameters, {
      backbone,
      baseModel: config.model,
    }),
  );
  const data = dataShares(logRows(readRunLog(join(config.run, "log.arrow"))));
  const result: RunResult = {
    ...(data === undefined ? {} : { data }),
    run: config.run,
    stage: config.stage,
    method: config.method,
    options,
    model: config.model,
    tasks: config.tasks,
    seed: config.seed,
    shots: config.shots,
    learningRateScale: config.learningRateScale,
    steps: context.steps,
    bestStep: context.bestStep,
    seconds,
    trainableParameters: method.countParameters(options, model.backbone, config.tasks.length),
    engine: context.engine.name,
    scores,
    reported: Object.fromEntries(tasks.map((task) => [task.dataset.name, task.dataset.reported])),
    needs: context.needs,
  };
  writeDerived(config.run);
  write("the model card", join(config.run, "README.md"), modelCard(result, config, method, tasks, context.environment));
  writing("the metrics", () => writeJson(join(config.run, "metrics.json"), result));
  return result;
}
