// `bunsen evaluate`: a finished run on any dataset and split, with that dataset's own metrics.
import { parseArgs } from "node:util";
import { findDataset, type Split } from "#datasets/index.ts";
import { encodeDataset, loadDataset } from "#toolkit/batches/index.ts";
import { openRun } from "#toolkit/training/answer.ts";
import { evaluate, firstExamples } from "#toolkit/training/evaluate.ts";
import { type Command, UsageError } from "./contract.ts";

export const command: Command = {
  summary: "evaluate a run",
  usage: `usage: bunsen evaluate RUN [--on DATASET …] [--split validation|test|train] [--examples N] [--batch-size N] [--beams N]

Decodes every example and prints one JSON line per dataset with its metrics (×100).

  --on DATASET   default: the run's own tasks; another dataset is answered with the first task's prompt
  --split        default: test
  --examples N   only the first N examples`,
  async run(args, terminal) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        on: { type: "string", multiple: true },
        split: { type: "string", default: "test" },
        examples: { type: "string" },
        "batch-size": { type: "string", default: "32" },
        beams: { type: "string", default: "1" },
      },
    });
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1) {
      throw new UsageError(
        `expected one run folder, got ${positionals.length === 0 ? "none" : positionals.join(" ")}; e.g. bunsen evaluate runs/a --on glue/rte`,
      );
    }
    const splits: readonly string[] = ["train", "validation", "test"];
    if (!splits.includes(values.split))
      throw new UsageError(`--split: expected one of ${splits.join(", ")}, got ${values.split}`);
    const whole = (name: string, text: string): number => {
      const value = Number(text);
      if (!Number.isInteger(value) || value < 1)
        throw new UsageError(`--${name}: expected an integer of at least 1, got ${text}`);
      return value;
    };
    const count = values.examples === undefined ? null : whole("examples", values.examples);
    const batchSize = whole("batch-size", values["batch-size"]);
    for (const name of values.on ?? []) findDataset(name); // an unknown name fails before anything is loaded
    using run = await openRun(folder, { numBeams: whole("beams", values.beams) });
    for (const name of values.on ?? run.result.tasks) {
      const split = values.split as Split;
      const { prefix, variant, maxInputLength } = run.config;
      const table = await loadDataset(name, { split, prefix, variant });
      const encoded = await encodeDataset(table, run.tokenizer, {
        prefix,
        ...(maxInputLength === null ? {} : { maxInputLength }),
      });
      const taskId = Math.max(0, run.result.tasks.indexOf(name));
      const examples = firstExamples(encoded, count);
      const { metrics } = await evaluate(run.predictor, table.dataset, examples, { batchSize, taskId });
      terminal.out(JSON.stringify({ run: folder, on: name, split, examples: examples.length, metrics }));
    }
    return 0;
  },
};
