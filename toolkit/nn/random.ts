// A seeded generator on the host, for drawing initial parameters: xoshiro128** seeded through splitmix32. It is not
// for steps: randomness inside a compiled step is keyed and lives in the tensor room.

export interface HostRandom {
  /** [0, 1) with 32 bits. */
  uniform(): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** 0 … n − 1. */
  integer(n: number): number;
}

export function hostRandom(seed: number): HostRandom {
  let mix = seed >>> 0;
  const next = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [a, b, c, d] = [next(), next(), next(), next()];
  const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
  const uniform = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result / 2 ** 32;
  };
  let spare: number | undefined;
  return {
    uniform,
    normal() {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    integer: (n) => Math.floor(uniform() * n),
  };
}

/** Values of a shape drawn from N(mean, deviation²). */
export function normalValues(random: HostRandom, size: number, deviation = 1, mean = 0): Float32Array {
  return Float32Array.from({ length: size }, () => mean + deviation * random.normal());
}

/** Values drawn from [low, high). */
export function uniformValues(random: HostRandom, size: number, low: number, high: number): Float32Array {
  return Float32Array.from({ length: size }, () => low + (high - low) * random.uniform());
}

/** The first `count` of a random permutation of 0 … n − 1. */
export function sampleWithout(random: HostRandom, n: number, count: number): number[] {
  const items = Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < Math.min(count, n - 1); i++) {
    const j = i + random.integer(n - i);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items.slice(0, count);
}
