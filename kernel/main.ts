#!/usr/bin/env bun
// The command line of the kernel: run · install · uninstall · status. It parses arguments and prints; what a command
// does is in its room. `run` imports as little as it can: a front end waits for the first reply.

import type { KernelOptions } from "./session/kernel.ts";

const usage = `bunsen-kernel: the TypeScript kernel for Jupyter, on Bun

  bunsen-kernel install [--user | --sys-prefix | --prefix DIR] [--name NAME] [--display-name TEXT] [--env KEY=VALUE]…
  bunsen-kernel uninstall [--user | --sys-prefix | --prefix DIR] [--name NAME]
  bunsen-kernel status
  bunsen-kernel run CONNECTION_FILE [--log-level debug|info|warn|error]

Everywhere: --debug shows stack traces, --help this text, --version the version.`;

const levels = ["debug", "info", "warn", "error"] as const;

/** A mistake on the command line: one line, status 2. */
class UsageError extends Error {
  override readonly name: string = "UsageError";
}

async function main(args: readonly string[]): Promise<number | null> {
  const [command, ...rest] = args;
  switch (command) {
    case "run":
      await run(rest);
      return null;
    case "install":
    case "uninstall":
    case "status":
      return (await import("./install/command.ts")).installCommand(command, rest, (line) => console.log(line));
    case "--version":
      console.log((await import("bunsen/package.json", { with: { type: "json" } })).default.version);
      return 0;
    case "--help":
    case "-h":
    case "help":
      console.log(usage);
      return 0;
    case undefined:
      console.error(usage);
      return 2;
    default:
      throw new UsageError(`expected run, install, uninstall or status, got ${JSON.stringify(command)}; see --help`);
  }
}

async function run(args: readonly string[]): Promise<void> {
  let path: string | undefined;
  let level: (typeof levels)[number] = "info";
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const [name, attached] = arg.startsWith("--") ? arg.split(/=(.*)/s, 2) : [arg, undefined];
    if (name === "--log-level") {
      const value = attached ?? args[++i];
      const known = levels.find((each) => each === value?.toLowerCase());
      if (known === undefined)
        throw new UsageError(`--log-level: expected ${levels.join(", ")}, got ${JSON.stringify(value)}`);
      level = known;
    } else if (name === "--connection-file" || name === "-f") path = attached ?? args[++i];
    else if (name === "--debug") continue;
    else if (name!.startsWith("-")) throw new UsageError(`run: unknown option ${arg}; see --help`);
    else if (path === undefined) path = arg;
    else
      throw new UsageError(`run: expected one connection file, got ${JSON.stringify(path)} and ${JSON.stringify(arg)}`);
  }
  if (path === undefined) throw new UsageError("run: expected the path of a connection file, got nothing; see --help");

  const log: KernelOptions["log"] = (lineLevel, line) => {
    if (levels.indexOf(lineLevel) < levels.indexOf(level)) return;
    process.stderr.write(`[bunsen ${new Date().toISOString()} ${lineLevel}] ${line}\n`);
  };
  const [{ startKernel }, { readConnectionFile }] = await Promise.all([
    import("./session/kernel.ts"),
    import("./protocol/connection-file.ts"),
  ]);
  const connection = await readConnectionFile(path, (line) => log("warn", line));
  const cwd = process.cwd();
  const kernel = await startKernel({
    connection,
    cwd,
    log,
    loadEvaluator: async () => (await import("./evaluator/child-process.ts")).createEvaluator,
    async loadLanguage(onLog) {
      const { createLanguage, describeProblems } = await import("./language/index.ts");
      return { language: createLanguage({ cwd, onLog }), describeProblems };
    },
    typeErrors: typeErrors(process.env.BUNSEN_TYPE_ERRORS),
    ...(process.env.BUNSEN_WARM_UP === "off"
      ? {}
      : { loadWarmUp: async () => (await import("./session/warm-up.ts")).startWarmUp }),
    async openHistory() {
      const { historyPath, openHistory } = await import("./session/history.ts");
      const file = historyPath(process.env);
      try {
        return openHistory(file);
      } catch (error) {
        log("warn", `history: ${file} cannot be opened (${(error as Error).message}); it is kept in memory only`);
        return openHistory(":memory:");
      }
    },
    exit: (status) => process.exit(status),
  });
  log("debug", `listening: ${JSON.stringify({ ...kernel.connection, key: "…" })}`);

  process.on("SIGINT", () => void kernel.interrupt());
  process.on("SIGTERM", () => void kernel.end(0));
  process.on("SIGHUP", () => void kernel.end(0));
  // A fault in the kernel itself is told and survived: the notebook's state lives in the evaluator.
  process.on("uncaughtException", (error) => log("warn", `internal error: ${error.stack ?? String(error)}`));
  process.on("unhandledRejection", (error) =>
    log("warn", `internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
  );
  const parent = process.env.JPY_PARENT_PID;
  if (parent !== undefined) {
    const { watchParent } = await import("./session/parent-watch.ts");
    watchParent(parent, () => {
      log("info", "the process that started this kernel has died: ending");
      void kernel.end(0);
    });
  }
}

/** The setting; the language room has the same rule, but is loaded later. */
function typeErrors(value: string | undefined): KernelOptions["typeErrors"] {
  return value === "stop" || value === "silent" ? value : "warn";
}

const args = process.argv.slice(2);
const debug = args.includes("--debug");
try {
  const status = await main(args.filter((arg) => arg !== "--debug"));
  // A kernel goes on; every other command is done.
  if (status !== null) process.exit(status);
} catch (error) {
  const told = error instanceof Error && error.name.endsWith("Error") ? error.message : String(error);
  console.error(`bunsen-kernel: ${told}`);
  if (debug) console.error(error);
  process.exit(error instanceof UsageError ? 2 : 1);
}
