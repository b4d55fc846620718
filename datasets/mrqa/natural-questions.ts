// NaturalQuestions in the form of the MRQA 2019 shared task: real search questions, answered by a span of Wikipedia.
import type { Dataset } from "../contract.ts";
import { renderSharedTask, sharedTaskSchema, sharedTaskSource, sharedTaskVariants } from "./shared-task.ts";

export const naturalQuestions: Dataset = {
  name: "mrqa/naturalquestions",
  task: "nq",
  title: "NaturalQuestions (short answers, MRQA 2019)",
  source: sharedTaskSource("naturalquestionsshortqa"),
  licence: "CC BY-SA 3.0",
  homepage: "https://ai.google.com/research/NaturalQuestions",
  citation: "kwiatkowski2019natural",
  schema: sharedTaskSchema,
  splitRule: { kind: "large", test: "validation" },
  rows: {
    train: { rows: 103_071, verified: true },
    validation: { rows: 1_000, verified: true },
    test: { rows: 12_836, verified: true },
  },
  maxInputLength: 512,
  maxTargetLength: 128,
  metrics: ["squadF1", "exactMatch"],
  reported: "squadF1",
  variants: sharedTaskVariants,
  render: renderSharedTask("mrqa/naturalquestions", "nq"),
};
