// What the eight GLUE sets share: the hub repository and the layout of its parquet files.
import type { Dataset } from "../contract.ts";

/** Files of one GLUE configuration, by hub split. The hub's test rows are unlabelled and never used. */
export function glueSource(config: string, splits: readonly string[] = ["train", "validation"]): Dataset["source"] {
  return {
    repo: "nyu-mll/glue",
    config,
    files: Object.fromEntries(splits.map((split) => [split, `${config}/${split}-00000-of-00001.parquet`])),
  };
}
