// Which task each row of a step comes from (mpt.md, 2.2): sampling distributions, and MPT's stochastic task sampling.
// Counts only; which example of the task is epoch-order.ts.
import { DataError } from "./errors.ts";
import type { Random } from "./keyed-random.ts";

/**
 * `proportional`: by size, each size capped (T5's 2¹⁸ by default; `cap: Infinity` for none); `equal`: each task alike;
 * `temperature`: size^(1/temperature), sizes capped first (1 is proportional, large is equal);
 * `logarithmic`: ln(size) + 0.001, the descendant code's "stratified".
 */
export type Sampling =
  | { readonly kind: "proportional"; readonly cap?: number }
  | { readonly kind: "equal" }
  | { readonly kind: "temperature"; readonly temperature: number; readonly cap?: number }
  | { readonly kind: "logarithmic" };

/** Number of task slots in a batch: uniform in min..max; default 2..number of tasks. */
export interface StochasticTasks {
  readonly min?: number;
  readonly max?: number;
}

export const defaultCap: number = 2 ** 18;

/** Probability of each task; sums to 1. @throws DataError where the choice is not sensible. */
export function probabilitiesOf(
  sizes: readonly number[],
  weights: readonly number[],
  sampling: Sampling,
): readonly number[] {
  const rates = sizes.map((size, i) => rateOf(size, sampling) * weights[i]!);
  const total = rates.reduce((sum, rate) => sum + rate, 0);
  if (!(total > 0) || rates.some((rate) => !(rate >= 0)))
    throw new DataError(`The tasks' weights must be 0 or more, and not all 0; got ${weights.join(", ")}.`);
  return rates.map((rate) => rate / total);
}

function rateOf(size: number, sampling: Sampling): number {
  switch (sampling.kind) {
    case "proportional":
      return Math.min(size, capOf(sampling.cap));
    case "equal":
      return 1;
    case "temperature":
      if (!(sampling.temperature > 0)) throw new DataError(`temperature must be above 0, not ${sampling.temperature}.`);
      return Math.min(size, capOf(sampling.cap)) ** (1 / sampling.temperature);
    case "logarithmic":
      return Math.log(size) + 0.001;
  }
}

function capOf(cap: number = defaultCap): number {
  if (!(cap > 0)) throw new DataError(`cap must be above 0, not ${cap}.`);
  return cap;
}

/** Rows of each task in one batch. */
export function countsOf(
  probabilities: readonly number[],
  batchSize: number,
  stochastic: StochasticTasks | null,
  random: Random,
): Int32Array {
  const counts = new Int32Array(probabilities.length);
  if (probabilities.length === 1) {
    counts[0] = batchSize;
    return counts;
  }
  if (stochastic === null) {
    for (let row = 0; row < batchSize; row++) counts[pick(probabilities, random)]!++;
    return counts;
  }
  // Slots are drawn with replacement, so that fewer different tasks than slots may appear.
  const max = stochastic.max ?? probabilities.length;
  const min = Math.min(stochastic.min ?? 2, max);
  const slots = Math.min(batchSize, min + random.below(max - min + 1));
  const drawn = Array.from({ length: slots }, () => pick(probabilities, random));
  const each = Math.floor(batchSize / slots);
  for (const task of drawn) counts[task]! += each;
  counts[drawn[random.below(slots)]!]! += batchSize - each * slots;
  return counts;
}

function pick(probabilities: readonly number[], random: Random): number {
  let left = random.real();
  for (let i = 0; i < probabilities.length; i++) {
    left -= probabilities[i]!;
    if (left < 0) return i;
  }
  // Rounding may leave a crumb: the last task that can be drawn at all.
  return probabilities.findLastIndex((probability) => probability > 0);
}
