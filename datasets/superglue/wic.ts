// WiC: is a word used in the same sense in two sentences?
import type { Dataset } from "../contract.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";
import { superglueSource } from "./source.ts";

export const wic: Dataset = {
  name: "superglue/wic",
  task: "superglue-wic",
  title: "WiC (Word in Context)",
  source: superglueSource("wic"),
  licence: "CC BY-NC 4.0",
  homepage: "https://pilehvar.github.io/wic/",
  citation: "pilehvar2019wic",
  schema: schemaOf({
    word: utf8,
    sentence1: utf8,
    sentence2: utf8,
    start1: int32,
    start2: int32,
    end1: int32,
    end2: int32,
    idx: int32,
    label: int64,
  }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 5_428, verified: true },
    validation: { rows: 319, verified: true },
    test: { rows: 319, verified: true },
  },
  labels: digits(2),
  labelNames: ["different", "same"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({
    name: "superglue/wic",
    task: "superglue-wic",
    fields: [
      ["sentence1:", "sentence1"],
      ["sentence2:", "sentence2"],
      ["word:", "word"],
    ],
    labels: 2,
  }),
};
