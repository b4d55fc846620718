// The multitask mixture of MPT's source training: which examples of which tasks make each step, as batches. Everything
// is a pure function of the options and the step, so a run goes on at any step without stored state, and every engine
// sees the same examples in the same order.
import { bucketOf, lengthsFrom, optimalLengths, sharedLengths } from "./buckets.ts";
import { type CollateTask, collate } from "./collate.ts";
import type { Batch, StepBatch } from "./contract.ts";
import { type EpochOrder, epochOrder } from "./epoch-order.ts";
import { DataError } from "./errors.ts";
import { keyedRandom } from "./keyed-random.ts";
import { type MixtureData, prefetched, sharedTask } from "./prefetch.ts";
import { wordsOf } from "./ring.ts";
import { countsOf, probabilitiesOf, type Sampling, type StochasticTasks } from "./sampling.ts";

export interface MixtureTask {
  /** An `EncodedDataset`. */
  readonly encoded: MixtureData;
  /** Factor on the task's probability; default 1. */
  readonly weight?: number;
  /** Input lengths of this task at most; default: the mixture's. */
  readonly maxLengths?: number;
}

export interface MixtureOptions {
  /** Rows of one update. */
  readonly batchSize: number;
  readonly seed: number;
  /** Default: proportional to size, capped at 2¹⁸ (T5). */
  readonly sampling?: Sampling;
  /** MPT's stochastic task sampling; absent: each row's task is drawn by itself. */
  readonly stochasticTasks?: StochasticTasks;
  /** Default false: every example once per epoch of its task. */
  readonly replacement?: boolean;
  /** Input lengths per task at most, default 10. */
  readonly maxLengths?: number;
  /**
   * Share of padding to stay under with as few lengths as possible, out of one set for all tasks (`sharedLengths`). Absent:
   * each task has the best `maxLengths` of its own, which pads least.
   */
  readonly paddingGoal?: number;
  /** Default `length`: a task's rows of one step are of one length, or two; `none`: any rows. */
  readonly grouping?: "length" | "none";
}

export interface BatchRange {
  readonly fromStep?: number;
  /** Not included; absent: endless. */
  readonly toStep?: number;
  readonly signal?: AbortSignal;
  /** `worker` (default): made ahead on a worker thread; `thread`: on this one, when asked for. The batches are the same. */
  readonly prefetch?: "worker" | "thread";
}

export interface Mixture {
  readonly batchSize: number;
  /** Steps in which as many rows are read as all tasks have together. */
  readonly stepsPerEpoch: number;
  /** Of each task, in the order given. */
  readonly probabilities: readonly number[];
  /** Input lengths of each task. */
  readonly lengths: readonly (readonly number[])[];
  readonly labelLengths: readonly number[];
  /** The examples of a step: [batchSize] each. */
  rowsAt(step: number): { readonly taskIds: Int32Array; readonly rows: Int32Array };
  /** The step's batches. `waitMs` is the time it took to make them. */
  at(step: number): StepBatch;
  batches(range?: BatchRange): AsyncGenerator<StepBatch, void, undefined>;
  /** Share of padding among the input positions of these steps. */
  padding(fromStep: number, toStep: number): number;
}

/** Labels come in few lengths too. */
const maxLabelLengths = 4;
/** Where no label is longer, as in classification, all are of one length: a shape less is worth more than a position. */
const shortLabel = 8;
/** Steps between two remembered positions of the tasks' streams. */
const stride = 1024;

