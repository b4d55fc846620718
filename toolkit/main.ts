#!/usr/bin/env bun
// The command line `bunsen`: a table of subcommands, each loaded when it is called, so that `bunsen help` needs no engine
// and a broken command breaks no other. Errors end in one message; `--debug` adds the stack.

import { type Command, type Terminal, UsageError } from "./commands/contract.ts";
import { didYouMean } from "./training/config.ts";

interface Row {
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

/** Every subcommand. The summaries are repeated here so that listing them loads nothing. */
export const commands: Readonly<Record<string, Row>> = {
  data: { summary: "list, show and download datasets", load: () => import("./commands/data.ts") },
  train: {
    summary: "train a recipe: bunsen train recipe.ts --set key=value",
    load: () => import("./commands/train.ts"),
  },
  evaluate: {
    summary: "evaluate a run: bunsen evaluate RUN --on glue/rte",
    load: () => import("./commands/evaluate.ts"),
  },
  predict: { summary: "answer with a run: bunsen predict RUN --text …", load: () => import("./commands/predict.ts") },
  sweep: { summary: "train many runs, resumable: bunsen sweep quick", load: () => import("./commands/sweep.ts") },
  table: { summary: "a table of finished runs", load: () => import("./commands/table.ts") },
  plot: { summary: "loss or scores of runs as SVG, PNG or Vega-Lite", load: () => import("./commands/plot.ts") },
  bench: { summary: "measure the engine and the training step", load: () => import("./commands/bench.ts") },
  parity: { summary: "compare with a reference run", load: () => import("./commands/parity.ts") },
  engines: { summary: "which tensor engines this machine has", load: () => import("./commands/engines.ts") },
};

const help = (): string =>
  [
    "bunsen: multitask prompt tuning from the command line",
    "",
    "usage: bunsen <command> [arguments] [--debug]",
    "",
    ...Object.entries(commands).map(([name, row]) => `  ${name.padEnd(10)}${row.summary}`),
    "",
    "bunsen help <command> says more of one.",
  ].join("\n");

/** The message of an error for a person: its own words, its causes' only with --debug. */
export function messageOf(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (!debug) return error.message;
  const cause = error.cause === undefined ? "" : `\ncaused by: ${messageOf(error.cause, true)}`;
  return `${error.stack ?? error.message}${cause}`;
}

/** Runs one command line and returns the exit status: 0, 1 for a failure, 2 for a wrong command line. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const debug = argv.includes("--debug");
  const [name, ...rest] = argv.filter((argument) => argument !== "--debug");
  const wantsHelp = rest.includes("--help") || rest.includes("-h");
  try {
    if (name === undefined || name === "help" || name === "--help" || name === "-h") {
      const topic = rest[0];
      if (topic === undefined) {
        terminal.out(help());
        return name === undefined ? 2 : 0;
      }
      terminal.out((await loadCommand(topic)).usage);
      return 0;
    }
    const command = await loadCommand(name);
    if (wantsHelp) {
      terminal.out(command.usage);
      return 0;
    }
    return await command.run(rest, terminal);
  } catch (error) {
    terminal.err(`bunsen${name === undefined ? "" : ` ${name}`}: ${messageOf(error, debug)}`);
    const parse = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
    if (parse) terminal.err(`See bunsen help ${name}.`);
    return error instanceof UsageError || parse ? 2 : 1;
  }
}

async function loadCommand(name: string): Promise<Command> {
  const row = commands[name];
  if (row === undefined) {
    const names = Object.keys(commands);
    throw new UsageError(`unknown command "${name}"${didYouMean(name, names)}; expected one of ${names.join(", ")}`);
  }
  return (await row.load()).command;
}

if (import.meta.main) {
  const terminal: Terminal = {
    out: (text) => process.stdout.write(`${text}\n`),
    err: (text) => process.stderr.write(`${text}\n`),
    interactive: process.stderr.isTTY === true,
  };
  process.exit(await main(process.argv.slice(2), terminal));
}
