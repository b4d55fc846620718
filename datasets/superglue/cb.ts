// CommitmentBank: is the author of a text committed to an embedded clause? 250 rows of training, three classes.
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { superglueSource } from "./source.ts";

export const cb: Dataset = {
  name: "superglue/cb",
  task: "superglue-cb",
  title: "CB (CommitmentBank)",
  source: superglueSource("cb"),
  licence: "unspecified; distributed with SuperGLUE",
  homepage: "https://github.com/mcdm/CommitmentBank",
  citation: "demarneffe2019commitmentbank",
  schema: schemaOf({ premise: utf8, hypothesis: utf8, idx: int32, label: int64 }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 250, verified: true },
    validation: { rows: 28, verified: true },
    test: { rows: 28, verified: true },
  },
  labels: digits(3),
  // Not MNLI's order: contradiction comes before neutral.
  labelNames: ["entailment", "contradiction", "neutral"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["macroF1", "accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "superglue/cb",
    task: "superglue-cb",
    fields: [
      ["premise:", "premise"],
      ["hypothesis:", "hypothesis"],
    ],
    labels: 3,
  }),
};
