// NewsQA in the form of the MRQA 2019 shared task: questions about articles of CNN.
import type { Dataset } from "../contract.ts";
import { renderSharedTask, sharedTaskSchema, sharedTaskSource, sharedTaskVariants } from "./shared-task.ts";

export const newsqa: Dataset = {
  name: "mrqa/newsqa",
  task: "newsqa",
  title: "NewsQA (MRQA 2019)",
  source: sharedTaskSource("newsqa"),
  licence: "Microsoft Research licence; articles from CNN",
  homepage: "https://www.microsoft.com/en-us/research/project/newsqa-dataset/",
  citation: "trischler2017newsqa",
  schema: sharedTaskSchema,
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 73_160, verified: true },
    validation: { rows: 1_000, verified: true },
    test: { rows: 4_212, verified: true },
  },
  maxInputLength: 512,
  maxTargetLength: 128,
  metrics: ["squadF1", "exactMatch"],
  reported: "squadF1",
  variants: sharedTaskVariants,
  render: renderSharedTask("mrqa/newsqa", "newsqa"),
};
