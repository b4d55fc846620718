// WSC: does a pronoun stand for a noun phrase? Both are marked in the text, found by their position in words. Public
// code reads the phrases as regular expressions.
import type { Dataset, Example, RenderOptions, Row, Variant } from "../contract.ts";
import { DataError } from "../errors.ts";
import { integerOf, labelOf, textOf } from "../row.ts";
import { int32, int64, schemaOf, utf8 } from "../schema.ts";
import { digits, joinPieces } from "../template.ts";
import { superglueSource } from "./source.ts";

const NAME = "superglue/wsc";

interface Span {
  readonly text: string;
  /** How many words stand before it. */
  readonly index: number;
}

/** The text with `mark` on either side of the span; unchanged where the span is not found at its place. */
function marked(text: string, span: Span, mark: string, variant: Variant): string {
  return text.replace(
    pattern(span, variant),
    (_, before: string, found: string) => `${before}${mark} ${found} ${mark}`,
  );
}

function pattern(span: Span, variant: Variant): RegExp {
  if (variant === "fixed") {
    return new RegExp(`^((?:\\S+\\s+){${span.index}})(${RegExp.escape(span.text)})`);
  }
  try {
    return new RegExp(`^((?:\\S+\\s){${span.index}})(${span.text})`);
  } catch (cause) {
    throw new DataError(
      `${NAME}: the span ${JSON.stringify(span.text)} is no regular expression, which the faithful variant takes it ` +
        'for. Use the "fixed" variant, which takes spans literally.',
      { cause },
    );
  }
}

function spanOf(row: Row, which: "span1" | "span2"): Span {
  const index = integerOf(row, `${which}_index`, NAME);
  if (index < 0) throw new DataError(`${NAME}: column "${which}_index" should be 0 or more words, but is ${index}`);
  return { text: textOf(row, `${which}_text`, NAME), index };
}

function render(row: Row, options: RenderOptions): readonly Example[] {
  const first = spanOf(row, "span1");
  const second = spanOf(row, "span2");
  const text = textOf(row, "text", NAME);
  const withFirst = marked(text, first, "*", options.variant);
  // The two marks around an earlier first span are two more words in front of the second; the published code counts
  // them even where the first span was not found and nothing was marked.
  const countsMarks = first.index < second.index && (options.variant === "faithful" || withFirst !== text);
  const shifted = countsMarks ? { ...second, index: second.index + 2 } : second;
  const withBoth = marked(withFirst, shifted, "#", options.variant);
  return [
    {
      input: joinPieces("superglue-wsc.fixed", ["text:", withBoth], options),
      target: String(labelOf(row, "label", 2, NAME)),
    },
  ];
}

export const wsc: Dataset = {
  name: NAME,
  task: "superglue-wsc.fixed",
  title: "WSC (Winograd Schema Challenge, fixed spans)",
  source: superglueSource("wsc.fixed"),
  licence: "CC BY 4.0",
  homepage: "https://cs.nyu.edu/~davise/papers/WinogradSchemas/WS.html",
  citation: "levesque2012winograd",
  schema: schemaOf({
    text: utf8,
    span1_index: int32,
    span2_index: int32,
    span1_text: utf8,
    span2_text: utf8,
    idx: int32,
    label: int64,
  }),
  splitRule: { kind: "small" },
  rows: {
    train: { rows: 554, verified: true },
    validation: { rows: 52, verified: true },
    test: { rows: 52, verified: true },
  },
  labels: digits(2),
  labelNames: ["different", "same"],
  maxInputLength: 256,
  maxTargetLength: 3,
  metrics: ["accuracy"],
  reported: "accuracy",
  variants: {
    faithful: "spans are read as regular expressions, after words parted by exactly one white-space character",
    fixed: "spans are taken literally, after words parted by any white space; a span that is not found shifts nothing",
  },
  render,
};
