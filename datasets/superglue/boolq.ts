// BoolQ: is the answer to a natural yes/no question, given a passage, yes?
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { superglueSource } from "./source.ts";

export const boolq: Dataset = {
  name: "superglue/boolq",
  task: "superglue-boolq",
  title: "BoolQ (Boolean Questions)",
  source: superglueSource("boolq"),
  licence: "CC BY-SA 3.0",
  homepage: "https://github.com/google-research-datasets/boolean-questions",
  citation: "clark2019boolq",
  schema: schemaOf({ question: utf8, passage: utf8, idx: int32, label: int64 }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 9_427, verified: true },
    validation: { rows: 1_635, verified: true },
    test: { rows: 1_635, verified: true },
  },
  labels: digits(2),
  labelNames: ["false", "true"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "superglue/boolq",
    task: "superglue-boolq",
    fields: [
      ["question:", "question"],
      ["passage:", "passage"],
    ],
    labels: 2,
  }),
};
