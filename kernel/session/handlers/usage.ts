// usage_request (what jupyter-resource-usage asks): processor and memory of the kernel, its evaluator and what they
// started, and of the machine. Read from /proc; where there is none (macOS) only this process is counted.

import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism, freemem, hostname, totalmem } from "node:os";
import type { Content } from "../../protocol/messages.ts";

let last = { at: performance.now(), seconds: 0, hostBusy: 0, hostTotal: 0 };

export function usage(): Content {
  const tree = processTree(process.pid);
  let memory = 0;
  let seconds = 0;
  for (const pid of tree) {
    const one = processUsage(pid);
    memory += one.memory;
    seconds += one.seconds;
  }
  if (memory === 0) memory = process.memoryUsage.rss();
  const host = hostTimes();
  const at = performance.now();
  const elapsed = (at - last.at) / 1000;
  const kernelCpu = elapsed > 0 ? Math.max(0, (100 * (seconds - last.seconds)) / elapsed) : 0;
  const hostCpu = host.total > last.hostTotal ? (100 * (host.busy - last.hostBusy)) / (host.total - last.hostTotal) : 0;
  last = { at, seconds, hostBusy: host.busy, hostTotal: host.total };
  const total = totalmem();
  const available = availableMemory() ?? freemem();
  return {
    hostname: hostname(),
    pid: process.pid,
    kernel_cpu: round(kernelCpu),
    kernel_memory: memory,
    cpu_count: availableParallelism(),
    host_cpu_percent: round(hostCpu),
    host_virtual_memory: {
      total,
      available,
      percent: round((100 * (total - available)) / total),
      used: total - available,
      free: freemem(),
    },
  };
}

/** Clock ticks a second: 100 on every Linux that Bun runs on. */
const ticksPerSecond = 100;

function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return [];
  }
  for (const name of names) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(statFields(pid)[1]);
    if (Number.isInteger(parent)) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [root];
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]!) ?? []));
  return tree;
}

/** The fields of /proc/PID/stat after the command's name (which may hold spaces): state, parent, … */
function statFields(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

/** PSS and not RSS: processes of the same binary share its pages, which RSS counts for each. */
function processUsage(pid: number): { memory: number; seconds: number } {
  const fields = statFields(pid);
  const seconds = (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
  let memory = 0;
  try {
    const pss = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
    memory = Number(pss?.[1] ?? 0) * 1024;
  } catch {
    memory = Number(fields[21] ?? 0) * 4096;
  }
  return { memory, seconds };
}

function hostTimes(): { busy: number; total: number } {
  try {
    const ticks = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1).map(Number);
    const total = ticks.slice(0, 8).reduce((sum, each) => sum + each, 0);
    return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
  } catch {
    return { busy: 0, total: 0 };
  }
}

function availableMemory(): number | null {
  try {
    const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"));
    return line === null ? null : Number(line[1]) * 1024;
  } catch {
    return null;
  }
}

function round(percent: number): number {
  return Math.round(percent * 10) / 10;
}
