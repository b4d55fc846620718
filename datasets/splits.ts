// Split rules as arithmetic: from the row counts of the hub's splits to the row indices of train, validation and
// test. No rows are read or moved here. Source: ATTEMPT's and DePT's task code (mpt.md, 1.1).
import type { Split, SplitRule } from "./contract.ts";
import { DataError } from "./errors.ts";
import { randperm } from "./randperm.ts";

/** The seed of every split of the benchmark; not the run's seed. */
export const SPLIT_SEED = 42;
/** Rows of train that the `large` rule holds out for validation. */
export const HELD_OUT = 1000;

/** Which rows of which hub split make one of our splits. */
export interface SplitRows {
  readonly hubSplit: string;
  /** Row numbers in order, shape [n]; null: all rows in the file's order. */
  readonly indices: Uint32Array | null;
}

/** The hub splits that a rule reads for `split` (so that nothing else is downloaded). */
export function hubSplitOf(rule: SplitRule, split: Split): string {
  switch (rule.kind) {
    case "small":
      return split === "train" ? "train" : "validation";
    case "large":
      return split === "test" ? rule.test : "train";
    case "mnli":
      return { train: "train", validation: "validation_mismatched", test: "validation_matched" }[split];
    case "official":
      return rule.hubSplits?.[split] ?? split;
  }
}

/**
 * The rows of `split`, given `rows`: the row count of each hub split that `hubSplitOf` names.
 * @throws DataError where a needed count is missing, or train is too small for the rule's held-out rows.
 */
export function splitRows(rule: SplitRule, split: Split, rows: Readonly<Record<string, number>>): SplitRows {
  const hubSplit = hubSplitOf(rule, split);
  const n = rows[hubSplit];
  if (n === undefined) {
    throw new DataError(
      `the ${split} split is made from the hub's "${hubSplit}" split, whose row count is missing; got counts for: ` +
        `${Object.keys(rows).join(", ") || "nothing"}`,
    );
  }
  if (rule.kind === "small" && split !== "train") {
    const order = randperm(n, SPLIT_SEED);
    const half = Math.floor(n / 2);
    return { hubSplit, indices: split === "validation" ? order.slice(0, half) : order.slice(half) };
  }
  if (rule.kind === "large" && split !== "test") {
    const heldOut = rule.heldOut ?? HELD_OUT;
    if (n <= heldOut) {
      throw new DataError(`train has ${n} rows, but ${heldOut} of them are to be held out: more rows are needed`);
    }
    const order = randperm(n, SPLIT_SEED);
    const end = rule.maxTrain === undefined ? n : heldOut + rule.maxTrain;
    return { hubSplit, indices: split === "validation" ? order.slice(0, heldOut) : order.slice(heldOut, end) };
  }
  return { hubSplit, indices: null };
}
