// CoLA: is a sentence acceptable English?
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { glueSource } from "./source.ts";

export const cola: Dataset = {
  name: "glue/cola",
  task: "cola",
  title: "CoLA (Corpus of Linguistic Acceptability)",
  source: glueSource("cola"),
  licence: "unspecified; sentences under fair use from published linguistics, distributed with GLUE",
  homepage: "https://nyu-mll.github.io/CoLA/",
  citation: "warstadt2019neural",
  schema: schemaOf({ sentence: utf8, label: int64, idx: int32 }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 8_551, verified: true },
    validation: { rows: 521, verified: true },
    test: { rows: 522, verified: true },
  },
  labels: digits(2),
  labelNames: ["unacceptable", "acceptable"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["matthews"],
  reported: "matthews",
  decidedBy: ["label"],
  render: classification({ name: "glue/cola", task: "cola", fields: [["sentence:", "sentence"]], labels: 2 }),
};
