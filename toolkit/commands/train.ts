// `bunsen train`: one run from a recipe file or from flags alone, its events printed as lines.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { eventLine } from "#toolkit/report/index.ts";
import { applySettings, checkRun, type RunConfigInput, train } from "#toolkit/training/index.ts";
import { type Command, UsageError } from "./contract.ts";

/**
 * The configuration that a recipe file exports as `recipe`.
 * @throws UsageError where there is no such file or export
 */
export async function readRecipe(path: string): Promise<Record<string, unknown>> {
  const file = resolve(path);
  if (!existsSync(file)) throw new UsageError(`no recipe at ${path}; expected a .ts or .json file`);
  if (file.endsWith(".json")) return (await Bun.file(file).json()) as Record<string, unknown>;
  const module = (await import(pathToFileURL(file).href)) as { recipe?: unknown };
  if (typeof module.recipe !== "object" || module.recipe === null) {
    throw new UsageError(`${path} exports no recipe; expected: export const recipe: RunConfigInput = { run: …, … }`);
  }
  return module.recipe as Record<string, unknown>;
}

export const command: Command = {
  summary: "train a recipe",
  usage: `usage: bunsen train [RECIPE.ts|RECIPE.json] [--set key=value …] [--every N] [--dry-run]

Trains one run. The same command with the same run folder goes on from its last checkpoint.

  --set key=value   overrides one field, nested by dots: --set options.numVirtualTokens=20 --set tasks='["glue/rte"]'
  --every N         prints every N-th step (default 10)
  --dry-run         checks all that a run checks before it loads anything (the method's options, the backbone's small
                    files, the runs it starts from), prints the configuration in full and trains nothing

  bunsen train --set run=runs/a --set model=datasets/mini/backbone --set tasks='["mini/sst2"]' --set method=prompt-tuning --set steps=50`,
  async run(args, terminal) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        set: { type: "string", multiple: true, default: [] },
        every: { type: "string", default: "10" },
        "dry-run": { type: "boolean", default: false },
      },
    });
    if (positionals.length > 1) throw new UsageError(`expected at most one recipe, got ${positionals.join(" ")}`);
    const every = Number(values.every);
    if (!Number.isInteger(every) || every < 1)
      throw new UsageError(`--every: expected an integer of at least 1, got ${values.every}`);
    const base = positionals[0] === undefined ? {} : await readRecipe(positionals[0]);
    const input = applySettings(base, values.set) as unknown as RunConfigInput;
    if (values["dry-run"]) {
      terminal.out(JSON.stringify(await checkRun(input), null, 2));
      return 0;
    }
    const stop = new AbortController();
    const interrupt = (): void => {
      terminal.err("stopping after this step; the same command goes on from there");
      stop.abort();
    };
    process.once("SIGINT", interrupt);
    process.once("SIGTERM", interrupt);
    try {
      for await (const event of train(input, { signal: stop.signal })) {
        if (event.type === "step" && event.step % every !== 0 && event.step !== event.totalSteps) continue;
        terminal.out(eventLine(event));
      }
    } finally {
      process.removeListener("SIGINT", interrupt);
      process.removeListener("SIGTERM", interrupt);
    }
    return stop.signal.aborted ? 130 : 0;
  },
};
