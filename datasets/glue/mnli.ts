// MNLI: does a hypothesis follow from a premise? Validation is the mismatched half, test the matched one.
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { glueSource } from "./source.ts";

export const mnli: Dataset = {
  name: "glue/mnli",
  task: "mnli",
  title: "MNLI (Multi-Genre Natural Language Inference)",
  source: glueSource("mnli", ["train", "validation_matched", "validation_mismatched"]),
  licence: "OANC, CC BY-SA 3.0, CC BY 3.0 and others, by genre",
  homepage: "https://cims.nyu.edu/~sbowman/multinli/",
  citation: "williams2018broad",
  schema: schemaOf({ premise: utf8, hypothesis: utf8, label: int64, idx: int32 }),
  splitRule: { kind: "mnli" },
  rows: {
    train: { rows: 392_702, verified: true },
    validation: { rows: 9_832, verified: true },
    test: { rows: 9_815, verified: true },
  },
  labels: digits(3),
  labelNames: ["entailment", "neutral", "contradiction"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "glue/mnli",
    task: "mnli",
    fields: [
      ["premise:", "premise"],
      ["hypothesis:", "hypothesis"],
    ],
    labels: 3,
  }),
};
