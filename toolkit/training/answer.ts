// Inference with a finished run: its adapter on its backbone. `answer` is for one or a few texts in a notebook;
// `openRun` keeps everything loaded for many.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Method, Parameters } from "#toolkit/methods/contract.ts";
import { findMethod } from "#toolkit/methods/methods.ts";
import { disposeTree } from "#toolkit/tensor/index.ts";
import type { Tokenizer } from "#toolkit/tokenizers/index.ts";
import { WeightsError } from "#toolkit/weights/index.ts";
import { inspectBackbone, loadBackbone } from "./backbones.ts";
import type { RunConfig } from "./config.ts";
import { createPredictor, type Predictor, type PredictorOptions } from "./evaluate.ts";
import { type RunResult, readResult } from "./result.ts";
import { inspectSources, loadSources } from "./sources.ts";

/** A finished run, ready to answer. */
export interface OpenRun extends Disposable {
  readonly result: RunResult;
  readonly config: RunConfig;
  readonly tokenizer: Tokenizer;
  readonly predictor: Predictor;
  /** Answers to texts; `task` is one of the run's tasks (default: the first). */
  answer(texts: readonly string[], task?: string): Promise<string[]>;
}

/** Position of a task among a run's. @throws Error with the run's tasks */
export function taskIndex(result: RunResult, task: string | undefined): number {
  if (task === undefined) return 0;
  const index = result.tasks.indexOf(task);
  if (index >= 0) return index;
  throw new Error(`${result.run} was not trained on ${task}; it knows ${result.tasks.join(", ")}.`);
}

/**
 * Opens a run's folder.
 * @throws Error where it holds no finished run, or its backbone is gone
 */
export async function openRun(
  folder: string,
  options: PredictorOptions & { readonly model?: string } = {},
): Promise<OpenRun> {
  const result = readResult(folder);
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as RunConfig;
  const name = options.model ?? config.model;
  const looked = await inspectBackbone(name);
  const { problems } = inspectSources([folder], looked.shape);
  if (looked.problems.length + problems.length > 0)
    throw new WeightsError(`${[...looked.problems, ...problems].join(".\n")}.`);
  const { model, tokenizer } = await loadBackbone(name, config.engine, config.precision);
  const [source] = await loadSources([folder], model.backbone);
  const parameters: Parameters = source!.parameters;
  const method: Method = findMethod(result.method);
  const predictor = createPredictor(
    model,
    tokenizer,
    method,
    { ...method.defaults, ...result.options },
    () => parameters,
    {
      maxNewTokens: config.maxNewTokens,
      precision: config.precision,
      ...options,
    },
  );
  return {
    result,
    config,
    tokenizer,
    predictor,
    answer: async (texts, task) => {
      if (texts.length === 0) return [];
      const taskId = taskIndex(result, task);
      const maxLength = config.maxInputLength ?? 256;
      const rows = texts.map((text) => tokenizer.encode(text, { maxLength }));
      const inputLength = Math.max(...rows.map((row) => row.length));
      const inputIds = new Int32Array(rows.length * inputLength);
      const attentionMask = new Int32Array(rows.length * inputLength);
      for (const [index, row] of rows.entries()) {
        inputIds.set(row, index * inputLength);
        attentionMask.fill(1, index * inputLength, index * inputLength + row.length);
      }
      const taskIds = new Int32Array(rows.length).fill(taskId);
      return predictor.predict({ inputIds, attentionMask, taskIds, batchSize: rows.length, inputLength });
    },
    [Symbol.dispose]: () => {
      predictor[Symbol.dispose]();
      disposeTree(parameters as never);
    },
  };
}

/** What a run answers to one text. The text is given as the task's template writes it, e.g. `sst2 sentence: a fine film`. */
export async function answer(folder: string, text: string, task?: string): Promise<string> {
  using run = await openRun(folder);
  const [only] = await run.answer([text], task);
  return only!;
}
