// SQuAD 1.1: answer a question by a span of a Wikipedia paragraph. A source task of MPT, never a target.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { DataError } from "../errors.ts";
import { itemsOf, structOf, textOf, textsOf } from "../row.ts";
import { int32, list, schemaOf, struct, utf8 } from "../schema.ts";
import { pythonDict } from "./python.ts";
import { answering } from "./template.ts";

function render(row: Row, options: RenderOptions): readonly Example[] {
  const question = textOf(row, "question", "squad");
  const context = textOf(row, "context", "squad");
  const column = structOf(row, "answers", "squad");
  const answers = textsOf(column, "text", "squad (answers)");
  if (options.variant === "faithful") {
    const starts = itemsOf(column, "answer_start", "squad (answers)").map(Number);
    const printed = pythonDict({ text: answers, answer_start: starts });
    return [answering("squad", { question, context, answers: [printed] }, options)];
  }
  if (answers.length === 0)
    throw new DataError('squad: column "answers" holds no answer; SQuAD 1.1 has at least one a row');
  return [answering("squad", { question, context, answers }, options)];
}

export const squad: Dataset = {
  name: "squad",
  task: "squad",
  title: "SQuAD 1.1 (Stanford Question Answering Dataset)",
  source: {
    repo: "rajpurkar/squad",
    config: "plain_text",
    files: {
      train: "plain_text/train-00000-of-00001.parquet",
      validation: "plain_text/validation-00000-of-00001.parquet",
    },
  },
  licence: "CC BY-SA 4.0",
  homepage: "https://rajpurkar.github.io/SQuAD-explorer/",
  citation: "rajpurkar2016squad",
  schema: schemaOf({
    id: utf8,
    title: utf8,
    context: utf8,
    question: utf8,
    answers: struct({ text: list(utf8), answer_start: list(int32) }),
  }),
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 86_599, verified: false },
    validation: { rows: 1_000, verified: true },
    test: { rows: 10_570, verified: false },
  },
  maxInputLength: 512,
  maxTargetLength: 128,
  metrics: ["squadF1", "exactMatch"],
  reported: "squadF1",
  variants: {
    faithful:
      "the target is the whole answers field printed by Python, as the published code does with the hub's files",
    fixed:
      "the target is the first answer; evaluation scores against the best of all listed answers, as SQuAD's own script",
  },
  render,
};
