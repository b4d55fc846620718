// QNLI: does a sentence of Wikipedia hold the answer to a question?
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { glueSource } from "./source.ts";

export const qnli: Dataset = {
  name: "glue/qnli",
  task: "qnli",
  title: "QNLI (question-answering NLI, from SQuAD)",
  source: glueSource("qnli"),
  licence: "CC BY-SA 4.0 (derived from SQuAD)",
  homepage: "https://gluebenchmark.com/",
  citation: "wang2019glue",
  schema: schemaOf({ question: utf8, sentence: utf8, label: int64, idx: int32 }),
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 103_743, verified: true },
    validation: { rows: 1_000, verified: true },
    test: { rows: 5_463, verified: true },
  },
  labels: digits(2),
  labelNames: ["entailment", "not_entailment"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "glue/qnli",
    task: "qnli",
    fields: [
      ["question:", "question"],
      ["sentence:", "sentence"],
    ],
    labels: 2,
  }),
};
