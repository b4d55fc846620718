// Threefry-2x32 with 20 rounds: the counter-based generator, as plain TypeScript on unsigned 32-bit integers. It is
// the reference that every engine equals bit for bit. Not the API for tensors: that is random.ts.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 4. Random words
// lie as in JAX (jax.random.bits, partitionable threefry), so they can be checked against it. Keys do not: JAX's
// `split` and `fold_in` share counters, so that `split(key)[1]` is `fold_in(key, 1)`; here each purpose has its own.

/** Rotation distances, four for even and four for odd groups of rounds. */
export const rotations: readonly (readonly [number, number, number, number])[] = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
];

/** Parity constant of the key schedule. */
export const parity = 0x1bd11bda;

/** First word of the counter, by purpose: two purposes never meet in one block. */
export const domains = { bits: 0, split: 1, foldIn: 2 } as const;

/** One block: key (k0, k1), counter (c0, c1) → two words, written to out[0] and out[1]. */
export function threefry2x32(k0: number, k1: number, c0: number, c1: number, out: Uint32Array): void {
  const k2 = k0 ^ k1 ^ parity;
  let x0 = (c0 + k0) | 0;
  let x1 = (c1 + k1) | 0;
  // Five groups of four rounds, unrolled by hand: this loop body is what dropout on a plain host engine costs.
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  x0 = (x0 + k1) | 0;
  x1 = (x1 + k2 + 1) | 0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
  x0 = (x0 + k2) | 0;
  x1 = (x1 + k0 + 2) | 0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  x0 = (x0 + k0) | 0;
  x1 = (x1 + k1 + 3) | 0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 17) | (x1 >>> 15)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 29) | (x1 >>> 3)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 16) | (x1 >>> 16)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 24) | (x1 >>> 8)) ^ x0;
  x0 = (x0 + k1) | 0;
  x1 = (x1 + k2 + 4) | 0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 13) | (x1 >>> 19)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 15) | (x1 >>> 17)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 26) | (x1 >>> 6)) ^ x0;
  x0 = (x0 + x1) | 0;
  x1 = ((x1 << 6) | (x1 >>> 26)) ^ x0;
  out[0] = (x0 + k2) | 0;
  out[1] = (x1 + k0 + 5) | 0;
}

/** `size` words; word i is the xor of the two words of block (0, i). */
export function randomBits(k0: number, k1: number, size: number): Uint32Array {
  const bits = new Uint32Array(size);
  const block = new Uint32Array(2);
  for (let i = 0; i < size; i++) {
    threefry2x32(k0, k1, domains.bits, i, block);
    bits[i] = block[0]! ^ block[1]!;
  }
  return bits;
}

/** `size` floats in [0, 1), 23 random bits each. */
export function randomUniform(k0: number, k1: number, size: number): Float32Array {
  const bits = randomBits(k0, k1, size);
  const floats = new Float32Array(bits.buffer);
  // A mantissa of random bits under the exponent of 1 is a float in [1, 2); the subtraction is exact.
  for (let i = 0; i < size; i++) bits[i] = (bits[i]! >>> 9) | 0x3f800000;
  for (let i = 0; i < size; i++) floats[i] = floats[i]! - 1;
  return floats;
}

/** `count` new keys: key i is block (1, i). */
export function splitKey(k0: number, k1: number, count: number): Int32Array {
  const keys = new Int32Array(2 * count);
  const block = new Uint32Array(2);
  for (let i = 0; i < count; i++) {
    threefry2x32(k0, k1, domains.split, i, block);
    keys.set(block, 2 * i);
  }
  return keys;
}

/** The key of a key and an integer: block (2, data). */
export function foldKey(k0: number, k1: number, data: number): Int32Array {
  const block = new Uint32Array(2);
  threefry2x32(k0, k1, domains.foldIn, data, block);
  return new Int32Array(block.buffer);
}

/**
 * A uniform number of 23 bits is below the probability exactly when its bits, as an integer, are below this. The
 * probability is taken as the float32 that a tensor would hold.
 */
export const bernoulliThreshold = (probability: number): number => Math.ceil(Math.fround(probability) * 2 ** 23);

/** `size` ones and zeros, one with this probability: the uniform number of the same place is below it. */
export function randomBernoulli(k0: number, k1: number, size: number, probability: number): Uint8Array {
  const bits = randomBits(k0, k1, size);
  const threshold = bernoulliThreshold(probability);
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = bits[i]! >>> 9 < threshold ? 1 : 0;
  return out;
}
