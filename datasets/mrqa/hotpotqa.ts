// HotpotQA in the form of the MRQA 2019 shared task: questions whose answer needs two paragraphs of Wikipedia.
import type { Dataset } from "../contract.ts";
import { renderSharedTask, sharedTaskSchema, sharedTaskSource, sharedTaskVariants } from "./shared-task.ts";

export const hotpotqa: Dataset = {
  name: "mrqa/hotpotqa",
  task: "hotpotqa",
  title: "HotpotQA (MRQA 2019)",
  source: sharedTaskSource("hotpotqa"),
  licence: "CC BY-SA 4.0",
  homepage: "https://hotpotqa.github.io/",
  citation: "yang2018hotpotqa",
  schema: sharedTaskSchema,
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 71_928, verified: true },
    validation: { rows: 1_000, verified: true },
    // The MRQA README counts 5,904 rows; the hub's copy has 5,901 (mpt.md, 1.1, note 2).
    test: { rows: 5_901, verified: true },
  },
  maxInputLength: 512,
  maxTargetLength: 128,
  metrics: ["squadF1", "exactMatch"],
  reported: "squadF1",
  variants: sharedTaskVariants,
  render: renderSharedTask("mrqa/hotpotqa", "hotpotqa"),
};
