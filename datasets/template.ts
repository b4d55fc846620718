// Pieces that the text-to-text templates share (mpt.md, 1.2): joining with the task prefix, the common
// "key: column" classification template, and pad-punctuation of the question-answering sets.
import type { Dataset, Example, RenderOptions, Row } from "./contract.ts";
import { labelOf, textOf } from "./row.ts";

/** Pieces joined by one space, the task key in front where the prefix is on. */
export function joinPieces(task: string, pieces: readonly string[], options: Pick<RenderOptions, "prefix">): string {
  return (options.prefix ? [task, ...pieces] : pieces).join(" ");
}

/** Label texts of an n-way classification: the digit strings of the hub's integer labels. */
export function digits(count: number): string[] {
  return Array.from({ length: count }, (_, label) => String(label));
}

export interface ClassificationTemplate {
  readonly name: string;
  readonly task: string;
  /** `[key, column]` in order, e.g. `["premise:", "premise"]`. */
  readonly fields: readonly (readonly [key: string, column: string])[];
  readonly labels: number;
}

/** The template of most of the benchmark: keys and columns in order, target = the label's digit. */
export function classification(template: ClassificationTemplate): Dataset["render"] {
  const { name, task, fields, labels } = template;
  return (row: Row, options: RenderOptions): readonly Example[] => [
    {
      input: joinPieces(
        task,
        fields.flatMap(([key, column]) => [key, textOf(row, column, name)]),
        options,
      ),
      target: String(labelOf(row, "label", labels, name)),
    },
  ];
}

/**
 * Puts a space on either side of every character that is not an underscore, white space, or of Unicode's categories
 * N, L or M, then makes one space of each run of white space. Nothing is trimmed: the published code does not.
 */
export function padPunctuation(text: string): string {
  // White_Space, not \s: Python's `regex` module, which the published code uses, counts U+0085 and not U+FEFF.
  return text.replace(/[^_\p{White_Space}\p{N}\p{L}\p{M}]/gu, " $& ").replace(/\p{White_Space}+/gu, " ");
}

/** `x` rounded to a multiple of 1/`perUnit`, halves to even, as numpy and TensorFlow round. */
export function roundHalfEven(x: number, perUnit: number): number {
  const scaled = x * perUnit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const whole = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  return whole / perUnit;
}
