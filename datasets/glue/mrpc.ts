// MRPC: do two sentences from news say the same?
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { glueSource } from "./source.ts";

export const mrpc: Dataset = {
  name: "glue/mrpc",
  task: "mrpc",
  title: "MRPC (Microsoft Research Paraphrase Corpus)",
  source: glueSource("mrpc"),
  licence: "Microsoft Research data licence; distributed with GLUE",
  homepage: "https://www.microsoft.com/en-us/download/details.aspx?id=52398",
  citation: "dolan2005automatically",
  schema: schemaOf({ sentence1: utf8, sentence2: utf8, label: int64, idx: int32 }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 3_668, verified: true },
    validation: { rows: 204, verified: true },
    test: { rows: 204, verified: true },
  },
  labels: digits(2),
  labelNames: ["not_equivalent", "equivalent"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["f1", "accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "glue/mrpc",
    task: "mrpc",
    fields: [
      ["sentence1:", "sentence1"],
      ["sentence2:", "sentence2"],
    ],
    labels: 2,
  }),
};
