// What a study would cost: its runs and steps by stage, and hours from a step time that was measured (given, or read
// from the runs of another study). Nothing is guessed: without a measured step there are no hours.
import { join } from "node:path";
import { findRuns } from "#toolkit/report/runs.ts";
import { logRows, type RunResult, readRunLog } from "#toolkit/training/index.ts";
import { gridSteps } from "./grid.ts";
import { type Study, studyStages, targetGrids } from "./study.ts";

export interface PlanLine {
  readonly stage: "teacher" | "source" | "target";
  readonly label: string;
  readonly tasks: readonly string[];
  readonly shots: number | null;
  readonly folder: string;
  readonly runs: number;
  /** Of all its runs together. */
  readonly steps: number;
}

/** Every stage of a study in one list, teachers first. */
export function studyPlan(study: Study): PlanLine[] {
  const stages: PlanLine[] = studyStages(study).map((stage) => ({ ...stage, shots: null, runs: 1 }));
  const targets = targetGrids(study).map(
    (grid): PlanLine => ({
      stage: "target",
      label: grid.label,
      tasks: grid.config.tasks,
      shots: (grid.config as { shots: number | null }).shots,
      folder: grid.folder,
      runs: grid.rates.length + grid.seeds.length - 1,
      steps: gridSteps(grid),
    }),
  );
  return [...stages, ...targets];
}

/** Times of runs that took place. */
export interface StepTimes {
  /** Mean milliseconds of a step on a target, or of a teacher's. */
  readonly stepMs: number;
  /** Of a step of the source stage, which also runs the teachers; null where none was measured. */
  readonly sourceStepMs: number | null;
  /** Seconds of a run besides its steps: compilation, evaluation, checkpoints. */
  readonly runSeconds: number;
  /** What was measured, in words. */
  readonly from: string;
}

/** A source step where none was measured: the student's three passes and the teacher's one, over the student's three. */
export const sourceStepRatio = 1.5;

/** Step times from the finished runs below a folder, or null where there are none. */
export function measureStudy(folder: string): StepTimes | null {
  let results: RunResult[];
  try {
    results = findRuns([folder]);
  } catch {
    return null; // no such folder: nothing was measured
  }
  let [targetMs, targetSteps, sourceMs, sourceSteps, rest, runs] = [0, 0, 0, 0, 0, 0];
  for (const result of results) {
    const rows = [...logRows(readRunLog(join(result.run, "log.arrow")))];
    const stepMs = rows.filter((row) => row.name === "stepMs" && row.stage === result.stage);
    const total = stepMs.reduce((sum, row) => sum + row.value, 0);
    if (result.stage === "source") {
      sourceMs += total;
      sourceSteps += stepMs.length;
    } else {
      targetMs += total;
      targetSteps += stepMs.length;
      // A run that was stopped and gone on with counts the seconds of its parts alone; never below its steps.
      rest += Math.max(0, result.seconds - total / 1000);
      runs++;
    }
  }
  if (targetSteps === 0) return null;
  return {
    stepMs: targetMs / targetSteps,
    sourceStepMs: sourceSteps === 0 ? null : sourceMs / sourceSteps,
    runSeconds: rest / runs,
    from: `${runs} finished runs in ${folder}`,
  };
}

export interface PlanCost {
  readonly runs: number;
  readonly steps: number;
  readonly hours: number | null;
}

/** Sums of a plan; hours where times are known. Compilation of the source stage and pretraining are not in them. */
export function planCost(plan: readonly PlanLine[], times: StepTimes | null): PlanCost {
  const runs = plan.reduce((sum, line) => sum + line.runs, 0);
  const steps = plan.reduce((sum, line) => sum + line.steps, 0);
  if (times === null) return { runs, steps, hours: null };
  const milliseconds = plan.reduce((sum, line) => {
    const step = line.stage === "source" ? (times.sourceStepMs ?? times.stepMs * sourceStepRatio) : times.stepMs;
    return sum + line.steps * step + line.runs * times.runSeconds * 1000;
  }, 0);
  return { runs, steps, hours: milliseconds / 3_600_000 };
}
