// RTE: does one text entail another? (Recognizing Textual Entailment, rounds 1, 2, 3 and 5.)
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { glueSource } from "./source.ts";

export const rte: Dataset = {
  name: "glue/rte",
  task: "rte",
  title: "RTE (Recognizing Textual Entailment)",
  source: glueSource("rte"),
  licence: "unspecified; distributed with GLUE",
  homepage: "https://gluebenchmark.com/",
  citation: "dagan2006pascal",
  schema: schemaOf({ sentence1: utf8, sentence2: utf8, label: int64, idx: int32 }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 2_490, verified: true },
    validation: { rows: 138, verified: true },
    test: { rows: 139, verified: true },
  },
  labels: digits(2),
  labelNames: ["entailment", "not_entailment"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "glue/rte",
    task: "rte",
    fields: [
      ["sentence1:", "sentence1"],
      ["sentence2:", "sentence2"],
    ],
    labels: 2,
  }),
};
