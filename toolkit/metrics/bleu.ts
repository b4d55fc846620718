// Corpus BLEU as sacreBLEU computes it: 13a tokens, order 4, closest reference length, exponential smoothing
// (Papineni et al. 2002; Post 2018). Every example may have its own number of references.
import { checkPairs } from "./classification.ts";
import { ngramCounts, tokenize13a } from "./tokens.ts";

const MAX_ORDER = 4;

/** BLEU from 0 to 100. @throws RangeError on empty or unequal arrays, or an example without reference. */
export function corpusBleu(predictions: readonly string[], references: readonly (readonly string[])[]): number {
  checkPairs(predictions, references);
  const matches = new Array<number>(MAX_ORDER).fill(0);
  const totals = new Array<number>(MAX_ORDER).fill(0);
  let length = 0;
  let referenceLength = 0;
  predictions.forEach((prediction, i) => {
    const tokens = tokenize13a(prediction);
    const others = references[i]!.map(tokenize13a);
    if (others.length === 0) throw new RangeError(`example ${i} has no reference to compute BLEU against`);
    length += tokens.length;
    referenceLength += closest(
      tokens.length,
      others.map((other) => other.length),
    );
    for (let order = 1; order <= MAX_ORDER; order++) {
      const most = new Map<string, number>();
      for (const other of others) {
        for (const [ngram, count] of ngramCounts(other, order)) most.set(ngram, Math.max(most.get(ngram) ?? 0, count));
      }
      for (const [ngram, count] of ngramCounts(tokens, order)) {
        totals[order - 1]! += count;
        matches[order - 1]! += Math.min(count, most.get(ngram) ?? 0);
      }
    }
  });
  if (matches.every((count) => count === 0)) return 0;
  let smoothing = 1;
  let logs = 0;
  for (let k = 0; k < MAX_ORDER; k++) {
    // No n-gram of this order in any prediction: its precision is 0, and so is the whole.
    if (totals[k] === 0) return 0;
    if (matches[k] === 0) {
      smoothing *= 2;
      logs += Math.log(100 / (smoothing * totals[k]!));
    } else {
      logs += Math.log((100 * matches[k]!) / totals[k]!);
    }
  }
  const brevity = length < referenceLength ? Math.exp(1 - referenceLength / length) : 1;
  return brevity * Math.exp(logs / MAX_ORDER);
}

/** The reference length nearest to `length`, the shorter of two equally near. */
function closest(length: number, lengths: readonly number[]): number {
  return lengths.reduce((found, each) => {
    const nearer = Math.abs(each - length) - Math.abs(found - length);
    return nearer < 0 || (nearer === 0 && each < found) ? each : found;
  });
}
