// ReCoRD: which entity fills the placeholder of a query about a news passage? A source task of MPT, never a target.
// Training has one example for each accepted answer, evaluation one example with all of them.
import type { Dataset, Example, RenderOptions, Row } from "../contract.ts";
import { textOf, textsOf } from "../row.ts";
import { int32, list, schemaOf, struct, utf8 } from "../schema.ts";
import { joinPieces } from "../template.ts";
import { superglueSource } from "./source.ts";

const NAME = "superglue/record";

/** "@highlight" lines become sentences: a full stop is put where the line before ends without punctuation. */
function withoutHighlights(passage: string): string {
  return passage.replace(/([.?!"'])\n@highlight\n/g, "$1 ").replaceAll("\n@highlight\n", ". ");
}

function render(row: Row, options: RenderOptions): readonly Example[] {
  const pieces = [
    // The published code says "record" here and again in the task prefix.
    options.variant === "faithful" ? "record query:" : "query:",
    textOf(row, "query", NAME),
    "entities:",
    textsOf(row, "entities", NAME).join(", "),
    "passage:",
    withoutHighlights(textOf(row, "passage", NAME)),
  ];
  const input = joinPieces("superglue-record", pieces, options);
  const given = textsOf(row, "answers", NAME);
  const answers = given.length > 0 ? given : ["<unk>"];
  if (options.split === "train") return answers.map((target) => ({ input, target }));
  return [{ input, target: answers[0]!, references: [...new Set(answers)] }];
}

export const record: Dataset = {
  name: NAME,
  task: "superglue-record",
  title: "ReCoRD (Reading Comprehension with Commonsense Reasoning)",
  source: superglueSource("record"),
  licence: "Apache-2.0; passages from CNN and the Daily Mail",
  homepage: "https://sheng-z.github.io/ReCoRD-explorer/",
  citation: "zhang2018record",
  schema: schemaOf({
    passage: utf8,
    query: utf8,
    entities: list(utf8),
    entity_spans: struct({ text: list(utf8), start: list(int32), end: list(int32) }),
    answers: list(utf8),
    idx: struct({ passage: int32, query: int32 }),
  }),
  splitRule: { kind: "large", test: "validation" },
  // Rows of the files; training has more examples, one for each answer.
  rows: {
    train: { rows: 99_730, verified: false },
    validation: { rows: 1_000, verified: true },
    test: { rows: 10_000, verified: false },
  },
  maxInputLength: 512,
  maxTargetLength: 128,
  metrics: ["squadF1", "exactMatch"],
  reported: "squadF1",
  variants: {
    faithful: 'the body starts "record query:", so that with the prefix "record" is said twice',
    fixed: 'the body starts "query:"',
  },
  render,
};
