// What the six SuperGLUE sets share: the hub repository and the layout of its parquet files.
import type { Dataset } from "../contract.ts";

/** Files of one SuperGLUE configuration. The hub's test rows are unlabelled and never used. */
export function superglueSource(config: string): Dataset["source"] {
  return {
    repo: "aps/super_glue",
    config,
    files: {
      train: `${config}/train-00000-of-00001.parquet`,
      validation: `${config}/validation-00000-of-00001.parquet`,
    },
  };
}
