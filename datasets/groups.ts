// The names of the benchmark and its groups, as lists. What each dataset is: its own file; the table: index.ts.

export const glue = [
  "glue/mnli",
  "glue/qqp",
  "glue/qnli",
  "glue/sst2",
  "glue/stsb",
  "glue/mrpc",
  "glue/rte",
  "glue/cola",
] as const;

/** The five that the paper's table reports, and ReCoRD, which is a source alone. */
export const superglue = [
  "superglue/multirc",
  "superglue/boolq",
  "superglue/wic",
  "superglue/wsc",
  "superglue/cb",
  "superglue/record",
] as const;

/** The four that the paper's table reports, and SQuAD, which is a source alone. */
export const mrqa = ["mrqa/naturalquestions", "mrqa/hotpotqa", "mrqa/searchqa", "mrqa/newsqa", "squad"] as const;

export const others = ["winogrande", "yelp-polarity", "scitail", "paws-wiki"] as const;

export const nlg = ["e2e-nlg", "webnlg"] as const;

/** A dataset of the catalogue. Its generated stand-in is `mini/` and the part after the last slash. */
export type DatasetName =
  | (typeof glue)[number]
  | (typeof superglue)[number]
  | (typeof mrqa)[number]
  | (typeof others)[number]
  | (typeof nlg)[number];

type LastPart<Name extends string> = Name extends `${string}/${infer Last}` ? Last : Name;

/** The catalogue's names and those of its generated stand-ins, to be completed, or any other: a dataset of one's own. */
export type AnyDatasetName = DatasetName | `mini/${LastPart<DatasetName>}` | (string & Record<never, never>);

/** What MPT's source stage learns from: large, and of different kinds. */
export const sources: readonly DatasetName[] = [
  "glue/mnli",
  "glue/qnli",
  "glue/qqp",
  "glue/sst2",
  "squad",
  "superglue/record",
];

/** The 23 datasets that the paper counts and reports on: everything but the two that are sources alone. */
export const targets: readonly DatasetName[] = [...glue, ...superglue, ...mrqa, ...others, ...nlg].filter(
  (name) => name !== "squad" && name !== "superglue/record",
);

export type GroupName = "glue" | "superglue" | "mrqa" | "others" | "nlg" | "sources" | "targets";

export const groups: Readonly<Record<GroupName, readonly DatasetName[]>> = {
  glue,
  superglue,
  mrqa,
  others,
  nlg,
  sources,
  targets,
};
