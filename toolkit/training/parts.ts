// How the rows of one step are cut into passes over the model: one sub-batch per input length (`exact`), or with lengths
// put together where a pass of its own would cost more than the padding that it saves (`merged`). One update whatever the
// cut: the weights of parts are step.ts. Pure functions of the batch and of fixed costs, so a resumed run cuts alike.
import type { Batch } from "#toolkit/batches/contract.ts";

/**
 * Changes when the same configuration gives other batches or other passes, so that a run begun before is not gone on with
 * as if its steps were the same. 1: lengths of each task's own, passes by cost.
 */
export const batchPlan = 2;

export interface SplitOptions {
  /** Rows of one pass at most: the configuration's batch size. */
  readonly maxRows: number;
  /**
   * True where each shape is compiled: passes have `maxRows` rows, or half of it, a quarter and so on, since any number of
   * rows would make any number of executables.
   */
  readonly halves: boolean;
}

/** One sub-batch per input length, each in as few passes as the sizes allow. No row is padded further. */
export function splitParts(parts: readonly Batch[], { maxRows, halves }: SplitOptions): Batch[] {
  return parts.flatMap((part) => {
    const passes: Batch[] = [];
    let size = maxRows;
    for (let from = 0; from < part.batchSize; ) {
      const left = part.batchSize - from;
      while (size > left) size = halves ? Math.max(1, size >> 1) : left;
      passes.push(slice(part, from, from + size));
      from += size;
    }
    return passes;
  });
}

export interface CutOptions {
  /** Rows of one pass at most: the configuration's batch size. */
  readonly maxRows: number;
  /**
   * Cuts are made at multiples of this many rows, counted from the shortest. 1 where shapes cost nothing; a quarter of a
   * batch where each shape is compiled, since any number of rows would make any number of executables.
   */
  readonly rowStep: number;
  /** Seconds of one pass, its overhead included: `passSeconds` of estimate.ts. */
  readonly cost: (rows: number, inputLength: number, labelLength: number) => number;
}

/**
 * The cheapest cut of a step's rows, sorted by length, into passes; dynamic programming over all of them. Of equally
 * cheap ones the one with fewer passes.
 * @param parts one per input length, short to long, as the mixture gives them
 */
export function cutParts(parts: readonly Batch[], { maxRows, rowStep, cost }: CutOptions): Batch[] {
  const sorted = parts.toSorted((a, b) => a.inputLength - b.inputLength);
  const total = sorted.reduce((sum, part) => sum + part.batchSize, 0);
  const inputLengths = sorted.flatMap((part) => new Array<number>(part.batchSize).fill(part.inputLength));
  const labelLengths = sorted.flatMap((part) => new Array<number>(part.batchSize).fill(part.labelLength));
  // best[n]: seconds of the first n rows; from[n]: where the last pass of them begins.
  const best = new Float64Array(total + 1).fill(Number.POSITIVE_INFINITY);
  const from = new Int32Array(total + 1);
  best[0] = 0;
  for (let end = 1; end <= total; end++) {
    if (end !== total && end % rowStep !== 0) continue;
    let longestLabel = 0;
    for (let start = end - 1; start >= Math.max(0, end - maxRows); start--) {
      longestLabel = Math.max(longestLabel, labelLengths[start]!);
      const seconds = best[start]! + cost(end - start, inputLengths[end - 1]!, longestLabel);
      // Longer passes come later in this loop, so equal costs go to them (up to rounding).
      if (seconds <= best[end]! * (1 + 1e-12)) {
        best[end] = seconds;
        from[end] = start;
      }
    }
  }
  const passes: Batch[] = [];
  for (let end = total; end > 0; end = from[end]!) passes.push(rowsOf(sorted, from[end]!, end));
  return passes.reverse();
}

/** Rows from..to, counted through the parts, as one batch padded to the longest input and label among those parts. */
function rowsOf(parts: readonly Batch[], from: number, to: number): Batch {
  const pieces: Batch[] = [];
  let first = 0;
  for (const part of parts) {
    const [start, end] = [Math.max(from - first, 0), Math.min(to - first, part.batchSize)];
    if (start < end) pieces.push(slice(part, start, end));
    first += part.batchSize;
  }
  return mergeParts(pieces);
}

function slice(batch: Batch, from: number, to: number): Batch {
  if (from === 0 && to === batch.batchSize) return batch;
  const cut = (values: Int32Array, width: number): Int32Array => values.subarray(from * width, to * width);
  return {
    inputIds: cut(batch.inputIds, batch.inputLength),
    attentionMask: cut(batch.attentionMask, batch.inputLength),
    labels: cut(batch.labels, batch.labelLength),
    taskIds: cut(batch.taskIds, 1),
    rows: cut(batch.rows, 1),
    batchSize: to - from,
    inputLength: batch.inputLength,
    labelLength: batch.labelLength,
  };
}

/** Several batches as one, padded to the longest input and label. */
export function mergeParts(parts: readonly Batch[]): Batch {
  if (parts.length === 1) return parts[0]!;
  const batchSize = parts.reduce((sum, part) => sum + part.batchSize, 0);
  const inputLength = Math.max(...parts.map((part) => part.inputLength));
  const labelLength = Math.max(...parts.map((part) => part.labelLength));
  const inputIds = new Int32Array(batchSize * inputLength);
  const attentionMask = new Int32Array(batchSize * inputLength);
  const labels = new Int32Array(batchSize * labelLength).fill(-100);
  const taskIds = new Int32Array(batchSize);
  const rows = new Int32Array(batchSize);
  let at = 0;
  for (const part of parts) {
    for (let row = 0; row < part.batchSize; row++, at++) {
      const input = row * part.inputLength;
      inputIds.set(part.inputIds.subarray(input, input + part.inputLength), at * inputLength);
      attentionMask.set(part.attentionMask.subarray(input, input + part.inputLength), at * inputLength);
      labels.set(part.labels.subarray(row * part.labelLength, (row + 1) * part.labelLength), at * labelLength);
      taskIds[at] = part.taskIds[row]!;
      rows[at] = part.rows[row]!;
    }
  }
  return { inputIds, attentionMask, labels, taskIds, rows, batchSize, inputLength, labelLength };
}

/** Share of padding among the input positions of these batches. */
export function paddingOf(parts: readonly Batch[]): number {
  let positions = 0;
  let tokens = 0;
  for (const { attentionMask } of parts) {
    positions += attentionMask.length;
    for (const bit of attentionMask) tokens += bit;
  }
  return positions === 0 ? 0 : 1 - tokens / positions;
}
