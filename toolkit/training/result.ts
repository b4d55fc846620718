// What a finished run says about itself: metrics.json in its folder. Reports read this and the run log, nothing else.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Split } from "#datasets/contract.ts";

export interface RunResult {
  readonly run: string;
  readonly stage: string;
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly model: string;
  readonly tasks: readonly string[];
  readonly seed: number;
  readonly shots: number | null;
  readonly learningRateScale: number;
  /** Optimiser steps done. */
  readonly steps: number;
  /** Step of the checkpoint that the scores are of. */
  readonly bestStep: number;
  readonly seconds: number;
  /** Means over the steps: share of padding among input positions, passes per step, time waited for data per time of step. Absent in older folders. */
  readonly data?: { readonly padding: number; readonly subBatches: number; readonly waitShare: number };
  /** Per task, as the method counts them. */
  readonly trainableParameters: number;
  readonly engine: string;
  /** Values by split, task and metric, in 0..100 (correlations ×100). */
  readonly scores: Readonly<Partial<Record<Split, Readonly<Record<string, Readonly<Record<string, number>>>>>>>;
  /** The metric that tables report, by task. */
  readonly reported: Readonly<Record<string, string>>;
  /** Runs that this one needed, with their cost: a source stage and its teachers. */
  readonly needs: readonly { readonly run: string; readonly steps: number; readonly seconds: number }[];
}

/**
 * Reads a finished run's result.
 * @throws Error where the folder holds no finished run.
 */
export function readResult(folder: string): RunResult {
  const path = join(folder, "metrics.json");
  if (!existsSync(path)) {
    throw new Error(
      `${folder} is no finished run: expected a folder with metrics.json; train it first, or name another folder.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Error(`${path} is not JSON; the run's other files are intact: train again to write it anew.`, { cause });
  }
  const result = value as RunResult;
  if (typeof result?.method !== "string" || !Array.isArray(result.tasks) || typeof result.scores !== "object") {
    throw new Error(`${path} is JSON but no run result: expected method, tasks and scores.`);
  }
  return result;
}
