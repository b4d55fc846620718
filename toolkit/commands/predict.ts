// `bunsen predict`: answers of a finished run to texts from flags or standard input.
import { parseArgs } from "node:util";
import { openRun } from "#toolkit/training/answer.ts";
import { type Command, UsageError } from "./contract.ts";

export const command: Command = {
  summary: "answer with a run",
  usage: `usage: bunsen predict RUN --text TEXT [--text TEXT …] [--task NAME] [--beams N]

Prints one answer per text. Without --text, each line of standard input is one. Texts are written as the task's
template writes them: "sst2 sentence: a fine film".

  --task NAME   which of the run's tasks (default: its first)
  --beams N     beam search instead of greedy decoding`,
  async run(args, terminal) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        text: { type: "string", multiple: true },
        task: { type: "string" },
        beams: { type: "string", default: "1" },
      },
    });
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1) {
      throw new UsageError(
        `expected one run folder, got ${positionals.length === 0 ? "none" : positionals.join(" ")}; e.g. bunsen predict runs/a --text "…"`,
      );
    }
    const numBeams = Number(values.beams);
    if (!Number.isInteger(numBeams) || numBeams < 1)
      throw new UsageError(`--beams: expected an integer of at least 1, got ${values.beams}`);
    const texts = values.text ?? (await Bun.stdin.text()).split("\n").filter((line) => line.trim() !== "");
    if (texts.length === 0) throw new UsageError("no text: expected --text TEXT, or lines on standard input");
    using run = await openRun(folder, { numBeams });
    for (const answer of await run.answer(texts, values.task)) terminal.out(answer);
    return 0;
  },
};
