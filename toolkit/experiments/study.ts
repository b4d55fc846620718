// A study: many methods on many targets under equal budgets, told as a plan of runs and executed one after the other.
// Everything is a folder: broken off anywhere, the same study goes on. What it compares is data (quick.ts and others).
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LabelledRun } from "#toolkit/report/index.ts";
import { type RunConfigInput, resolveRun, type TrainEvent, teacherConfig, train } from "#toolkit/training/index.ts";
import { type Grid, gridSteps, runGrid } from "./grid.ts";

/** What a method of a study starts from: nothing, one of the study's source runs, or the teachers of all source tasks. */
export interface StudyMethod {
  readonly label: string;
  readonly method: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly from?: string;
  /** Replaces the study's steps for this method; for what must not be equal, with its reason in the recipe. */
  readonly steps?: number;
  /** One run on all targets of a group (MPT*), with the study's steps for each of them: the same budget a task. */
  readonly joint?: boolean;
}

export interface StudySource {
  /** Referred to by `StudyMethod.from`. */
  readonly name: string;
  readonly method: string;
  readonly options?: Readonly<Record<string, unknown>>;
  /** λ of the distillation; 0 trains without teachers. */
  readonly distillation: number;
  /** The method says its prompt's length in options of its own: it has no `numVirtualTokens`. */
  readonly ownLength?: boolean;
}

export interface Study {
  readonly folder: string;
  readonly model: string;
  /** Tasks of the source stage. */
  readonly sourceTasks: readonly string[];
  readonly targets: readonly string[];
  /** Targets that a joint method trains together, by name; absent: all of them are one group. */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  readonly sources: readonly StudySource[];
  readonly methods: readonly StudyMethod[];
  /** Few-shot sizes; null is the full training split. */
  readonly shots: readonly (number | null)[];
  /** Targets of the few-shot runs; absent: all. */
  readonly fewShotTargets?: readonly string[];
  readonly seeds: readonly number[];
  /** Multiples of each method's own learning rates: the same grid for all, chosen on validation. */
  readonly rates: readonly number[];
  readonly numVirtualTokens: number;
  readonly sourceSteps: number;
  readonly teacherSteps: number;
  readonly targetSteps: number;
  /** Steps of a few-shot run; absent: `targetSteps`. */
  readonly fewShotSteps?: number;
  /** Fields of every source run's distillation but its weight and teachers: temperature, which hidden states … */
  readonly distillation?: Readonly<Record<string, unknown>>;
  /** Fields of every source run's sampling; absent: proportional, 2 to all tasks in a batch. */
  readonly sampling?: Readonly<Record<string, unknown>>;
  /** Fields of every run: batch, lengths, engine … */
  readonly common: Readonly<Record<string, unknown>>;
}

const prompted = (study: Study, options: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> => ({
  numVirtualTokens: study.numVirtualTokens,
  ...options,
});

const teacherFolder = (study: Study): string => join(study.folder, "teachers");

/** κ of stochastic task sampling: from two to all source tasks in a batch, where the study does not say otherwise. */
function slotsOf(study: Study): unknown {
  const tasks = study.sourceTasks.length;
  const own = study.sampling?.slots;
  if (own !== undefined && (own === null || typeof own !== "object")) return own;
  return { min: Math.min(2, tasks), max: tasks, ...own };
}

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
        options: source.ownLength === true ? { ...source.options } : prompted(study, source.options),
        steps: study.sourceSteps,
        finalSplits: ["validation"],
        sampling: { kind: "proportional", ...study.sampling, slots: slotsOf(study) },
        distillation: {
          ...study.distillation,
          weight: source.distillation,
          teacherSteps: study.teacherSteps,
          teacherFolder: teacherFolder(study),
        },
      }) as RunConfigInput,
  );
}

/** Targets that are run with so many shots. */
const targetsOf = (study: Study, shots: number | null): readonly string[] =>
  shots === null || study.fewShotTargets === undefined
    ? study.targets
    : study.targets.filter((task) => study.fewShotTargets!.includes(task));

/** Lists of tasks that one method is run on: each target alone, or the groups' targets together. */
function taskLists(study: Study, method: StudyMethod, shots: number | null): string[][] {
  const targets = targetsOf(study, shots);
  if (method.joint !== true) return targets.map((task) => [task]);
  const groups = study.groups === undefined ? [study.targets] : Object.values(study.groups);
  return groups.map((group) => group.filter((task) => targets.includes(task))).filter((group) => group.length > 0);
}

