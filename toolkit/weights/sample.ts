// A few values out of a weight file, for telling two models of the same sizes apart without reading them. Not a
// checksum: the same model stored as F32, BF16 or F16, in one file or in shards, gives the same values but for rounding.
import { decode, elementSizes } from "./dtypes.ts";
import type { WeightSource } from "./folder.ts";

/** One value of each named tensor, from its 0.618th part on; pages around them are all that is read. */
export function sampleValues(source: WeightSource, names: readonly string[]): number[] {
  return names.map((name) => {
    const { dtype, bytes } = source.bytes(name);
    const size = elementSizes[dtype];
    const at = Math.floor((bytes.length / size) * 0.618) * size;
    return Number((decode(bytes.slice(at, at + size), dtype, name)[0] ?? 0).toPrecision(6));
  });
}

/** Whether two samples are of the same values, each perhaps rounded to half precision. */
export function sameSample(a: readonly number[], b: readonly number[]): boolean {
  return (
    a.length === b.length &&
    a.every((x, i) => Math.abs(x - b[i]!) <= 1e-6 + 0.01 * Math.max(Math.abs(x), Math.abs(b[i]!)))
  );
}
