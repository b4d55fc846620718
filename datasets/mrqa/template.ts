// The template of SQuAD and the four MRQA sets: punctuation padded in question, context and answers; the target is the
// first answer. Which column the answers come from is each dataset's own business.
import type { Example, RenderOptions } from "../contract.ts";
import { joinPieces, padPunctuation } from "../template.ts";

export interface Answering {
  readonly question: string;
  readonly context: string;
  /** At least one; the first becomes the target. */
  readonly answers: readonly string[];
}

/**
 * The example of one question. In the `fixed` variant an evaluation example carries every answer as a reference; the
 * published (`faithful`) code scores against the first one alone.
 */
export function answering(task: string, row: Answering, options: RenderOptions): Example {
  const answers = row.answers.map(padPunctuation);
  const example = {
    input: joinPieces(
      task,
      ["question:", padPunctuation(row.question), "context:", padPunctuation(row.context)],
      options,
    ),
    target: answers[0]!,
  };
  return options.variant === "fixed" && options.split !== "train"
    ? { ...example, references: [...new Set(answers)] }
    : example;
}
