// The table of metrics: decoded strings and examples in, the number that a table prints out (×100; NIST and CIDEr as
// they are). What a string that is no valid label or number counts as is decided here, as the published code does
// (T5's and ATTEMPT's metrics). The arithmetic is in the other files of this room.
import type { Example, MetricName } from "#datasets/contract.ts";
import { answerF1, best, exactMatchOf } from "./answers.ts";
import { corpusBleu } from "./bleu.ts";
import { cider } from "./cider.ts";
import { accuracy, checkPairs, f1OfClass, groupExactMatch, macroF1, matthews } from "./classification.ts";
import { pearson, spearman } from "./correlation.ts";
import { corpusNist } from "./nist.ts";
import { rougeL } from "./rouge.ts";

export type { MetricName } from "#datasets/contract.ts";
export { answerF1, answerTokens, exactMatchOf } from "./answers.ts";
export { corpusBleu } from "./bleu.ts";
export { cider } from "./cider.ts";
export { accuracy, f1OfClass, groupExactMatch, macroF1, matthews } from "./classification.ts";
export { pearson, spearman } from "./correlation.ts";
export { corpusNist } from "./nist.ts";
export { rougeL } from "./rouge.ts";

/** What a metric must know of an example. */
export type Scored = Pick<Example, "target" | "references" | "group">;

/**
 * A score of decoded predictions [N] against their examples [N].
 * @throws RangeError where there is none, or the numbers differ.
 */
export type Metric = (predictions: readonly string[], examples: readonly Scored[]) => number;

/** CB's three labels: what macro-F1 is taken over, whatever else is predicted. */
const THREE_CLASSES: readonly string[] = ["0", "1", "2"];

export const metrics: Readonly<Record<MetricName, Metric>> = {
  accuracy: (predictions, examples) => 100 * accuracy(trimmed(predictions), targetsOf(examples)),
  f1: binaryF1,
  // Over all answers of all questions, so that it is the binary F1 of the rows.
  f1a: binaryF1,
  macroF1: (predictions, examples) => 100 * macroF1(trimmed(predictions), targetsOf(examples), THREE_CLASSES),
  groupExactMatch: (predictions, examples) =>
    100 * groupExactMatch(trimmed(predictions), targetsOf(examples), examples.map(groupOf)),
  // An invalid prediction is a class of its own, as in scikit-learn's metric on strings.
  matthews: (predictions, examples) => 100 * matthews(trimmed(predictions), targetsOf(examples)),
  pearson: (predictions, examples) => 100 * pearson(predictions.map(number), targetsOf(examples).map(number)),
  spearman: (predictions, examples) => 100 * spearman(predictions.map(number), targetsOf(examples).map(number)),
  squadF1: (predictions, examples) => 100 * meanBest(answerF1, predictions, examples),
  exactMatch: (predictions, examples) => 100 * meanBest(exactMatchOf, predictions, examples),
  bleu: (predictions, examples) => generated(corpusBleu, predictions, examples),
  rougeL: (predictions, examples) => 100 * generated(rougeL, predictions, examples),
  nist: (predictions, examples) => generated(corpusNist, predictions, examples),
  cider: (predictions, examples) => generated(cider, predictions, examples),
};

/** Several metrics at once, by name. @throws RangeError as each metric. */
export function score<Name extends MetricName>(
  names: readonly Name[],
  predictions: readonly string[],
  examples: readonly Scored[],
): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, metrics[name](predictions, examples)])) as Record<Name, number>;
}

/** What the published code selects checkpoints by: the unweighted mean of all metrics of the task. */
export function averageOfMetrics(scores: Readonly<Record<string, number>>): number {
  const values = Object.values(scores);
  if (values.length === 0) throw new RangeError("no metric to take the average of");
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function trimmed(texts: readonly string[]): string[] {
  return texts.map((text) => text.trim());
}

function targetsOf(examples: readonly Scored[]): string[] {
  return examples.map((example) => example.target.trim());
}

function referencesOf(example: Scored): readonly string[] {
  return example.references ?? [example.target];
}

/**
 * Scores generated text. Examples of one group are wordings of one input (E2E NLG): they are scored once, the group's
 * first prediction against all of its references.
 */
function generated(
  metric: (predictions: readonly string[], references: readonly (readonly string[])[]) => number,
  predictions: readonly string[],
  examples: readonly Scored[],
): number {
  checkPairs(predictions, examples);
  const groups = new Map<string, { readonly prediction: string; readonly references: string[] }>();
  examples.forEach((example, i) => {
    const key = example.group === undefined ? `row ${i}` : `group ${example.group}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { prediction: predictions[i]!, references: [...referencesOf(example)] });
    else group.references.push(...referencesOf(example));
  });
  const scored = [...groups.values()];
  return metric(
    scored.map((group) => group.prediction),
    scored.map((group) => group.references),
  );
}

function groupOf(example: Scored, index: number): string {
  if (example.group === undefined) {
    throw new RangeError(`example ${index} has no group: groupExactMatch is for rows that are scored together`);
  }
  return example.group;
}

/** F1 of label 1; a prediction that is neither "0" nor "1" counts as the opposite of its target: always wrong. */
function binaryF1(predictions: readonly string[], examples: readonly Scored[]): number {
  const targets = targetsOf(examples);
  const valid = trimmed(predictions).map((text, i) =>
    text === "0" || text === "1" ? text : targets[i] === "1" ? "0" : "1",
  );
  return 100 * f1OfClass(valid, targets, "1");
}

/** The number that a text is, or −1 where it is none. */
function number(text: string): number {
  const trimmedText = text.trim();
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(trimmedText) ? finite(Number(trimmedText)) : -1;
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : -1;
}

function meanBest(
  one: (prediction: string, answer: string) => number,
  predictions: readonly string[],
  examples: readonly Scored[],
): number {
  checkPairs(predictions, examples);
  return predictions.reduce((sum, each, i) => sum + best(one, each, referencesOf(examples[i]!)), 0) / examples.length;
}
