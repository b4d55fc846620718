// E2E NLG: say a restaurant's attributes in a sentence. Each row is one wording; rows of the same attributes are
// references of one another, so they are a group. No published MPT code for this set was found: the template is this
// project's own, and the paper's own numbers for it are unverified.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { textOf } from "../row.ts";
import { schemaOf, utf8 } from "../schema.ts";
import { joinPieces } from "../template.ts";

const NAME = "e2e-nlg";

function render(row: Row, options: RenderOptions): readonly Example[] {
  const meaning = textOf(row, "meaning_representation", NAME);
  const input = joinPieces("e2e_nlg", ["meaning:", meaning], options);
  const target = textOf(row, "human_reference", NAME);
  return [options.split === "train" ? { input, target } : { input, target, group: meaning }];
}

export const e2eNlg: Dataset = {
  name: NAME,
  task: "e2e_nlg",
  title: "E2E NLG (end-to-end generation challenge)",
  source: {
    repo: "tuetschek/e2e_nlg",
    config: "default",
    revision: "refs/convert/parquet",
    files: {
      train: "default/train/0000.parquet",
      validation: "default/validation/0000.parquet",
      test: "default/test/0000.parquet",
    },
  },
  licence: "CC BY-SA 4.0",
  homepage: "https://www.macs.hw.ac.uk/InteractionLab/E2E/",
  citation: "novikova2017e2e",
  schema: schemaOf({ meaning_representation: utf8, human_reference: utf8 }),
  splitRule: { kind: "official" },
  // From the hub's dataset card; one row for each wording.
  rows: {
    train: { rows: 42_061, verified: true },
    validation: { rows: 4_672, verified: true },
    test: { rows: 4_693, verified: true },
  },
  maxInputLength: 256,
  maxTargetLength: 128,
  metrics: ["bleu", "nist", "rougeL", "cider"],
  reported: "bleu",
  render,
};
