// MultiRC: is this answer to a question about a paragraph right? Several answers of one question may be; a question
// counts as solved when all of its answers are judged right, so its rows are a group.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { integerOf, labelOf, structOf, textOf } from "../row.ts";
import { int32, int64, schemaOf, struct, utf8 } from "../schema.ts";
import { digits, joinPieces } from "../template.ts";
import { superglueSource } from "./source.ts";

const NAME = "superglue/multirc";

/** Line breaks become spaces, bold marks go. */
function withoutMarkup(text: string): string {
  return text.replaceAll("<br>", " ").replace(/<\/?b>/g, "");
}

function render(row: Row, options: RenderOptions): readonly Example[] {
  const pieces = ["question", "answer", "paragraph"].flatMap((column) => [
    `${column}:`,
    withoutMarkup(textOf(row, column, NAME)),
  ]);
  return [
    {
      input: joinPieces("superglue-multirc", pieces, options),
      target: String(labelOf(row, "label", 2, NAME)),
      group: String(integerOf(structOf(row, "idx", NAME), "question", `${NAME} (idx)`)),
    },
  ];
}

export const multirc: Dataset = {
  name: NAME,
  task: "superglue-multirc",
  title: "MultiRC (Multi-Sentence Reading Comprehension)",
  source: superglueSource("multirc"),
  licence: "research use; distributed with SuperGLUE",
  homepage: "https://cogcomp.seas.upenn.edu/multirc/",
  citation: "khashabi2018looking",
  schema: schemaOf({
    paragraph: utf8,
    question: utf8,
    answer: utf8,
    idx: struct({ paragraph: int32, question: int32, answer: int32 }),
    label: int64,
  }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 27_243, verified: true },
    validation: { rows: 2_424, verified: true },
    test: { rows: 2_424, verified: true },
  },
  labels: digits(2),
  labelNames: ["false", "true"],
  maxInputLength: 348,
  maxTargetLength: 3,
  metrics: ["f1a", "groupExactMatch"],
  reported: "f1a",
  render,
};
