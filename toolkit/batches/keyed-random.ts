// Random numbers named by a key of whole numbers, so that what is drawn at a step is a pure function of seed and step:
// nothing has to be stored to go on. Not for secrets. Generator: xoshiro128** (Blackman and Vigna), state by murmur3's
// finaliser over the key.

export interface Random {
  /** Uniform in 0..2³²−1. */
  bits(): number;
  /** Uniform in [0, 1). */
  real(): number;
  /** Uniform in 0..n−1, without bias. */
  below(n: number): number;
}

/** The stream of this key; streams of different keys are independent for all purposes here. */
export function keyedRandom(...key: readonly number[]): Random {
  let hash = 0x9e3779b9;
  const absorb = (word: number): void => {
    hash = mix(Math.imul(hash ^ (word >>> 0), 0x85ebca6b) + 0x6d2b79f5);
  };
  for (const number of key) {
    absorb(number);
    // Seeds and steps beyond 32 bits.
    absorb(Math.floor(number / 2 ** 32));
  }
  const word = (lane: number): number => mix(hash + Math.imul(lane, 0x9e3779b9)) | 0;
  let a = word(1);
  let b = word(2);
  let c = word(3);
  let d = word(4) | 1;
  const bits = (): number => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  for (let i = 0; i < 8; i++) bits();
  return {
    bits,
    real: () => bits() / 2 ** 32,
    below(n) {
      const limit = 2 ** 32 - (2 ** 32 % n);
      let value = bits();
      while (value >= limit) value = bits();
      return value % n;
    },
  };
}

/** Shuffles in place (Fisher and Yates). */
export function shuffle(items: Int32Array | number[] | unknown[], random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = items[i];
    items[i] = items[j]!;
    items[j] = kept as never;
  }
}

function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
