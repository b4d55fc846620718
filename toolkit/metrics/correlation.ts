// Correlations of two arrays of numbers, as fractions. Not the parsing of predictions: that is in index.ts.
import { checkPairs } from "./classification.ts";

/** Pearson's r; 0 where either array is constant (where it is not defined). @throws RangeError */
export function pearson(a: readonly number[], b: readonly number[]): number {
  checkPairs(a, b);
  const meanA = mean(a);
  const meanB = mean(b);
  let cross = 0;
  let squareA = 0;
  let squareB = 0;
  for (let i = 0; i < a.length; i++) {
    const da = a[i]! - meanA;
    const db = b[i]! - meanB;
    cross += da * db;
    squareA += da * da;
    squareB += db * db;
  }
  // A constant array's mean may be off in the last bit, so constancy is tested on the values themselves.
  if (constant(a) || constant(b)) return 0;
  const r = cross / (Math.sqrt(squareA) * Math.sqrt(squareB));
  return Number.isFinite(r) ? Math.max(-1, Math.min(1, r)) : 0;
}

/** Spearman's rho: Pearson's r of the ranks, equal values sharing their mean rank. */
export function spearman(a: readonly number[], b: readonly number[]): number {
  checkPairs(a, b);
  return pearson(ranks(a), ranks(b));
}

/** Ranks from 1, ties at their mean. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const result = new Array<number>(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let k = start; k < end; k++) result[order[k]!] = (start + 1 + end) / 2;
    start = end;
  }
  return result;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function constant(values: readonly number[]): boolean {
  return values.every((value) => value === values[0]);
}
