// Scoring of extracted answers as SQuAD 1.1 does: normalised text, exact match and token F1, the best over all accepted
// answers. One answer at a time; averages are taken in index.ts.

import { splitWords } from "./tokens.ts";

/** Whole words a, an, the; a word is of letters, numbers and underscores of any script, as in Python. */
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;
const ASCII_PUNCTUATION = /[!-/:-@[-`{-~]/g;

/** Words of an answer: lower-cased, ASCII punctuation deleted, articles dropped. */
export function answerTokens(text: string): string[] {
  return splitWords(text.toLowerCase().replace(ASCII_PUNCTUATION, "").replace(ARTICLES, " "));
}

/** 1 where prediction and answer are the same words in the same order, else 0. */
export function exactMatchOf(prediction: string, answer: string): number {
  return answerTokens(prediction).join(" ") === answerTokens(answer).join(" ") ? 1 : 0;
}

/** Token F1 of a prediction and one answer; 0 where they share no word, even if both are empty. */
export function answerF1(prediction: string, answer: string): number {
  const predicted = answerTokens(prediction);
  const expected = answerTokens(answer);
  const left = new Map<string, number>();
  for (const token of expected) left.set(token, (left.get(token) ?? 0) + 1);
  let common = 0;
  for (const token of predicted) {
    const count = left.get(token) ?? 0;
    if (count > 0) {
      common++;
      left.set(token, count - 1);
    }
  }
  return common === 0 ? 0 : (2 * common) / (predicted.length + expected.length);
}

/** The best of `score` over all accepted answers. @throws RangeError where there is none. */
export function best(
  score: (prediction: string, answer: string) => number,
  prediction: string,
  answers: readonly string[],
): number {
  if (answers.length === 0) throw new RangeError("an example needs at least one accepted answer to be scored against");
  return Math.max(...answers.map((answer) => score(prediction, answer)));
}