/** One grid per method, target (or group of targets) and number of shots. */
export function targetGrids(study: Study): Grid[] {
  const grids: Grid[] = [];
  for (const shots of study.shots) {
    const steps = shots === null ? study.targetSteps : (study.fewShotSteps ?? study.targetSteps);
    for (const method of study.methods) {
      const from =
        method.from === undefined
          ? []
          : method.from === "teachers"
            ? study.sourceTasks.map((source) => join(teacherFolder(study), source.replaceAll("/", "-")))
            : [join(study.folder, "sources", method.from)];
      for (const tasks of taskLists(study, method, shots)) {
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
            tasks,
            shots,
            method: method.method,
            options: method.options ?? { numVirtualTokens: study.numVirtualTokens },
            steps: (method.steps ?? steps) * tasks.length,
          } as Grid["config"],
        });
      }
    }
  }
  // All methods on one target come before the next target: a study broken off has whole columns of its table.
  const order = (grid: Grid): number => Math.max(...grid.config.tasks.map((task) => study.targets.indexOf(task)));
  return grids.sort((a, b) => order(a) - order(b));
}

/** One run before the targets. */
export interface StudyStage {
  readonly stage: "teacher" | "source";
  readonly label: string;
  readonly tasks: readonly string[];
  readonly folder: string;
  readonly steps: number;
}

/** Teachers, where anything needs them, and source runs, in the order they run. */
export function studyStages(study: Study): StudyStage[] {
  const teachers =
    study.sources.some((source) => source.distillation > 0) || study.methods.some((m) => m.from === "teachers");
  return [
    ...(teachers ? study.sourceTasks : []).map(
      (task): StudyStage => ({
        stage: "teacher",
        label: "prompt tuning",
        tasks: [task],
        folder: teacherFolder(study),
        steps: study.teacherSteps,
      }),
    ),
    ...study.sources.map(
      (source): StudyStage => ({
        stage: "source",
        label: source.name,
        tasks: study.sourceTasks,
        folder: join(study.folder, "sources", source.name),
        steps: study.sourceSteps,
      }),
    ),
  ];
}

/** Optimiser steps of the whole study, from scratch. */
export const studySteps = (study: Study): number =>
  studyStages(study).reduce((sum, stage) => sum + stage.steps, 0) +
  targetGrids(study).reduce((sum, grid) => sum + gridSteps(grid), 0);

/** A piece of a study that may run beside others, as soon as what it needs has run. */
export interface StudyUnit {
  readonly label: string;
  /** Positions among the study's units: they stand before this one. */
  readonly needs: readonly number[];
  /** Trains what is not trained yet; returns the runs that the study's table takes from it. */
  readonly run: (signal?: AbortSignal) => AsyncGenerator<TrainEvent, readonly LabelledRun[]>;
}

/** One run as a unit that the table takes nothing from. */
function runUnit(label: string, config: RunConfigInput, needs: readonly number[]): StudyUnit {
  return {
    label,
    needs,
    run: async function* (signal) {
      yield* train(config, signal === undefined ? {} : { signal });
      if (!existsSync(join(config.run, "metrics.json")))
        throw new DOMException("The study was stopped; the same call goes on.", "AbortError");
      return [];
    },
  };
}

/** The teachers that all source runs share; what a source run lacks, it trains itself. */
function teacherUnits(study: Study): StudyUnit[] {
  const distilled = study.sources.findIndex((source) => source.distillation > 0 && source.ownLength !== true);
  const config = distilled < 0 ? undefined : resolveRun(sourceRuns(study)[distilled]);
  if (config?.stage !== "source") return [];
  return config.tasks.map((task) =>
    runUnit(`teacher ${task}`, teacherConfig(config, task, Number(config.options.numVirtualTokens)), []),
  );
}

/** A study as units, in the order of their runs: teachers, source stages, one for each method, target and number of shots. */
export function studyUnits(study: Study): StudyUnit[] {
  const teachers = teacherUnits(study);
  const all = teachers.map((_, index) => index);
  const sources = sourceRuns(study).map((config, index) => {
    const { name, distillation } = study.sources[index]!;
    return runUnit(name, config, distillation > 0 ? all : []);
  });
  const needsOf = (label: string): readonly number[] => {
    const from = study.methods.find((method) => method.label === label)?.from;
    if (from === undefined) return [];
    if (from === "teachers") return all;
    return [teachers.length + study.sources.findIndex(({ name }) => name === from)];
  };
  const targets = targetGrids(study).map(
    (grid): StudyUnit => ({
      label: `${grid.label} on ${grid.config.tasks.join(", ")}`,
      needs: needsOf(grid.label),
      run: (signal) => runGrid(grid, signal),
    }),
  );
  return [...teachers, ...sources, ...targets];
}

/** Runs a study to its end, one run after the other; returns the runs that its table is made of. */
export async function* runStudy(study: Study, signal?: AbortSignal): AsyncGenerator<TrainEvent, LabelledRun[]> {
  const runs: LabelledRun[] = [];
  for (const unit of studyUnits(study)) runs.push(...(yield* unit.run(signal)));
  return runs;
}
