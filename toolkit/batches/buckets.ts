// Length buckets: which few lengths to pad to, so that the least is padded. Pure arithmetic on lengths.

/** How many rows have each length; weights need not be whole. */
interface Histogram {
  /** Ascending. */
  readonly values: readonly number[];
  readonly weights: readonly number[];
}

/**
 * The best at most `maxLengths` lengths to pad to: every row is padded up to the next of them, and the sum of padding
 * is the least possible. Returned ascending; the last is the longest row.
 * @throws RangeError where there are no lengths, or fewer than one bucket is asked for.
 */
export function optimalLengths(lengths: ArrayLike<number>, maxLengths: number): number[] {
  return optimal(histogram(lengths), maxLengths)(maxLengths);
}

/**
 * The best lengths for every number of them up to `most`, by dynamic programming over the distinct lengths; the best last
 * boundary before each length is monotone, which keeps it fast.
 */
function optimal({ values, weights }: Histogram, most: number): (count: number) => number[] {
  if (values.length === 0) throw new RangeError("No lengths to make buckets of.");
  if (!Number.isInteger(most) || most < 1)
    throw new RangeError(`The number of bucket lengths must be a whole number of at least 1, not ${most}.`);
  const n = values.length;
  // rows[i], tokens[i]: rows and tokens among the first i distinct lengths.
  const rows = new Float64Array(n + 1);
  const tokens = new Float64Array(n + 1);
  for (let i = 0; i < n; i++) {
    rows[i + 1] = rows[i]! + weights[i]!;
    tokens[i + 1] = tokens[i]! + weights[i]! * values[i]!;
  }
  /** Padding of one bucket that holds the distinct lengths from..to−1. */
  const cost = (from: number, to: number): number =>
    values[to - 1]! * (rows[to]! - rows[from]!) - (tokens[to]! - tokens[from]!);
  let best = Float64Array.from({ length: n + 1 }, (_, to) => (to === 0 ? 0 : cost(0, to)));
  const choices: Int32Array[] = [];
  for (let bucket = 2; bucket <= Math.min(most, n - 1); bucket++) {
    const next = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
    const choice = new Int32Array(n + 1);
    const solve = (low: number, high: number, from: number, to: number): void => {
      if (low > high) return;
      const middle = (low + high) >> 1;
      for (let cut = Math.max(from, bucket - 1); cut <= Math.min(to, middle - 1); cut++) {
        const total = best[cut]! + cost(cut, middle);
        if (total < next[middle]!) {
          next[middle] = total;
          choice[middle] = cut;
        }
      }
      solve(low, middle - 1, from, choice[middle]!);
      solve(middle + 1, high, choice[middle]!, to);
    };
    solve(bucket, n, bucket - 1, n - 1);
    best = next;
    choices.push(choice);
  }
  return (count) => {
    if (n <= count) return [...values];
    const boundaries: number[] = [];
    let end = n;
    for (let bucket = count - 2; bucket >= 0; bucket--) {
      boundaries.push(values[end - 1]!);
      end = choices[bucket]![end]!;
    }
    boundaries.push(values[end - 1]!);
    return boundaries.reverse();
  };
}

/** One task of a mixture, for `sharedLengths`. */
export interface TaskLengths {
  readonly rowLengths: ArrayLike<number>;
  /** Share of the mixture's rows that are this task's. */
  readonly probability: number;
  /** Lengths of this task at most. */
  readonly most: number;
}

/** Lengths at least: fewer save no executable worth the padding. */
const fewest = 4;
/** Lengths of a mixture at most. */
const mostShared = 40;

/**
 * The input lengths of each task of a mixture, out of one set of as few as possible with which less than `goal` of the
 * mixture's input positions is padding. Of one set, so that rows of different tasks share a sub-batch and a compiled shape;
 * each task uses the best `most` of it. Each task's own best `most` where no set is good enough.
 */
export function sharedLengths(tasks: readonly TaskLengths[], goal: number): number[][] {
  const histograms = tasks.map(({ rowLengths }) => histogram(rowLengths));
  const pool = new Map<number, number>();
  for (const [task, { values, weights }] of histograms.entries()) {
    // A task that is never drawn still has a place: its rows must fit.
    const scale = Math.max(tasks[task]!.probability, Number.EPSILON) / tasks[task]!.rowLengths.length;
    for (const [i, value] of values.entries()) pool.set(value, (pool.get(value) ?? 0) + scale * weights[i]!);
  }
  const values = [...pool.keys()].sort((a, b) => a - b);
  const set = optimal({ values, weights: values.map((value) => pool.get(value)!) }, mostShared);
  const largest = Math.min(mostShared, values.length);
  for (let count = Math.min(fewest, largest); count <= largest; count++) {
    const lengths = set(count);
    const chosen = histograms.map((each, task) => {
      const { most } = tasks[task]!;
      return optimal(rounded(each, lengths), most)(most);
    });
    let padded = 0;
    let tokens = 0;
    for (const [task, each] of histograms.entries()) {
      const scale = tasks[task]!.probability / tasks[task]!.rowLengths.length;
      for (const [i, value] of each.values.entries()) {
        padded += scale * each.weights[i]! * chosen[task]![bucketOf(chosen[task]!, value)]!;
        tokens += scale * each.weights[i]! * value;
      }
    }
    if (1 - tokens / padded < goal) return chosen;
  }
  return tasks.map(({ rowLengths, most }) => optimalLengths(rowLengths, most));
}

/** Every length rounded up to the next of `lengths`. */
function rounded({ values, weights }: Histogram, lengths: readonly number[]): Histogram {
  const rows = new Map<number, number>();
  for (const [i, value] of values.entries()) {
    const length = lengths[bucketOf(lengths, value)]!;
    rows.set(length, (rows.get(length) ?? 0) + weights[i]!);
  }
  return { values: [...rows.keys()], weights: [...rows.values()] };
}

/** Index of the first of the ascending `lengths` that holds `length`; −1 where none does. */
export function bucketOf(lengths: readonly number[], length: number): number {
  let low = 0;
  let high = lengths.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lengths[middle]! < length) low = middle + 1;
    else high = middle;
  }
  return low === lengths.length ? -1 : low;
}

/** Share of padding when every row is padded to the next of `lengths`. */
export function paddingShare(rowLengths: ArrayLike<number>, lengths: readonly number[]): number {
  let padded = 0;
  let tokens = 0;
  for (let i = 0; i < rowLengths.length; i++) {
    const bucket = bucketOf(lengths, rowLengths[i]!);
    if (bucket < 0) throw new RangeError(`A row of length ${rowLengths[i]} fits into none of ${lengths.join(", ")}.`);
    padded += lengths[bucket]!;
    tokens += rowLengths[i]!;
  }
  return padded === 0 ? 0 : 1 - tokens / padded;
}

/** Lengths of rows that lie between offsets. */
export function lengthsFrom(offsets: Int32Array): Int32Array {
  const lengths = new Int32Array(Math.max(0, offsets.length - 1));
  for (let i = 0; i < lengths.length; i++) lengths[i] = offsets[i + 1]! - offsets[i]!;
  return lengths;
}

function histogram(lengths: ArrayLike<number>): Histogram {
  const seen = new Map<number, number>();
  for (let i = 0; i < lengths.length; i++) seen.set(lengths[i]!, (seen.get(lengths[i]!) ?? 0) + 1);
  const values = [...seen.keys()].sort((a, b) => a - b);
  return { values, weights: values.map((value) => seen.get(value)!) };
}
