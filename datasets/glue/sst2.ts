// SST-2: is a film review's phrase positive or negative? Lower-cased, tokenised text.
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { glueSource } from "./source.ts";

export const sst2: Dataset = {
  name: "glue/sst2",
  task: "sst2",
  title: "SST-2 (Stanford Sentiment Treebank, two classes)",
  source: glueSource("sst2"),
  licence: "unspecified by the authors; distributed with GLUE",
  homepage: "https://nlp.stanford.edu/sentiment/",
  citation: "socher2013recursive",
  schema: schemaOf({ sentence: utf8, label: int64, idx: int32 }),
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 66_349, verified: true },
    validation: { rows: 1_000, verified: true },
    test: { rows: 872, verified: true },
  },
  labels: digits(2),
  labelNames: ["negative", "positive"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({ name: "glue/sst2", task: "sst2", fields: [["sentence:", "sentence"]], labels: 2 }),
};
