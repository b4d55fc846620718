// Chosen examples → padded typed arrays, one batch per input length. No choosing here.
import { bucketOf } from "./buckets.ts";
import type { Batch } from "./contract.ts";
import type { MixtureData } from "./prefetch.ts";

/** −100: what the loss leaves out. */
export const ignored = -100;

export interface CollateTask {
  readonly encoded: MixtureData;
  /** Ascending input lengths to pad to. */
  readonly lengths: readonly number[];
}

/**
 * One batch per input length among the rows, short to long; rows keep their order. Rows of different tasks share a
 * batch where their padded lengths are equal.
 * @param taskIds [N] task of each row, counted in `tasks`; `taskIdOf` says what goes into the batch.
 * @param labelLengths ascending lengths that labels are padded to.
 */
export function collate(
  tasks: readonly CollateTask[],
  taskIds: Int32Array,
  rows: Int32Array,
  labelLengths: readonly number[],
  taskIdOf: (task: number) => number = (task) => task,
): Batch[] {
  const byLength = new Map<number, number[]>();
  for (let i = 0; i < rows.length; i++) {
    const { encoded, lengths } = tasks[taskIds[i]!]!;
    const length = lengths[bucketOf(lengths, inputLengthOf(encoded, rows[i]!))]!;
    const members = byLength.get(length);
    if (members) members.push(i);
    else byLength.set(length, [i]);
  }
  return [...byLength.entries()]
    .sort(([a], [b]) => a - b)
    .map(([inputLength, members]) => {
      const batchSize = members.length;
      let longest = 1;
      for (const i of members) longest = Math.max(longest, targetLengthOf(tasks[taskIds[i]!]!.encoded, rows[i]!));
      const labelLength = labelLengths[bucketOf(labelLengths, longest)] ?? longest;
      const inputIds = new Int32Array(batchSize * inputLength);
      const attentionMask = new Int32Array(batchSize * inputLength);
      const labels = new Int32Array(batchSize * labelLength).fill(ignored);
      for (let b = 0; b < batchSize; b++) {
        const i = members[b]!;
        const { encoded } = tasks[taskIds[i]!]!;
        const row = rows[i]!;
        const from = encoded.inputOffsets[row]!;
        const to = encoded.inputOffsets[row + 1]!;
        const start = b * inputLength;
        inputIds.set(encoded.inputTokens.subarray(from, to), start);
        attentionMask.fill(1, start, start + to - from);
        if (encoded.padId !== 0) inputIds.fill(encoded.padId, start + to - from, start + inputLength);
        const targets = encoded.targetTokens.subarray(encoded.targetOffsets[row]!, encoded.targetOffsets[row + 1]!);
        labels.set(targets, b * labelLength);
      }
      return {
        inputIds,
        attentionMask,
        labels,
        taskIds: Int32Array.from(members, (i) => taskIdOf(taskIds[i]!)),
        rows: Int32Array.from(members, (i) => rows[i]!),
        batchSize,
        inputLength,
        labelLength,
      };
    });
}

function inputLengthOf(encoded: MixtureData, row: number): number {
  return encoded.inputOffsets[row + 1]! - encoded.inputOffsets[row]!;
}

function targetLengthOf(encoded: MixtureData, row: number): number {
  return encoded.targetOffsets[row + 1]! - encoded.targetOffsets[row]!;
}
