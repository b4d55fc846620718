// torch.randperm on a CPU generator, bit for bit, for n < 2³²: the permutation that every split of the benchmark is
// made by (always seed 42, whatever the run's own seed). Verified against ../shared/data/golden/randperm.json.
import { mersenneTwister } from "./random.ts";

/**
 * A permutation of 0..n−1, shape [n], equal to `torch.randperm(n, generator=torch.Generator().manual_seed(seed))`.
 * @throws RangeError where n is not a count that the 32-bit path of torch handles.
 */
export function randperm(n: number, seed: number = 42): Uint32Array {
  if (!Number.isInteger(n) || n < 0 || n >= 2 ** 32) {
    throw new RangeError(`randperm needs a whole number of rows from 0 to 2^32 - 1, got ${n}`);
  }
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  const next = mersenneTwister(seed);
  // The remainder is slightly biased, as torch's is: equality matters here, not perfection.
  for (let i = 0; i < n - 1; i++) {
    const j = i + (next() % (n - i));
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}
