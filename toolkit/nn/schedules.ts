// Learning-rate schedules: the factor of the base rate at a step, a plain number computed on the host and handed to
// the compiled step as a tensor.

export type ScheduleName = "linear" | "cosine" | "constant";

export interface ScheduleOptions {
  readonly name: ScheduleName;
  readonly totalSteps: number;
  /** Steps of linear warm-up; below 1 a share of all steps. */
  readonly warmup?: number;
}

/**
 * Factor in [0, 1] for update number `step`, counted from 0: warm-up from 0 to 1, then the schedule down to 0 at
 * `totalSteps` (constant: stays 1). The forms of transformers' get_{linear,cosine,constant}_schedule_with_warmup.
 */
export function scheduleFactor(options: ScheduleOptions, step: number): number {
  const { name, totalSteps, warmup = 0 } = options;
  const warm = warmup > 0 && warmup < 1 ? Math.ceil(warmup * totalSteps) : warmup;
  if (step < warm) return step / Math.max(1, warm);
  if (name === "constant") return 1;
  const progress = Math.min(1, (step - warm) / Math.max(1, totalSteps - warm));
  return name === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
}
