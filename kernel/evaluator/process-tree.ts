// Processes that user code has started: finding and signalling them. Not here: the evaluator's own process (child-process.ts).

import { readdirSync, readFileSync } from "node:fs";

/** Sends a signal; a process that has ended meanwhile is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ESRCH") throw error;
  }
}

/** Processes started by `pid` (from any of its threads) and theirs; none where there is no /proc. */
export function descendants(pid: number): number[] {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    // It has ended, or this system has no /proc.
    return [];
  }
  const found: number[] = [];
  for (const thread of threads) {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8");
    } catch {
      continue;
    }
    for (const child of text.trim().split(/\s+/)) {
      if (child !== "") found.push(Number(child), ...descendants(Number(child)));
    }
  }
  return found;
}

/** The command line of a process, shortened; null when it has ended. */
export function commandLine(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return text === "" ? null : text.slice(0, 120);
  } catch {
    return null;
  }
}

/** SIGINT to a process and all that it has started, as a terminal's Ctrl-C would send it. */
export function interruptTree(pid: number): void {
  for (const child of descendants(pid)) signalProcess(child, "SIGINT");
  signalProcess(pid, "SIGINT");
}
