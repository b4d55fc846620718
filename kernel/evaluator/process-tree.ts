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

/** Processor time that the first thread of a process has had, in ms; null where that cannot be told. */
export function processorTime(pid: number): number | null {
  try {
    const ns = Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")[0]);
    return Number.isFinite(ns) ? ns / 1e6 : null;
  } catch {
    return null;
  }
}

/** The kernel counts process times in hundredths of a second, on every architecture that Bun runs on. */
const TICKS_PER_MS = 1 / 10;

/** How long a process has run, in ms; 0 where that cannot be told. */
function ageOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name, in parentheses, may hold anything; the fields after it are numbers. The 22nd is the start.
    const start = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
    return Math.max(0, uptime - start / TICKS_PER_MS);
  } catch {
    return 0;
  }
}

/**
 * What a process has started within the last `maxAge` ms. What older cells have started (a server) is not meant by an interrupt:
 * it is state too.
 */
export function youngDescendants(pid: number, maxAge: number): number[] {
  return descendants(pid).filter((child) => ageOf(child) <= maxAge);
}
