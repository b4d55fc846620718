// What a dataset is: one object per dataset with its source, licence, splits, template and metrics. The catalogue
// (`index.ts`) is a table of them; a user's own dataset is one more object of this type. Types only: no file is read here.
import type { Schema, Table } from "apache-arrow";

export type Split = "train" | "validation" | "test";

/** `faithful`: what the published code did, mistakes included; `fixed`: the mistakes mended. They differ only where a dataset says so. */
export type Variant = "faithful" | "fixed";

/** One row of the hub's file, by column name, as plain values. */
export type Row = Readonly<Record<string, unknown>>;

/** A text-to-text example. One row may render to several (ReCoRD: one per gold answer when training). */
export interface Example {
  readonly input: string;
  readonly target: string;
  /** Every accepted answer, for metrics over several (ReCoRD, E2E, WebNLG). */
  readonly references?: readonly string[];
  /** Rows scored together (MultiRC's question), or that are wordings of one input (E2E NLG's meaning). */
  readonly group?: string;
}

export interface RenderOptions {
  /** Task key in front of the input (ATTEMPT: on; the MPT descendant: off). */
  readonly prefix: boolean;
  readonly variant: Variant;
  /** Training explodes rows with several answers; evaluation keeps one example with all references. */
  readonly split: Split;
}

/** How the three splits are made from the hub's splits (mpt.md, 1.1). */
export type SplitRule =
  // validation halved by randperm(42)
  | { readonly kind: "small" }
  // the first `heldOut` (1,000) rows of train by randperm(42) held out; the rest, at most `maxTrain` of them, for training
  | {
      readonly kind: "large";
      readonly test: "validation" | "test";
      readonly heldOut?: number;
      readonly maxTrain?: number;
    }
  // validation = mismatched, test = matched
  | { readonly kind: "mnli" }
  // the hub's own; `hubSplits` names them where their names are not ours (WebNLG's `dev`)
  | { readonly kind: "official"; readonly hubSplits?: Readonly<Partial<Record<Split, string>>> };

export interface RowCount {
  readonly rows: number;
  /** False where the number is only recalled from the literature: reported, never asserted. */
  readonly verified: boolean;
}

export type MetricName =
  | "accuracy"
  | "f1"
  | "macroF1"
  | "f1a"
  | "groupExactMatch"
  | "matthews"
  | "pearson"
  | "spearman"
  | "squadF1"
  | "exactMatch"
  | "bleu"
  | "rougeL"
  | "nist"
  | "cider";

/** What may be asked of a generated dataset; the same options give the same rows. */
export interface GenerateOptions {
  /** Rows of the hub split; each generator has its own default. */
  readonly rows?: number;
  readonly seed?: number;
}

export interface Dataset {
  /** Users' name, e.g. `glue/rte`, `superglue/boolq`, `mrqa/newsqa`, `squad`. */
  readonly name: string;
  /** The task key of the template's prefix, e.g. `rte`, `superglue-boolq`. */
  readonly task: string;
  readonly title: string;
  readonly source: {
    readonly repo: string;
    readonly config: string | null;
    /** Path in the repository by the hub's split name (`train`, `validation`, `validation_matched`, `test`, …). */
    readonly files: Readonly<Record<string, string>>;
    /** Branch or commit that holds these files where it is not `main`, e.g. `refs/convert/parquet`. */
    readonly revision?: string;
    /** A folder on this machine that holds these files, instead of the hub (a dataset of one's own). */
    readonly folder?: string;
  };
  readonly licence: string;
  readonly homepage: string;
  readonly citation: string;
  /** Columns of the hub's files. */
  readonly schema: Schema;
  readonly splitRule: SplitRule;
  readonly rows: Readonly<Partial<Record<Split, RowCount>>>;
  /** Label texts by integer label, where the task is a classification. */
  readonly labels?: readonly string[];
  /** What the label integers mean. */
  readonly labelNames?: readonly string[];
  readonly maxInputLength: number;
  readonly maxTargetLength: number;
  readonly metrics: readonly MetricName[];
  /** The one that the paper's table reports. */
  readonly reported: MetricName;
  /** Where public code disagrees: what each variant does. */
  readonly variants?: Readonly<Record<Variant, string>>;
  /** Where present, rows are made here and nothing is fetched (datasets/mini): the table of one hub split, in `schema`. */
  readonly generate?: (hubSplit: string, options?: GenerateOptions) => Table;
  /**
   * Columns that alone decide whether a row without a null can be rendered, all others being only copied as text: then a
   * file is checked by one row of each of their values. Absent: every row is tried.
   */
  readonly decidedBy?: readonly string[];
  /** @throws DataError naming the column where a value is not of the schema or a label is out of range. */
  render(row: Row, options: RenderOptions): readonly Example[];
}