/** @throws DataError naming every option that is not sensible. */
export function createMixture(tasks: readonly MixtureTask[], options: MixtureOptions): Mixture {
  const { batchSize, seed, sampling = { kind: "proportional" }, replacement = false, maxLengths = 10 } = options;
  const { grouping = "length", stochasticTasks = null, paddingGoal } = options;
  checkOptions(tasks, options, maxLengths);
  const sizes = tasks.map(({ encoded }) => encoded.length);
  const probabilities = probabilitiesOf(
    sizes,
    tasks.map(({ weight = 1 }) => weight),
    sampling,
  );
  const rowLengths = tasks.map(({ encoded }) => lengthsFrom(encoded.inputOffsets));
  const most = tasks.map((task) => task.maxLengths ?? maxLengths);
  const inputLengths =
    paddingGoal === undefined
      ? rowLengths.map((lengths, task) => optimalLengths(lengths, most[task]!))
      : sharedLengths(
          rowLengths.map((lengths, task) => ({
            rowLengths: lengths,
            probability: probabilities[task]!,
            most: most[task]!,
          })),
          paddingGoal,
        );
  const collated: CollateTask[] = tasks.map(({ encoded }, task) => ({ encoded, lengths: inputLengths[task]! }));
  const targetLengths = tasks.flatMap(({ encoded }) => [...new Set(lengthsFrom(encoded.targetOffsets))]);
  const labelLengths = optimalLengths(targetLengths, Math.max(...targetLengths) <= shortLabel ? 1 : maxLabelLengths);
  const buckets = collated.map(({ encoded, lengths }) =>
    Uint8Array.from(lengthsFrom(encoded.inputOffsets), (length) => bucketOf(lengths, length)),
  );
  const streams: EpochOrder[] = sizes.map((size, task) =>
    epochOrder(size, grouping === "length" ? buckets[task]! : null, batchSize, seed, task),
  );
  const members = replacement && grouping === "length" ? buckets.map(membersOf) : [];

  const countsAt = (step: number): Int32Array =>
    countsOf(probabilities, batchSize, stochasticTasks, keyedRandom(seed, 2, step));
  // positions[n]: rows read of each task before step n·stride. A float holds them exactly up to 2⁵³.
  const positions: Float64Array[] = [new Float64Array(tasks.length)];
  let latest = { step: 0, read: new Float64Array(tasks.length) };
  const positionsAt = (step: number): Float64Array => {
    if (tasks.length === 1) return Float64Array.of(step * batchSize);
    const known = Math.min(Math.floor(step / stride), positions.length - 1);
    const start = latest.step <= step && latest.step >= known * stride ? latest : null;
    const read = Float64Array.from(start?.read ?? positions[known]!);
    for (let at = start?.step ?? known * stride; at < step; at++) {
      const counts = countsAt(at);
      for (let task = 0; task < counts.length; task++) read[task]! += counts[task]!;
      if ((at + 1) % stride === 0 && positions.length === (at + 1) / stride) positions.push(Float64Array.from(read));
    }
    latest = { step, read: Float64Array.from(read) };
    return read;
  };

  function rowsAt(step: number): { taskIds: Int32Array; rows: Int32Array } {
    if (!Number.isSafeInteger(step) || step < 0)
      throw new DataError(`A step is a whole number from 0 on, not ${step}.`);
    const counts = countsAt(step);
    const taskIds = new Int32Array(batchSize);
    const rows = new Int32Array(batchSize);
    const read = replacement ? null : positionsAt(step);
    const random = keyedRandom(seed, 3, step);
    let at = 0;
    for (let task = 0; task < counts.length; task++) {
      // With replacement: one bucket by its size, then rows of it; every example stays equally likely.
      const pool = members[task]?.[counts[task]! > 0 ? buckets[task]![random.below(sizes[task]!)]! : 0];
      for (let n = 0; n < counts[task]!; n++, at++) {
        taskIds[at] = task;
        if (read) rows[at] = streams[task]!.at(read[task]! + n);
        else rows[at] = pool ? pool[random.below(pool.length)]! : random.below(sizes[task]!);
      }
    }
    return { taskIds, rows };
  }

  function at(step: number): StepBatch {
    const began = performance.now();
    const { taskIds, rows } = rowsAt(step);
    const parts = collate(collated, taskIds, rows, labelLengths);
    return { step, parts, examples: batchSize, waitMs: performance.now() - began };
  }

  return {
    batchSize,
    stepsPerEpoch: Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / batchSize),
    probabilities,
    lengths: collated.map(({ lengths }) => lengths),
    labelLengths,
    rowsAt,
    at,
    batches({ fromStep = 0, toStep = Number.POSITIVE_INFINITY, signal, prefetch = "worker" } = {}) {
      const longest = (lengths: readonly number[]): number => lengths.at(-1)!;
      return prefetched({
        fromStep,
        toStep,
        signal,
        at,
        onWorker: prefetch === "worker",
        options,
        tasks: () => tasks.map(sharedTask),
        words: wordsOf(batchSize, Math.max(...collated.map(({ lengths }) => longest(lengths))), longest(labelLengths)),
      });
    },
    padding(fromStep, toStep) {
      let positionsUsed = 0;
      let tokens = 0;
      for (let step = fromStep; step < toStep; step++) {
        for (const { attentionMask } of at(step).parts) {
          positionsUsed += attentionMask.length;
          for (const bit of attentionMask) tokens += bit;
        }
      }
      return positionsUsed === 0 ? 0 : 1 - tokens / positionsUsed;
    },
  };
}

