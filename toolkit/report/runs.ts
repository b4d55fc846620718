// Finding finished runs on disk.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type RunResult, readResult } from "#toolkit/training/result.ts";

/** Finished runs in or below the given folders, teachers left out, in order of path. */
export function findRuns(folders: readonly string[], depth = 4): RunResult[] {
  const found: RunResult[] = [];
  const walk = (folder: string, left: number): void => {
    if (existsSync(join(folder, "metrics.json"))) {
      found.push(readResult(folder));
      return;
    }
    if (left === 0) return;
    const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (!entry.name.startsWith(".") && entry.name !== "teachers") walk(join(folder, entry.name), left - 1);
    }
  };
  for (const folder of folders) {
    if (!existsSync(folder)) throw new Error(`no folder ${folder}: expected a run, or a folder that holds runs.`);
    walk(folder, depth);
  }
  return found;
}
