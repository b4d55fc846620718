// The order in which one task's examples are read: an endless stream, every example once per epoch, a pure function of
// seed and position. Which task is read when is mixture.ts.
import { keyedRandom, shuffle } from "./keyed-random.ts";

export interface EpochOrder {
  /** Example at a position of the stream; position p belongs to epoch ⌊p / N⌋. */
  at(position: number): number;
}

/**
 * @param buckets [N] bucket of each example; null: no grouping by length.
 * @param block rows read together: runs of this many examples, aligned to multiples of it in the stream, are of one
 *   bucket as far as the counts allow, so that a batch of `block` rows pads little.
 */
export function epochOrder(
  count: number,
  buckets: Uint8Array | null,
  block: number,
  seed: number,
  task: number,
): EpochOrder {
  // Two epochs: a batch may end one and begin the next.
  const kept = new Map<number, Int32Array>();
  return {
    at(position) {
      const epoch = Math.floor(position / count);
      let order = kept.get(epoch);
      if (order === undefined) {
        if (kept.size >= 2) kept.delete(Math.min(...kept.keys()));
        order = orderOf(count, buckets, block, (epoch * count) % block, keyedRandom(seed, 1, task, epoch));
        kept.set(epoch, order);
      }
      return order[position - epoch * count]!;
    },
  };
}

function orderOf(
  count: number,
  buckets: Uint8Array | null,
  block: number,
  offset: number,
  random: ReturnType<typeof keyedRandom>,
): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  shuffle(order, random);
  if (buckets === null) return order;
  // Shuffled examples by bucket, cut into whole blocks; what is left over of each bucket is put together, short to long.
  const byBucket: number[][] = [];
  for (const example of order) {
    const bucket = buckets[example]!;
    byBucket[bucket] ??= [];
    byBucket[bucket].push(example);
  }
  const blocks: number[][] = [];
  const rest: number[] = [];
  for (const members of byBucket) {
    if (members === undefined) continue;
    const whole = members.length - (members.length % block);
    for (let start = 0; start < whole; start += block) blocks.push(members.slice(start, start + block));
    rest.push(...members.slice(whole));
  }
  shuffle(blocks, random);
  // The epoch begins `offset` rows into a block of the stream and need not end at a block's end: head and tail are short.
  const head = Math.min(count, (block - offset) % block);
  const tail = (count - head) % block;
  while (rest.length < head + tail) rest.push(...blocks.pop()!);
  const middle: number[][] = [];
  for (let start = head; start + tail < rest.length; start += block)
    middle.push(rest.slice(start, Math.min(start + block, rest.length - tail)));
  blocks.push(...middle);
  shuffle(blocks, random);
  let at = 0;
  const put = (examples: readonly number[]): void => {
    for (const example of examples) order[at++] = example;
  };
  put(rest.slice(0, head));
  for (const examples of blocks) put(examples);
  put(rest.slice(rest.length - tail));
  return order;
}
