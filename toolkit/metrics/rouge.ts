// ROUGE-L (Lin 2004) as the rouge-score package computes it without stemming: F1 of the longest common subsequence, the
// best over an example's references, averaged over examples. A fraction.
import { best } from "./answers.ts";
import { checkPairs } from "./classification.ts";
import { tokenizeRouge } from "./tokens.ts";

/** @throws RangeError on empty or unequal arrays, or an example without reference. */
export function rougeL(predictions: readonly string[], references: readonly (readonly string[])[]): number {
  checkPairs(predictions, references);
  return predictions.reduce((sum, each, i) => sum + best(rougeLOf, each, references[i]!), 0) / predictions.length;
}

/** ROUGE-L F1 of one pair; 0 where either has no token. */
export function rougeLOf(prediction: string, reference: string): number {
  const a = tokenizeRouge(prediction);
  const b = tokenizeRouge(reference);
  const common = longestCommonSubsequence(a, b);
  return common === 0 ? 0 : (2 * common) / (a.length + b.length);
}

function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  let row = new Uint32Array(b.length + 1);
  for (const token of a) {
    const next = new Uint32Array(b.length + 1);
    for (let j = 1; j <= b.length; j++) {
      next[j] = token === b[j - 1] ? row[j - 1]! + 1 : Math.max(row[j]!, next[j - 1]!);
    }
    row = next;
  }
  return row[b.length]!;
}
