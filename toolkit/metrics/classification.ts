// Metrics of label predictions: accuracy, F1, Matthews. Pure functions of two arrays of labels, giving fractions, not
// percentages. What counts as a valid prediction string is decided in index.ts.

/** @throws RangeError where there is nothing to score, or the arrays differ in length. */
export function checkPairs(predictions: ArrayLike<unknown>, targets: ArrayLike<unknown>): void {
  if (predictions.length !== targets.length || targets.length === 0) {
    throw new RangeError(
      `a metric needs one prediction for each example and at least one; got ${predictions.length} predictions ` +
        `for ${targets.length} examples`,
    );
  }
}

/** Share of equal pairs. @throws RangeError on empty or unequal arrays, as every function here. */
export function accuracy<Label>(predictions: readonly Label[], targets: readonly Label[]): number {
  checkPairs(predictions, targets);
  let right = 0;
  for (let i = 0; i < targets.length; i++) if (predictions[i] === targets[i]) right++;
  return right / targets.length;
}

/** F1 of one class against all others; 0 where neither array holds the class. */
export function f1OfClass<Label>(predictions: readonly Label[], targets: readonly Label[], positive: Label): number {
  checkPairs(predictions, targets);
  let both = 0;
  let either = 0;
  for (let i = 0; i < targets.length; i++) {
    const predicted = predictions[i] === positive;
    const actual = targets[i] === positive;
    if (predicted && actual) both++;
    either += Number(predicted) + Number(actual);
  }
  return either === 0 ? 0 : (2 * both) / either;
}

/** Unweighted mean F1 of `classes`, each counted even where it never occurs; other predictions are simply wrong. */
export function macroF1<Label>(
  predictions: readonly Label[],
  targets: readonly Label[],
  classes: readonly Label[],
): number {
  return classes.reduce((sum, each) => sum + f1OfClass(predictions, targets, each), 0) / classes.length;
}

/**
 * Matthews correlation, in the form for any number of classes (Gorodkin 2004), which for two is the usual one.
 * 0 where either array is constant.
 */
export function matthews<Label>(predictions: readonly Label[], targets: readonly Label[]): number {
  checkPairs(predictions, targets);
  const predicted = new Map<Label, number>();
  const actual = new Map<Label, number>();
  let right = 0;
  for (let i = 0; i < targets.length; i++) {
    const p = predictions[i]!;
    const t = targets[i]!;
    predicted.set(p, (predicted.get(p) ?? 0) + 1);
    actual.set(t, (actual.get(t) ?? 0) + 1);
    if (p === t) right++;
  }
  const n = targets.length;
  let cross = 0;
  for (const [label, count] of actual) cross += count * (predicted.get(label) ?? 0);
  const squares = (counts: Map<Label, number>): number =>
    counts.values().reduce((sum, count) => sum + count * count, 0);
  const spread = (n * n - squares(predicted)) * (n * n - squares(actual));
  return spread === 0 ? 0 : (right * n - cross) / Math.sqrt(spread);
}

/** Share of groups in which every prediction is right. */
export function groupExactMatch<Label>(
  predictions: readonly Label[],
  targets: readonly Label[],
  groups: readonly string[],
): number {
  checkPairs(predictions, targets);
  checkPairs(groups, targets);
  const whole = new Map<string, boolean>();
  for (let i = 0; i < targets.length; i++) {
    whole.set(groups[i]!, (whole.get(groups[i]!) ?? true) && predictions[i] === targets[i]);
  }
  let right = 0;
  for (const each of whole.values()) if (each) right++;
  return right / whole.size;
}
