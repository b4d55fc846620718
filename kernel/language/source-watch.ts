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
  let known: Map<string, string> | null = null;
  const since = Date.now();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let stopped = false;

  const look = async (): Promise<void> => {
    const found = await snapshot(folder);
    if (stopped) return;
    // Before the first look the server may have read a file that was written again since.
    const changes = compare(known ?? settledBefore(found, since), found);
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

/**
 * Path → stamp (time of the last change, size: two writes within one tick of the file system's clock differ in size at
 * best) of the sources below a folder; and of `node_modules`, whose own time tells of packages.
 */
async function snapshot(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
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
        if (status !== null) files.set(child, `${status.mtimeMs} ${status.size}`);
      }
      if (files.size >= maxFiles) break;
    }
  }
  return files;
}

/** Those that were last written well before a time (ms since 1970): no server started then has read another text of them. */
function settledBefore(files: ReadonlyMap<string, string>, time: number): Map<string, string> {
  return new Map([...files].filter(([, stamp]) => Number.parseFloat(stamp) < time - pauseMs));
}

function compare(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): FileChange[] {
  const changes: FileChange[] = [];
  for (const [path, stamp] of after) {
    // A file new to us need not be new to the server, which reads what a cell imports without waiting for our look: of
    // a file it knows it takes no creation for a change, while a change finds what it has missed so far.
    if (before.get(path) !== stamp) changes.push({ path, type: 2 });
  }
  for (const path of before.keys()) if (!after.has(path)) changes.push({ path, type: 3 });
  return changes;
}
