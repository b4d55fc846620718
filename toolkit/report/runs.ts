// Finding finished runs on disk.
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type RunResult, readResult } from "#toolkit/training/result.ts";
import { mixedSeeds, type Summary, summarise } from "./summary.ts";

/**
 * Finished runs in or below the given folders, teachers left out, in order of path; `run` is where each was found, also
 * where it was moved there. A study's runs lie five folders below its own.
 */
export function findRuns(folders: readonly string[], depth = 6): RunResult[] {
  const found: RunResult[] = [];
  const walk = (folder: string, left: number): void => {
    if (existsSync(join(folder, "metrics.json"))) {
      found.push({ ...readResult(folder), run: folder });
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

/**
 * How a run found on disk is called: a grid's runs lie in `<label>/rate-…-seed-…`, and the label tells a method from its
 * ablations; other runs go by their method.
 */
export const runLabel = ({ run, method }: RunResult): string =>
  /^rate-.+-seed-\d+$/.test(basename(run)) ? basename(dirname(resolve(run))) : method;

/**
 * The finished runs in or below the folders, source stages left out, summed up; null where there are none. `warn` is told of
 * lines that count a seed twice.
 */
export function summariseFolders(
  folders: readonly string[],
  split: "validation" | "test",
  warn: (line: string) => void,
): Summary[] | null {
  const runs = findRuns(folders).filter((result) => result.stage !== "source");
  if (runs.length === 0) return null;
  const summaries = summarise(
    runs.map((result) => ({ label: runLabel(result), result })),
    split,
  );
  for (const line of mixedSeeds(summaries)) warn(`warning: ${line}.`);
  return summaries;
}
