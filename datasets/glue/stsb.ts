// STS-B: how similar are two sentences, from 0 to 5? The only regression of the benchmark: the target is a decimal
// string, and public code disagrees on its step.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { DataError } from "../errors.ts";
import { realOf, textOf } from "../row.ts";
import { float32, int32, schemaOf, utf8 } from "../schema.ts";
import { joinPieces, roundHalfEven } from "../template.ts";
import { glueSource } from "./source.ts";

function render(row: Row, options: RenderOptions): readonly Example[] {
  const score = realOf(row, "label", "glue/stsb");
  if (score < 0 || score > 5) {
    throw new DataError(
      `glue/stsb: column "label" should be a score from 0 to 5, but is ${score}. The hub's test rows hold -1 and ` +
        "cannot be used; otherwise check the file, or load it again.",
    );
  }
  const sentences = [
    "sentence1:",
    textOf(row, "sentence1", "glue/stsb"),
    "sentence2:",
    textOf(row, "sentence2", "glue/stsb"),
  ];
  // The published code multiplies by 5 and divides by 5 before it rounds to one decimal, so the two cancel: its step
  // is 0.1, though its own text, and T5's, say 0.2.
  const rounded = roundHalfEven(score, options.variant === "faithful" ? 10 : 5);
  return [{ input: joinPieces("stsb", sentences, options), target: rounded.toFixed(1) }];
}

export const stsb: Dataset = {
  name: "glue/stsb",
  task: "stsb",
  title: "STS-B (Semantic Textual Similarity Benchmark)",
  source: glueSource("stsb"),
  licence: "CC BY-SA 4.0 and the terms of the sources",
  homepage: "https://ixa2.si.ehu.eus/stswiki/index.php/STSbenchmark",
  citation: "cer2017semeval",
  schema: schemaOf({ sentence1: utf8, sentence2: utf8, label: float32, idx: int32 }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 5_749, verified: true },
    validation: { rows: 750, verified: true },
    test: { rows: 750, verified: true },
  },
  // Every step of 0.2: what the published code sizes its targets by.
  labels: Array.from({ length: 26 }, (_, step) => (step / 5).toFixed(1)),
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["pearson", "spearman"],
  reported: "pearson",
  variants: {
    faithful: "the target is the score rounded to the nearest 0.1",
    fixed: "the target is the score rounded to the nearest 0.2, as T5 defines the task",
  },
  decidedBy: ["label"],
  render,
};