export interface EvaluationOptions {
  readonly batchSize: number;
  /** Goes into every batch; default 0. */
  readonly taskId?: number;
  /** Default 10. */
  readonly maxLengths?: number;
}

/** Every example once, short to long, so that little is padded; `rows` says which. */
export function* evaluationBatches(encoded: MixtureData, options: EvaluationOptions): Generator<Batch> {
  const { batchSize, taskId = 0, maxLengths = 10 } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new DataError(`batchSize must be a whole number of at least 1, not ${batchSize}.`);
  const inputLengths = lengthsFrom(encoded.inputOffsets);
  const lengths = optimalLengths(inputLengths, maxLengths);
  const labelLengths = optimalLengths(lengthsFrom(encoded.targetOffsets), maxLabelLengths);
  const groups: number[][] = lengths.map(() => []);
  for (let i = 0; i < encoded.length; i++) groups[bucketOf(lengths, inputLengths[i]!)]!.push(i);
  for (const group of groups) {
    for (let start = 0; start < group.length; start += batchSize) {
      const rows = Int32Array.from(group.slice(start, start + batchSize));
      yield* collate([{ encoded, lengths }], new Int32Array(rows.length), rows, labelLengths, () => taskId);
    }
  }
}

function membersOf(buckets: Uint8Array): Int32Array[] {
  const members: number[][] = [];
  for (const [example, bucket] of buckets.entries()) {
    members[bucket] ??= [];
    members[bucket].push(example);
  }
  return members.map((examples) => Int32Array.from(examples));
}

function checkOptions(tasks: readonly MixtureTask[], options: MixtureOptions, maxLengths: number): void {
  const wrong: string[] = [];
  const { batchSize, seed, stochasticTasks, paddingGoal } = options;
  if (tasks.length === 0) wrong.push("a mixture needs at least one task");
  for (const [i, { encoded }] of tasks.entries())
    if (encoded.length === 0) wrong.push(`task ${i} (${encoded.name}) has no examples`);
  if (!Number.isInteger(batchSize) || batchSize < 1)
    wrong.push(`batchSize must be a whole number of at least 1, not ${batchSize}`);
  if (!Number.isSafeInteger(seed) || seed < 0) wrong.push(`seed must be a whole number from 0 on, not ${seed}`);
  for (const lengths of [maxLengths, ...tasks.flatMap((task) => task.maxLengths ?? [])])
    if (!Number.isInteger(lengths) || lengths < 1 || lengths > 255)
      wrong.push(`maxLengths must be a whole number from 1 to 255, not ${lengths}`);
  if (paddingGoal !== undefined && !(paddingGoal > 0 && paddingGoal <= 1))
    wrong.push(`paddingGoal must be above 0 and at most 1, not ${paddingGoal}`);
  const { min = 1, max = Math.max(1, tasks.length) } = stochasticTasks ?? {};
  if (!Number.isInteger(min) || !Number.isInteger(max) || min < 1 || max < min)
    wrong.push(`stochasticTasks needs whole numbers 1 ≤ min ≤ max, not min ${min}, max ${max}`);
  if (wrong.length > 0) throw new DataError(`Mixture: ${wrong.join("; ")}.`);
}
