// A small dataset of the user's own for tests: support tickets of two labels in `train.jsonl` and `validation.jsonl` of a
// folder. The test writes the files. Not a test.
import { classification, type Dataset, digits, int64, schemaOf, utf8 } from "#datasets/index.ts";

export const tickets = (name: string, folder: string): Dataset => ({
  name,
  task: "tickets",
  title: "Support tickets",
  source: { repo: "me/tickets", config: null, folder, files: { train: "train.jsonl", validation: "validation.jsonl" } },
  licence: "ours",
  homepage: "https://example.org",
  citation: "none",
  schema: schemaOf({ text: utf8, label: int64 }),
  splitRule: { kind: "small" },
  rows: {},
  labels: digits(2),
  labelNames: ["calm", "urgent"],
  maxInputLength: 64,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  render: classification({ name, task: "tickets", fields: [["text:", "text"]], labels: 2 }),
});
