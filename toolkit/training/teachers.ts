// The teachers of MPT's source stage: one vanilla prompt per source task, each a run of its own below the source run's
// folder. They are trained one after the other and found again when the source run is resumed.
import { join } from "node:path";
import type { Method } from "#toolkit/methods/contract.ts";
import { findMethod, methods } from "#toolkit/methods/methods.ts";
import type { T5Model } from "#toolkit/models/t5/index.ts";
import { keepTree, tf } from "#toolkit/tensor/index.ts";
import { ConfigError, type RunConfigInput, type SourceConfig } from "./config.ts";
import type { TrainEvent } from "./contract.ts";
import { type RunResult, readResult } from "./result.ts";
import { loadSources } from "./sources.ts";

export interface Teachers {
  /** [K, P, H], in the order of the tasks. */
  readonly prompts: tf.Tensor;
  readonly needs: readonly RunResult["needs"][number][];
}

/** A task's name as a folder's. */
const folderName = (task: string): string => task.replaceAll("/", "-");

/** The configuration of one teacher: the source run's own, for one task and without a student. */
export function teacherConfig(config: SourceConfig, task: string, promptLength: number): RunConfigInput {
  const { distillation, sampling: _sampling, stage: _stage, from: _from, learningRates: _rates, ...common } = config;
  return {
    ...common,
    stage: "single",
    run: join(distillation.teacherFolder ?? join(config.run, "teachers"), folderName(task)),
    tasks: [task],
    method: distillation.teacherMethod,
    options: {
      numVirtualTokens: promptLength,
      // The student's start, where the teacher has such a choice.
      ...(typeof config.options.init === "string" && "init" in findMethod(distillation.teacherMethod).fields
        ? { init: config.options.init }
        : {}),
    },
    steps: distillation.teacherSteps ?? config.steps,
    learningRateScale: distillation.teacherLearningRateScale ?? config.learningRateScale,
    finalSplits: config.finalSplits.filter((split) => split === "validation"),
  };
}

/** Trains the teachers that are not trained yet, and stacks their prompts. */
export async function* trainTeachers(
  config: SourceConfig,
  model: T5Model,
  promptLength: number,
  train: (config: RunConfigInput) => AsyncGenerator<TrainEvent>,
): AsyncGenerator<TrainEvent, Teachers> {
  if (promptLength < 1) {
    throw new ConfigError([
      `distillation.weight: ${config.method} has no prompt whose teachers could be trained; set it to 0`,
    ]);
  }
  const prompts: tf.Tensor[] = [];
  const needs: RunResult["needs"][number][] = [];
  for (const task of config.tasks) {
    const child = teacherConfig(config, task, promptLength);
    for await (const event of train(child)) {
      if (event.type === "step") yield { ...event, stage: `teacher ${task}` };
      else if (event.type === "evaluation") yield { ...event, stage: `teacher ${task}` };
      else if (event.type === "warning") yield event;
    }
    const [source] = await loadSources([child.run], model.backbone);
    const method = methods[source!.method as keyof typeof methods] as Method;
    const prompt = tf.tidy(() => {
      const ports = method.ports(
        source!.parameters,
        { ...method.defaults, ...child.options },
        {
          backbone: model.backbone,
          taskIds: tf.zeros([1], "int32"),
          inputEmbeddings: tf.zeros([1, 1, model.backbone.hiddenSize]),
          attentionMask: tf.ones([1, 1], "int32"),
          training: false,
        },
      );
      if (ports.encoderPrompt?.shape.join() !== [promptLength, model.backbone.hiddenSize].join()) {
        throw new ConfigError([
          `distillation.teacherMethod: expected a method with one fixed prompt of ${promptLength} rows, and ${child.method} gives ${ports.encoderPrompt === undefined ? "none" : `[${ports.encoderPrompt.shape}]`}`,
        ]);
      }
      return tf.keep(tf.clone(ports.encoderPrompt));
    });
    prompts.push(prompt);
    const result = readResult(child.run);
    needs.push({ run: child.run, steps: result.steps, seconds: result.seconds });
  }
  const stacked = tf.tidy(() => keepTree(tf.stack(prompts)));
  for (const prompt of prompts) prompt.dispose();
  return { prompts: stacked, needs };
}
