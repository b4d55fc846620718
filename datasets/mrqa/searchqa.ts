// SearchQA in the form of the MRQA 2019 shared task: quiz questions, answered from the snippets of a web search.
import type { Dataset } from "../contract.ts";
import { renderSharedTask, sharedTaskSchema, sharedTaskSource, sharedTaskVariants } from "./shared-task.ts";

export const searchqa: Dataset = {
  name: "mrqa/searchqa",
  task: "searchqa",
  title: "SearchQA (MRQA 2019)",
  source: sharedTaskSource("searchqa"),
  licence: "unspecified; from Jeopardy! and web search results",
  homepage: "https://github.com/nyu-dl/dl4ir-searchQA",
  citation: "dunn2017searchqa",
  schema: sharedTaskSchema,
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 116_384, verified: true },
    validation: { rows: 1_000, verified: true },
    test: { rows: 16_980, verified: true },
  },
  maxInputLength: 512,
  maxTargetLength: 128,
  metrics: ["squadF1", "exactMatch"],
  reported: "squadF1",
  variants: sharedTaskVariants,
  render: renderSharedTask("mrqa/searchqa", "searchqa"),
};
