// Corpus NIST (Doddington 2002), n-grams weighted by how much they inform, as NLTK computes it; tokens are 13a,
// lower-cased as mteval does by default. A score without upper bound, not a percentage.
import { checkPairs } from "./classification.ts";
import { ngramCounts, tokenize13a } from "./tokens.ts";

const MAX_ORDER = 5;

/** @throws RangeError on empty or unequal arrays, or an example without reference. */
export function corpusNist(predictions: readonly string[], references: readonly (readonly string[])[]): number {
  checkPairs(predictions, references);
  const hypotheses = predictions.map((text) => tokenize13a(text.toLowerCase()));
  const others = references.map((texts) => texts.map((text) => tokenize13a(text.toLowerCase())));
  others.forEach((each, i) => {
    if (each.length === 0) throw new RangeError(`example ${i} has no reference to compute NIST against`);
  });

  // How often each n-gram occurs in all references; the "0-gram" is every word.
  const frequency = new Map<string, number>();
  let words = 0;
  for (const reference of others.flat()) {
    words += reference.length;
    for (let order = 1; order <= MAX_ORDER; order++) {
      for (const [ngram, count] of ngramCounts(reference, order)) {
        frequency.set(ngram, (frequency.get(ngram) ?? 0) + count);
      }
    }
  }
  const information = (ngram: string): number => {
    const end = ngram.lastIndexOf(" ");
    const before = end < 0 ? words : frequency.get(ngram.slice(0, end))!;
    return Math.log2(before / frequency.get(ngram)!);
  };

  let score = 0;
  let length = 0;
  let referenceLength = 0;
  for (let order = 1; order <= MAX_ORDER; order++) {
    let gained = 0;
    let possible = 0;
    hypotheses.forEach((tokens, i) => {
      const counts = ngramCounts(tokens, order);
      const total = Math.max(0, tokens.length - order + 1);
      let found = { precision: -1, gain: 0, length: 0 };
      for (const reference of others[i]!) {
        const own = ngramCounts(reference, order);
        let gain = 0;
        for (const [ngram, count] of counts) {
          const shared = Math.min(count, own.get(ngram) ?? 0);
          if (shared > 0) gain += shared * information(ngram);
        }
        const precision = total === 0 ? 0 : gain / total;
        // Of equally good references the longest counts.
        if (precision > found.precision || (precision === found.precision && reference.length > found.length)) {
          found = { precision, gain, length: reference.length };
        }
      }
      gained += found.gain;
      possible += total;
      referenceLength += found.length;
      length += tokens.length;
    });
    if (possible > 0) score += gained / possible;
  }
  return score * lengthPenalty(referenceLength === 0 ? 0 : length / referenceLength);
}

/** 1 for long enough output, one half where it has two thirds of the reference's words. */
function lengthPenalty(ratio: number): number {
  if (ratio >= 1) return 1;
  if (ratio <= 0) return 0;
  return Math.exp((Math.log(0.5) / Math.log(1.5) ** 2) * Math.log(ratio) ** 2);
}
