// QQP: are two questions from Quora duplicates?
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { glueSource } from "./source.ts";

export const qqp: Dataset = {
  name: "glue/qqp",
  task: "qqp",
  title: "QQP (Quora Question Pairs)",
  source: glueSource("qqp"),
  licence: "Quora's terms: non-commercial use",
  homepage: "https://quoradata.quora.com/First-Quora-Dataset-Release-Question-Pairs",
  citation: "quora2017pairs",
  schema: schemaOf({ question1: utf8, question2: utf8, label: int64, idx: int32 }),
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 362_846, verified: true },
    validation: { rows: 1_000, verified: true },
    // One table prints 40,431; the hub's file has 40,430 (mpt.md, 1.1, note 1).
    test: { rows: 40_430, verified: true },
  },
  labels: digits(2),
  labelNames: ["not_duplicate", "duplicate"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["f1", "accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "glue/qqp",
    task: "qqp",
    fields: [
      ["question1:", "question1"],
      ["question2:", "question2"],
    ],
    labels: 2,
  }),
};
