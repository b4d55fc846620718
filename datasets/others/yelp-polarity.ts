// Yelp polarity: is a review of a business positive? 100,000 rows of training out of 559,000.
import type { Dataset } from "../contract.ts";
import { int64, schemaOf, utf8 } from "../schema.ts";
import { classification, digits } from "../template.ts";

export const yelpPolarity: Dataset = {
  name: "yelp-polarity",
  task: "yelp_polarity",
  title: "Yelp reviews, polarity",
  source: {
    repo: "fancyzhx/yelp_polarity",
    config: "plain_text",
    files: { train: "plain_text/train-00000-of-00001.parquet", test: "plain_text/test-00000-of-00001.parquet" },
  },
  licence: "Yelp dataset terms of use",
  homepage: "https://www.yelp.com/dataset",
  citation: "zhang2015character",
  schema: schemaOf({ text: utf8, label: int64 }),
  // The cap is the published multitask runs': the first rows of what the permutation leaves for training.
  splitRule: { kind: "large", test: "test", maxTrain: 100_000 },
  rows: {
    train: { rows: 100_000, verified: true },
    validation: { rows: 1_000, verified: true },
    test: { rows: 38_000, verified: true },
  },
  labels: digits(2),
  labelNames: ["negative", "positive"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  decidedBy: ["label"],
  render: classification({ name: "yelp-polarity", task: "yelp_polarity", fields: [["sentence:", "text"]], labels: 2 }),
};
