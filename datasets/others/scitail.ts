// SciTail: does a sentence of a science text entail a statement? Public code disagrees on the names of the two parts.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { DataError } from "../errors.ts";
import { textOf } from "../row.ts";
import { list, schemaOf, utf8 } from "../schema.ts";
import { digits, joinPieces } from "../template.ts";

const NAME = "scitail";
const LABELS: readonly string[] = ["entailment", "neutral"];

function render(row: Row, options: RenderOptions): readonly Example[] {
  const gold = textOf(row, "gold_label", NAME);
  const label = LABELS.indexOf(gold);
  if (label < 0) {
    throw new DataError(
      `${NAME}: column "gold_label" should be ${LABELS.join(" or ")}, but is ${JSON.stringify(gold)}. ` +
        "Check the file, or load it again.",
    );
  }
  const [first, second] = options.variant === "faithful" ? ["premise:", "hypothesis:"] : ["sentence1:", "sentence2:"];
  const pieces = [first!, textOf(row, "sentence1", NAME), second!, textOf(row, "sentence2", NAME)];
  return [{ input: joinPieces("scitail", pieces, options), target: String(label) }];
}

export const scitail: Dataset = {
  name: NAME,
  task: "scitail",
  title: "SciTail",
  source: {
    repo: "allenai/scitail",
    config: "snli_format",
    files: {
      train: "snli_format/train-00000-of-00001.parquet",
      validation: "snli_format/validation-00000-of-00001.parquet",
    },
  },
  licence: "Apache-2.0",
  homepage: "https://allenai.org/data/scitail",
  citation: "khot2018scitail",
  schema: schemaOf({
    sentence1_binary_parse: utf8,
    sentence1_parse: utf8,
    sentence1: utf8,
    sentence2_parse: utf8,
    sentence2: utf8,
    annotator_labels: list(utf8),
    gold_label: utf8,
  }),
  // There is an official test split; the published code halves validation all the same, and so do its tables.
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 23_596, verified: true },
    validation: { rows: 652, verified: true },
    test: { rows: 652, verified: true },
  },
  labels: digits(2),
  labelNames: LABELS,
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  variants: {
    faithful: 'the keys are "premise:" and "hypothesis:", as in ATTEMPT and DePT',
    fixed: 'the keys are "sentence1:" and "sentence2:", the columns\' names, as in MPT\'s descendant',
  },
  render,
};
