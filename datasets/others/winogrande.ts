// WinoGrande (XL): which of two options fills the blank of a sentence? Public code shows one option twice.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { DataError } from "../errors.ts";
import { textOf } from "../row.ts";
import { schemaOf, utf8 } from "../schema.ts";
import { digits, joinPieces } from "../template.ts";

const NAME = "winogrande";

function render(row: Row, options: RenderOptions): readonly Example[] {
  const answer = textOf(row, "answer", NAME);
  if (answer !== "1" && answer !== "2") {
    throw new DataError(
      `${NAME}: column "answer" should be "1" or "2", but is ${JSON.stringify(answer)}. The hub's test rows have no ` +
        "answer and cannot be used; otherwise check the file, or load it again.",
    );
  }
  const pieces = [
    "sentence:",
    textOf(row, "sentence", NAME),
    "option0:",
    textOf(row, "option1", NAME),
    "option1:",
    // Two public implementations put the first option here again, so that the task cannot be learned.
    textOf(row, options.variant === "faithful" ? "option1" : "option2", NAME),
  ];
  return [{ input: joinPieces("winogrande", pieces, options), target: String(Number(answer) - 1) }];
}

export const winogrande: Dataset = {
  name: NAME,
  task: "winogrande",
  title: "WinoGrande (XL)",
  source: {
    repo: "allenai/winogrande",
    config: "winogrande_xl",
    files: {
      train: "winogrande_xl/train-00000-of-00001.parquet",
      validation: "winogrande_xl/validation-00000-of-00001.parquet",
    },
  },
  licence: "CC BY (data); Apache-2.0 (code)",
  homepage: "https://winogrande.allenai.org/",
  citation: "sakaguchi2020winogrande",
  schema: schemaOf({ sentence: utf8, option1: utf8, option2: utf8, answer: utf8 }),
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 39_398, verified: true },
    validation: { rows: 1_000, verified: true },
    test: { rows: 1_267, verified: true },
  },
  labels: digits(2),
  labelNames: ["first option", "second option"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  variants: {
    faithful: "both slots show option1, as ATTEMPT and DePT print them: about chance",
    fixed: "option0 shows option1, option1 shows option2",
  },
  render,
};
