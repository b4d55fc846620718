// Notices that source files of the notebook's folder have changed on disk, so that the server reads them anew. It looks
// when asked, at most every second, and a bounded number of files: no watchers are held, packages are not looked through.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FileChange } from "./server.ts";

export interface SourceWatch {
  /** Looks, in the background, unless it has just done so. */
  check(): void;
  stop(): void;
}

const pauseMs = 1_000;
const maxFiles = 2_000;
const maxDepth = 4;
const sourceName = /\.(?:[cm]?[jt]sx?|json)$/;

export function createSourceWatch(folder: string, onChange: (changes: readonly FileChange[]) => void): SourceWatch {
  let known: Map<string, number> | null = null;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let stopped = false;

  const look = async (): Promise<void> => {
    const found = await snapshot(folder);
    if (stopped) return;
    const changes = known === null ? [] : compare(known, found);
    known = found;
    if (changes.length > 0) onChange(changes);
  };

  return {
    check: () => {
      const now = performance.now();
      if (stopped || now - lookedAt < pauseMs) return;
      lookedAt = now;
      look().catch(() => {
        // The folder cannot be read (it may be gone): then there is nothing to notice.
      });
    },
    stop: () => {
      stopped = true;
    },
  };
}

/** Path → time of the last change, of the sources below a folder; and of `node_modules`, whose own time tells of packages. */
async function snapshot(folder: string): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  const queue: { path: string; depth: number }[] = [{ path: folder, depth: 0 }];
  for (let next = queue.shift(); next !== undefined && files.size < maxFiles; next = queue.shift()) {
    const { path, depth } = next;
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const child = join(path, entry.name);
      if (entry.isDirectory() && entry.name !== "node_modules") {
        if (depth < maxDepth && !entry.name.startsWith(".")) queue.push({ path: child, depth: depth + 1 });
      } else if (entry.name === "node_modules" || sourceName.test(entry.name)) {
        const status = await stat(child).catch(() => null);
        if (status !== null) files.set(child, status.mtimeMs);
      }
      if (files.size >= maxFiles) break;
    }
  }
  return files;
}

function compare(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): FileChange[] {
  const changes: FileChange[] = [];
  for (const [path, time] of after) {
    const old = before.get(path);
    if (old === undefined) changes.push({ path, type: 1 });
    else if (old !== time) changes.push({ path, type: 2 });
  }
  for (const path of before.keys()) if (!after.has(path)) changes.push({ path, type: 3 });
  return changes;
}
