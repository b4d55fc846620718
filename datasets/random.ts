// Seeded randomness of this room: the 32-bit Mersenne Twister (MT19937, the classic init_genrand seeding) and a few
// draws on top of it. Not for secrets, and not the key-based randomness of the training step.

const LENGTH = 624;
const OFFSET = 397;

/**
 * The MT19937 stream for `seed` (a uint32): each call gives the next uint32.
 * It is the stream behind torch's CPU generator, numpy's legacy RandomState and Python's `random`.
 */
export function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(LENGTH);
  state[0] = seed >>> 0;
  for (let i = 1; i < LENGTH; i++) {
    const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
    state[i] = Math.imul(1812433253, previous) + i;
  }
  let index = LENGTH;
  return () => {
    if (index === LENGTH) {
      for (let i = 0; i < LENGTH; i++) {
        const y = (state[i]! & 0x80000000) | (state[(i + 1) % LENGTH]! & 0x7fffffff);
        state[i] = state[(i + OFFSET) % LENGTH]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      index = 0;
    }
    let y = state[index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  };
}

/** Draws from one seeded stream. */
export interface Draw {
  /** Uniform in [0, 1). */
  real(): number;
  /** Uniform in 0..n−1. */
  below(n: number): number;
  /** True with probability `p`. */
  chance(p: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** `count` different items, in random order. @throws RangeError where there are fewer. */
  sample<T>(items: readonly T[], count: number): T[];
  shuffle<T>(items: readonly T[]): T[];
  /** Another stream, the same for the same label however much was drawn before: for rows that share something. */
  fork(label: string): Draw;
}

/** A stream that is the same for the same seed and labels and, for all purposes here, independent of every other one. */
export function draw(seed: number, ...labels: readonly string[]): Draw {
  // FNV-1a over the seed's digits and the labels, so that neither can stand in for the other.
  let hash = 0x811c9dc5;
  for (const character of [String(seed), ...labels].join("\u0000")) {
    hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
  }
  const next = mersenneTwister(hash >>> 0);
  const real = (): number => next() / 2 ** 32;
  const below = (n: number): number => Math.floor(real() * n);
  const sample = <T>(items: readonly T[], count: number): T[] => {
    if (count > items.length) throw new RangeError(`cannot draw ${count} different items out of ${items.length}`);
    const pool = [...items];
    for (let i = 0; i < count; i++) {
      const j = i + below(pool.length - i);
      [pool[i], pool[j]] = [pool[j]!, pool[i]!];
    }
    return pool.slice(0, count);
  };
  return {
    real,
    below,
    chance: (p) => real() < p,
    pick: (items) => {
      if (items.length === 0) throw new RangeError("cannot pick from an empty list");
      return items[below(items.length)]!;
    },
    sample,
    shuffle: (items) => sample(items, items.length),
    fork: (label) => draw(seed, ...labels, label),
  };
}
