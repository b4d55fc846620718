// A ring of step batches in shared memory: the batch worker writes, the training thread reads, neither waits for the other.
// What they do when a place is empty or full is prefetch.ts and batch-worker.ts.
import type { Batch } from "./contract.ts";

/** Steps that the worker may be ahead. */
export const places = 8;

/** Cells of the control array; one stamp per place follows them. */
const asked = 0;
const begun = 1;
const stamps = 2;

/** What both threads need to see the same ring. */
export interface RingMemory {
  readonly control: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
  /** Of each place, in 32-bit words. */
  readonly words: number;
}

/** Words of a batch of this many rows, however they are parted. */
export function wordsOf(rows: number, inputLength: number, labelLength: number): number {
  return 1 + 3 * rows + rows * (2 * inputLength + labelLength + 2);
}

export function ringMemory(words: number): RingMemory {
  return {
    control: new SharedArrayBuffer(4 * (stamps + places)),
    data: new SharedArrayBuffer(4 * words * places),
    words,
  };
}

/** Steps are counted from the first of the range, so that they fit into 32 bits. */
export interface Ring {
  /** The reader wants this step: all before it are free places. */
  ask(step: number): void;
  /** What the reader last asked for. */
  asked(): number;
  /** The writer says that it works. */
  begin(): void;
  begun(): boolean;
  put(step: number, parts: readonly Batch[]): void;
  /** A copy of a step's parts; null while it is not there. */
  take(step: number): Batch[] | null;
}

export function openRing({ control, data, words }: RingMemory): Ring {
  const cells = new Int32Array(control);
  const all = new Int32Array(data);
  const stampOf = (step: number): number => stamps + (step % places);
  return {
    ask: (step) => {
      Atomics.store(cells, asked, step);
    },
    asked: () => Atomics.load(cells, asked),
    begin: () => {
      Atomics.store(cells, begun, 1);
    },
    begun: () => Atomics.load(cells, begun) === 1,
    put: (step, parts) => {
      write(parts, all.subarray((step % places) * words, ((step % places) + 1) * words));
      // The stamp comes last: who sees it sees the words.
      Atomics.store(cells, stampOf(step), step + 1);
    },
    take: (step) => {
      if (Atomics.load(cells, stampOf(step)) !== step + 1) return null;
      return read(all.subarray((step % places) * words, ((step % places) + 1) * words));
    },
  };
}

function write(parts: readonly Batch[], into: Int32Array): void {
  into[0] = parts.length;
  let at = 1;
  for (const { batchSize, inputLength, labelLength, inputIds, attentionMask, labels, taskIds, rows } of parts) {
    into[at] = batchSize;
    into[at + 1] = inputLength;
    into[at + 2] = labelLength;
    at += 3;
    for (const values of [inputIds, attentionMask, labels, taskIds, rows]) {
      into.set(values, at);
      at += values.length;
    }
  }
}

function read(from: Int32Array): Batch[] {
  const parts: Batch[] = [];
  let at = 1;
  const next = (length: number): Int32Array => {
    // A copy: the place is written again while the engine may still hold the batch.
    const values = from.slice(at, at + length);
    at += length;
    return values;
  };
  for (let part = 0; part < from[0]!; part++) {
    const [batchSize, inputLength, labelLength] = [from[at]!, from[at + 1]!, from[at + 2]!];
    at += 3;
    parts.push({
      inputIds: next(batchSize * inputLength),
      attentionMask: next(batchSize * inputLength),
      labels: next(batchSize * labelLength),
      taskIds: next(batchSize),
      rows: next(batchSize),
      batchSize,
      inputLength,
      labelLength,
    });
  }
  return parts;
}
