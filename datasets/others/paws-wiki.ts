// PAWS-Wiki: do two sentences of much the same words say the same? Official splits.
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";

export const pawsWiki: Dataset = {
  name: "paws-wiki",
  task: "paws",
  title: "PAWS-Wiki (Paraphrase Adversaries from Word Scrambling)",
  source: {
    repo: "google-research-datasets/paws",
    config: "labeled_final",
    files: {
      train: "labeled_final/train-00000-of-00001.parquet",
      validation: "labeled_final/validation-00000-of-00001.parquet",
      test: "labeled_final/test-00000-of-00001.parquet",
    },
  },
  licence: "free for any purpose, with acknowledgement of Google",
  homepage: "https://github.com/google-research-datasets/paws",
  citation: "zhang2019paws",
  schema: schemaOf({ id: int32, sentence1: utf8, sentence2: utf8, label: int64 }),
  splitRule: { kind: "official" },
  rows: {
    train: { rows: 49_401, verified: true },
    validation: { rows: 8_000, verified: true },
    test: { rows: 8_000, verified: true },
  },
  labels: digits(2),
  labelNames: ["different", "paraphrase"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "paws-wiki",
    task: "paws",
    fields: [
      ["sentence1:", "sentence1"],
      ["sentence2:", "sentence2"],
    ],
    labels: 2,
  }),
};
