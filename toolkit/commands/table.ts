// `bunsen table`: finished runs as a table of method × task.
import { parseArgs } from "node:util";
import { publishedBeside } from "#toolkit/experiments/published-table.ts";
import { summaryTable } from "#toolkit/report/index.ts";
import { summariseFolders } from "#toolkit/report/runs.ts";
import { type Command, UsageError } from "./contract.ts";

export const command: Command = {
  summary: "a table of finished runs",
  usage: `usage: bunsen table FOLDER … [--split test|validation] [--format text|markdown|html|json] [--published]

One line per method and its options (in a study's folder, per label): mean ± standard deviation over seeds of each task's reported metric, parameters per task, seconds.
Among learning rates the best on validation is kept. FOLDER is a run or holds runs; source stages are left out.

  --published   adds the published scores (T5-base) of the same tasks below, each with its source and whether it could
                be read again`,
  async run(args, terminal) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        split: { type: "string", default: "test" },
        format: { type: "string", default: "text" },
        published: { type: "boolean", default: false },
      },
    });
    if (positionals.length === 0) throw new UsageError("expected at least one folder of runs, got none");
    if (values.split !== "test" && values.split !== "validation") {
      throw new UsageError(`--split: expected test or validation, got ${values.split}`);
    }
    const summaries = summariseFolders(positionals, values.split, terminal.err);
    if (summaries === null) throw new Error(`no finished runs in ${positionals.join(", ")}; train some first`);
    const table = values.published ? publishedBeside(summaries) : summaryTable(summaries);
    const formats: Readonly<Record<string, () => string>> = {
      text: () => table.toString(),
      markdown: () => table.toMarkdown(),
      html: () => table.toHtml(),
      json: () => JSON.stringify(summaries, null, 2),
    };
    const format = formats[values.format];
    if (format === undefined)
      throw new UsageError(`--format: expected one of ${Object.keys(formats).join(", ")}, got ${values.format}`);
    terminal.out(format());
    return 0;
  },
};
