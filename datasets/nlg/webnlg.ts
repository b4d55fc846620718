// WebNLG (the 2017 challenge): say a set of RDF triples in a text. A row has one or more wordings; training has one
// example for each, evaluation one example with all. No published MPT code for this set was found: the template is
// this project's own, and the paper's own numbers for it are unverified.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { DataError } from "../errors.ts";
import { itemsOf, structOf, textsOf } from "../row.ts";
import { int32, list, schemaOf, struct, utf8 } from "../schema.ts";
import { joinPieces } from "../template.ts";

const NAME = "webnlg";

/** "Aarhus_Airport | cityServed | Aarhus" → "Aarhus Airport | cityServed | Aarhus", triples parted by " && ". */
function linearised(row: Row): string {
  const sets = itemsOf(structOf(row, "modified_triple_sets", NAME), "mtriple_set", `${NAME} (modified_triple_sets)`);
  if (sets.length === 0)
    throw new DataError(`${NAME}: column "modified_triple_sets" is empty; each row has a triple set`);
  // One modified set a row; the original sets are the ones that may be several.
  const triples = textsOf({ mtriple_set: sets[0] }, "mtriple_set", `${NAME} (modified_triple_sets)`);
  return triples.map((triple) => triple.replaceAll("_", " ")).join(" && ");
}

function render(row: Row, options: RenderOptions): readonly Example[] {
  const input = joinPieces("webnlg", ["triples:", linearised(row)], options);
  const texts = textsOf(structOf(row, "lex", NAME), "text", `${NAME} (lex)`);
  // The hub's test split is three files of the challenge in one: all inputs without a wording (nothing to score against),
  // all 1,862 with wordings, and the 891 of unseen categories with wordings a second time (they would count twice).
  if (texts.length === 0 || row.test_category === "testdata_unseen_with_lex") return [];
  if (options.split === "train") return texts.map((target) => ({ input, target }));
  return [{ input, target: texts[0]!, references: texts }];
}

export const webnlg: Dataset = {
  name: NAME,
  task: "webnlg",
  title: "WebNLG (2017 challenge)",
  source: {
    repo: "webnlg-challenge/web_nlg",
    config: "webnlg_challenge_2017",
    revision: "refs/convert/parquet",
    files: {
      train: "webnlg_challenge_2017/train/0000.parquet",
      dev: "webnlg_challenge_2017/dev/0000.parquet",
      test: "webnlg_challenge_2017/test/0000.parquet",
    },
  },
  licence: "CC BY-NC-SA 4.0",
  homepage: "https://synalp.gitlabpages.inria.fr/webnlg-challenge/",
  citation: "gardent2017webnlg",
  schema: schemaOf({
    category: utf8,
    size: int32,
    eid: utf8,
    original_triple_sets: struct({ otriple_set: list(list(utf8)) }),
    modified_triple_sets: struct({ mtriple_set: list(list(utf8)) }),
    shape: utf8,
    shape_type: utf8,
    lex: struct({ comment: list(utf8), lid: list(utf8), text: list(utf8), lang: list(utf8) }),
    test_category: utf8,
    dbpedia_links: list(utf8),
    links: list(utf8),
  }),
  splitRule: { kind: "official", hubSplits: { validation: "dev" } },
  // From the hub's dataset card, in rows of its files: 4,615 = 1,862 + 1,862 + 891, of which 1,862 make an example.
  rows: {
    train: { rows: 6_940, verified: true },
    validation: { rows: 872, verified: true },
    test: { rows: 4_615, verified: true },
  },
  maxInputLength: 256,
  maxTargetLength: 128,
  metrics: ["bleu", "nist", "rougeL", "cider"],
  reported: "bleu",
  render,
};
