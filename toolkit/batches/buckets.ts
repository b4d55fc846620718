// Length buckets: which few lengths to pad to, so that the least is padded. Pure arithmetic on lengths.

/**
 * The best at most `maxLengths` lengths to pad to: every row is padded up to the next of them, and the sum of padding
 * is the least possible (dynamic programming over the distinct lengths; the best last boundary before each length is
 * monotone, which keeps it fast). Returned ascending; the last is the longest row.
 * @throws RangeError where there are no lengths, or fewer than one bucket is asked for.
 */
export function optimalLengths(lengths: ArrayLike<number>, maxLengths: number): number[] {
  if (lengths.length === 0) throw new RangeError("No lengths to make buckets of.");
  if (!Number.isInteger(maxLengths) || maxLengths < 1)
    throw new RangeError(`The number of bucket lengths must be a whole number of at least 1, not ${maxLengths}.`);
  const { values, counts } = histogram(lengths);
  const n = values.length;
  if (n <= maxLengths) return values;
  // rows[i], tokens[i]: rows and tokens among the first i distinct lengths.
  const rows = new Float64Array(n + 1);
  const tokens = new Float64Array(n + 1);
  for (let i = 0; i < n; i++) {
    rows[i + 1] = rows[i]! + counts[i]!;
    tokens[i + 1] = tokens[i]! + counts[i]! * values[i]!;
  }
  /** Padding of one bucket that holds the distinct lengths from..to−1. */
  const cost = (from: number, to: number): number =>
    values[to - 1]! * (rows[to]! - rows[from]!) - (tokens[to]! - tokens[from]!);
  let best = Float64Array.from({ length: n + 1 }, (_, to) => (to === 0 ? 0 : cost(0, to)));
  const choices: Int32Array[] = [];
  for (let bucket = 2; bucket <= maxLengths; bucket++) {
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
  const boundaries: number[] = [];
  let end = n;
  for (let bucket = choices.length - 1; bucket >= 0; bucket--) {
    boundaries.push(values[end - 1]!);
    end = choices[bucket]![end]!;
  }
  boundaries.push(values[end - 1]!);
  return boundaries.reverse();
}

/**
 * The fewest lengths, of `fewest` to `most`, with which less than `goal` of the input positions is padding when every row
 * is padded to the next length; `most` where none does.
 */
export function lengthsNeeded(rowLengths: ArrayLike<number>, fewest: number, most: number, goal: number): number {
  for (let count = fewest; count < most; count++)
    if (paddingShare(rowLengths, optimalLengths(rowLengths, count)) < goal) return count;
  return most;
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

function histogram(lengths: ArrayLike<number>): { values: number[]; counts: number[] } {
  const seen = new Map<number, number>();
  for (let i = 0; i < lengths.length; i++) seen.set(lengths[i]!, (seen.get(lengths[i]!) ?? 0) + 1);
  const values = [...seen.keys()].sort((a, b) => a - b);
  return { values, counts: values.map((value) => seen.get(value)!) };
}
