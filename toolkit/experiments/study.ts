// A study: many methods on many targets under equal budgets, told as a plan of runs and executed one after the other.
// Everything is a folder: broken off anywhere, the same study goes on. What it compares is data (quick.ts and others).
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LabelledRun } from "#toolkit/report/index.ts";
import { type RunConfigInput, type TrainEvent, train } from "#toolkit/training/index.ts";
import { type Grid, gridSteps, runGrid } from "./grid.ts";

/** What a method of a study starts from: nothing, one of the study's source runs, or the teachers of all source tasks. */
export interface StudyMethod {
  readonly label: string;
  readonly method: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly from?: string;
  /** Replaces the study's steps for this method; for what must not be equal, with its reason in the recipe. */
  readonly steps?: number;
}

export interface StudySource {
  /** Referred to by `StudyMethod.from`. */
  readonly name: string;
  readonly method: string;
  readonly options?: Readonly<Record<string, unknown>>;
  /** λ of the distillation; 0 trains without teachers. */
  readonly distillation: number;
}

export interface Study {
  readonly folder: string;
  readonly model: string;
  /** Tasks of the source stage. */
  readonly sourceTasks: readonly string[];
  readonly targets: readonly string[];
  readonly sources: readonly StudySource[];
  readonly methods: readonly StudyMethod[];
  /** Few-shot sizes; null is the full training split. */
  readonly shots: readonly (number | null)[];
  readonly seeds: readonly number[];
  /** Multiples of each method's own learning rates: the same grid for all, chosen on validation. */
  readonly rates: readonly number[];
  readonly numVirtualTokens: number;
  readonly sourceSteps: number;
  readonly teacherSteps: number;
  readonly targetSteps: number;
  /** Fields of every run: batch, lengths, engine … */
  readonly common: Readonly<Record<string, unknown>>;
}

const prompted = (study: Study, options: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> => ({
  numVirtualTokens: study.numVirtualTokens,
  ...options,
});

const teacherFolder = (study: Study): string => join(study.folder, "teachers");

/** Configurations of the source stage, in the order they run. */
export function sourceRuns(study: Study): RunConfigInput[] {
  return study.sources.map(
    (source) =>
      ({
        ...study.common,
        stage: "source",
        run: join(study.folder, "sources", source.name),
        model: study.model,
        tasks: study.sourceTasks,
        method: source.method,
        options: prompted(study, source.options),
        steps: study.sourceSteps,
        finalSplits: ["validation"],
        sampling: { kind: "proportional", slots: { min: 2, max: study.sourceTasks.length } },
        distillation: {
          weight: source.distillation,
          teacherSteps: study.teacherSteps,
          teacherFolder: teacherFolder(study),
        },
      }) as RunConfigInput,
  );
}

/** One grid per method, target and number of shots. */
export function targetGrids(study: Study): Grid[] {
  const grids: Grid[] = [];
  for (const task of study.targets) {
    for (const shots of study.shots) {
      for (const method of study.methods) {
        const from =
          method.from === undefined
            ? []
            : method.from === "teachers"
              ? study.sourceTasks.map((source) => join(teacherFolder(study), source.replaceAll("/", "-")))
              : [join(study.folder, "sources", method.from)];
        grids.push({
          label: method.label,
          folder: join(study.folder, "targets", shots === null ? "full" : `k-${shots}`),
          rates: study.rates,
          seeds: study.seeds,
          config: {
            ...study.common,
            stage: from.length === 0 ? "single" : "target",
            ...(from.length === 0 ? {} : { from }),
            model: study.model,
            tasks: [task],
            shots,
            method: method.method,
            options: method.options ?? { numVirtualTokens: study.numVirtualTokens },
            steps: method.steps ?? study.targetSteps,
          } as Grid["config"],
        });
      }
    }
  }
  return grids;
}

/** Optimiser steps of the whole study, from scratch. */
export function studySteps(study: Study): number {
  const teachers =
    study.sources.some((source) => source.distillation > 0) || study.methods.some((m) => m.from === "teachers");
  return (
    (teachers ? study.teacherSteps * study.sourceTasks.length : 0) +
    study.sourceSteps * study.sources.length +
    targetGrids(study).reduce((sum, grid) => sum + gridSteps(grid), 0)
  );
}

/** Runs a study to its end; returns the runs that its table is made of. */
export async function* runStudy(study: Study, signal?: AbortSignal): AsyncGenerator<TrainEvent, LabelledRun[]> {
  const runtime = signal === undefined ? {} : { signal };
  for (const config of sourceRuns(study)) {
    yield* train(config, runtime);
    if (!existsSync(join(config.run, "metrics.json")))
      throw new DOMException("The study was stopped; the same call goes on.", "AbortError");
  }
  const runs: LabelledRun[] = [];
  for (const grid of targetGrids(study)) runs.push(...(yield* runGrid(grid, signal)));
  return runs;
}
