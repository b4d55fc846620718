// Fair comparison of methods on one task: every method gets the same learning-rate grid, steps, batch and seeds; the
// rate is chosen on validation with the first seed, the other seeds run with the chosen one only. Runs are folders, so
// a broken-off grid goes on where it was.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LabelledRun } from "#toolkit/report/summary.ts";
import { type RunConfigInput, type RunResult, readResult, type TrainEvent, train } from "#toolkit/training/index.ts";

export interface Grid {
  /** How the method is called in tables. */
  readonly label: string;
  /** Everything but the run's folder, seed and learning-rate scale. */
  readonly config: Omit<RunConfigInput, "run" | "seed" | "learningRateScale">;
  /** Where the runs' folders go. */
  readonly folder: string;
  /** Multiples of the method's own learning rates. */
  readonly rates: readonly number[];
  readonly seeds: readonly number[];
}

/** Name of a run's folder: says what differs. */
export const runName = (label: string, tasks: readonly string[], seed: number, rate: number): string =>
  `${tasks.map((task) => task.replaceAll("/", "-")).join("+")}/${label.replaceAll("*", "-star").replaceAll(/[^\w.-]+/g, "-")}/rate-${rate}-seed-${seed}`;

const validationScore = (result: RunResult): number => {
  const scores = result.tasks.map((task) => result.scores.validation?.[task]?.[result.reported[task] ?? ""] ?? 0);
  return scores.reduce((sum, score) => sum + score, 0) / Math.max(1, scores.length);
};

/** Number of optimiser steps that a grid takes from scratch. */
export const gridSteps = (grid: Grid): number => (grid.rates.length + grid.seeds.length - 1) * grid.config.steps;

/** Events of all runs of a grid, one after the other. Returns the runs with the chosen rate. */
export async function* runGrid(grid: Grid, signal?: AbortSignal): AsyncGenerator<TrainEvent, readonly LabelledRun[]> {
  const [first, ...others] = grid.seeds;
  if (first === undefined || grid.rates.length === 0) {
    throw new RangeError(
      `a grid needs at least one seed and one rate; got ${grid.seeds.length} and ${grid.rates.length}`,
    );
  }
  const runOne = async function* (seed: number, rate: number): AsyncGenerator<TrainEvent, RunResult> {
    const run = join(grid.folder, runName(grid.label, grid.config.tasks, seed, rate));
    const config = { ...grid.config, run, seed, learningRateScale: rate } as RunConfigInput;
    yield* train(config, signal === undefined ? {} : { signal });
    if (!existsSync(join(run, "metrics.json")))
      throw new DOMException("The grid was stopped; the same call goes on.", "AbortError");
    return readResult(run);
  };
  const tried: RunResult[] = [];
  for (const rate of grid.rates) tried.push(yield* runOne(first, rate));
  // Ties go to the rate that stands first in the grid.
  const best = tried.reduce((a, b) => (validationScore(b) > validationScore(a) ? b : a));
  const chosen = [best];
  for (const seed of others) chosen.push(yield* runOne(seed, best.learningRateScale));
  return chosen.map((result) => ({ label: grid.label, result }));
}
