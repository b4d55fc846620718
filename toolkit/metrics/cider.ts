// CIDEr-D (Vedantam et al. 2015) as the COCO caption package computes it: cosine of tf-idf n-gram vectors, clipped, with
// a penalty on length, times 10, averaged. Tokens are 13a, lower-cased (the package's own tokenizer needs Java).
import { checkPairs } from "./classification.ts";
import { ngramCounts, tokenize13a } from "./tokens.ts";

const MAX_ORDER = 4;
const SIGMA = 6;

interface TfIdf {
  /** One n-gram → weight map an order. */
  readonly weights: readonly ReadonlyMap<string, number>[];
  readonly norms: readonly number[];
  /** Number of bigrams: what the reference implementation takes for the length. */
  readonly length: number;
}

/** @throws RangeError on empty or unequal arrays, or an example without reference. */
export function cider(predictions: readonly string[], references: readonly (readonly string[])[]): number {
  checkPairs(predictions, references);
  const others = references.map((texts, i) => {
    if (texts.length === 0) throw new RangeError(`example ${i} has no reference to compute CIDEr against`);
    return texts.map(countAll);
  });
  // In how many examples' references an n-gram occurs.
  const documents = new Map<string, number>();
  for (const counts of others) {
    for (const ngram of new Set(counts.flat().flatMap((each) => [...each.keys()]))) {
      documents.set(ngram, (documents.get(ngram) ?? 0) + 1);
    }
  }
  const logExamples = Math.log(predictions.length);
  const vector = (counts: readonly ReadonlyMap<string, number>[]): TfIdf => {
    const weights = counts.map(
      (each) =>
        new Map(each.entries().map(([ngram, n]) => [ngram, n * (logExamples - Math.log(documents.get(ngram) ?? 1))])),
    );
    const norms = weights.map((each) => Math.sqrt(each.values().reduce((sum, weight) => sum + weight * weight, 0)));
    return { weights, norms, length: counts[1]!.values().reduce((sum, n) => sum + n, 0) };
  };
  let total = 0;
  predictions.forEach((prediction, i) => {
    const own = vector(countAll(prediction));
    const scores = others[i]!.map((counts) => similarity(own, vector(counts)));
    total += (10 * scores.reduce((sum, score) => sum + score, 0)) / scores.length;
  });
  return total / predictions.length;
}

function countAll(text: string): Map<string, number>[] {
  const tokens = tokenize13a(text.toLowerCase());
  return Array.from({ length: MAX_ORDER }, (_, k) => ngramCounts(tokens, k + 1));
}

/** Mean over the orders of the clipped cosine, times the penalty on unequal length. */
function similarity(own: TfIdf, reference: TfIdf): number {
  const penalty = Math.exp(-((own.length - reference.length) ** 2) / (2 * SIGMA ** 2));
  let sum = 0;
  for (let k = 0; k < MAX_ORDER; k++) {
    let dot = 0;
    for (const [ngram, weight] of own.weights[k]!) {
      const other = reference.weights[k]!.get(ngram) ?? 0;
      dot += Math.min(weight, other) * other;
    }
    const norm = own.norms[k]! * reference.norms[k]!;
    sum += norm === 0 ? dot : dot / norm;
  }
  return (penalty * sum) / MAX_ORDER;
}
