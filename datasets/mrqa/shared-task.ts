// What the four sets of the MRQA 2019 shared task have in common: the schema of their files on the hub, and reading a
// row of them. The template itself is in template.ts.
import type { Schema } from "apache-arrow";
import type { Dataset, Variant } from "../contract.ts";
import { DataError } from "../errors.ts";
import { textOf, textsOf } from "../row.ts";
import { int64, list, schemaOf, struct, utf8 } from "../schema.ts";
import { answering } from "./template.ts";

/** The hub's copies have file names with a hash in them on `main`; the converted branch names them plainly. */
export function sharedTaskSource(repo: string): Dataset["source"] {
  return {
    repo: `lucadiliello/${repo}`,
    config: "default",
    revision: "refs/convert/parquet",
    files: { train: "default/train/0000.parquet", validation: "default/validation/0000.parquet" },
  };
}

export const sharedTaskSchema: Schema = schemaOf({
  context: utf8,
  question: utf8,
  answers: list(utf8),
  key: utf8,
  labels: list(struct({ end: list(int64), start: list(int64) })),
});

export const sharedTaskVariants: Readonly<Record<Variant, string>> = {
  faithful: "evaluation scores against the first listed answer alone, as the published tables do",
  fixed: "evaluation scores against the best of all listed answers, as MRQA's own script does",
};

export function renderSharedTask(name: string, task: string): Dataset["render"] {
  return (row, options) => {
    const answers = textsOf(row, "answers", name);
    if (answers.length === 0)
      throw new DataError(`${name}: column "answers" holds no answer; each row has at least one`);
    const question = textOf(row, "question", name);
    return [answering(task, { question, context: textOf(row, "context", name), answers }, options)];
  };
}
