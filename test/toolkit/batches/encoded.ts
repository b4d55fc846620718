// Made-up encoded datasets for tests of buckets and mixtures: lengths and ids, no text, no tokenizer.
import type { EncodedDataset } from "#toolkit/batches/encode.ts";

/** Example i has the given length; its ids are 3, 4, … so that no two examples of a dataset are alike by (length, first id). */
export function encodedOf(lengths: readonly number[], name = "made-up", targetLength = 2): EncodedDataset {
  const inputOffsets = new Int32Array(lengths.length + 1);
  for (const [i, length] of lengths.entries()) inputOffsets[i + 1] = inputOffsets[i]! + length;
  const inputTokens = new Int32Array(inputOffsets.at(-1)!).fill(7);
  for (const [i] of lengths.entries()) inputTokens[inputOffsets[i]!] = 1000 + i;
  return {
    name,
    task: name,
    split: "train",
    length: lengths.length,
    inputTokens,
    inputOffsets,
    targetTokens: new Int32Array(lengths.length * targetLength).fill(5),
    targetOffsets: Int32Array.from({ length: lengths.length + 1 }, (_, i) => i * targetLength),
    tableRows: Int32Array.from(lengths, (_, i) => i),
    truncated: { inputs: 0, targets: 0 },
    padId: 0,
    maxInputLength: 512,
    maxTargetLength: 8,
    fingerprint: name,
    cached: false,
    example: (i) => ({ input: `${name} ${i}`, target: "0" }),
  };
}
