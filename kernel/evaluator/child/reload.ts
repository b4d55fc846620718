// Edited local modules are loaded anew on the next import: a changed file, and each local file that imports it, is taken
// out of the module cache. Packages (anything below node_modules) and this project's own files stay as they are.

import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, resolve } from "node:path";

interface LocalModule {
  /** Size and time of change, of the text that was scanned. */
  readonly stamp: string;
  readonly imports: readonly string[];
}

const HOME: string = resolve(import.meta.dirname, "../../..");
const cache = createRequire(import.meta.url).cache;
const modules = new Map<string, LocalModule>();
const LOADERS: Readonly<Record<string, "ts" | "tsx" | "js" | "jsx">> = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".js": "jsx",
  ".mjs": "jsx",
  ".cjs": "jsx",
  ".jsx": "jsx",
};

/** Names of this project's own packages: they are never loaded anew. */
let isOwn: (name: string) => boolean = () => false;

export function neverReload(test: (name: string) => boolean): void {
  isOwn = test;
}

/** A script of the user's own, not of a package. */
export function isLocal(path: string): boolean {
  return path.startsWith("/") && !path.includes("/node_modules/") && !path.startsWith(`${HOME}/kernel/`);
}

/** Takes a file, and what it imports of local ones, out of the module cache: its code was stopped half-way. */
export function forgetModule(path: string): void {
  delete cache[path];
  for (const next of modules.get(path)?.imports ?? []) if (cache[next] !== undefined) forgetModule(next);
}

function stampOf(path: string): string {
  try {
    const { size, mtimeMs, ino } = statSync(path);
    return `${size}:${mtimeMs}:${ino}`;
  } catch {
    return "gone";
  }
}

/** Local files that a file imports, statically, dynamically or by require. */
function importsOf(path: string): string[] {
  const loader = LOADERS[extname(path)];
  if (loader === undefined) return [];
  try {
    const found = new Bun.Transpiler({ loader }).scanImports(readFileSync(path, "utf8"));
    const paths = found.flatMap((item) => {
      if (isOwn(item.path)) return [];
      try {
        return [Bun.resolveSync(item.path, dirname(path))];
      } catch {
        // The import itself will say so.
        return [];
      }
    });
    return [...new Set(paths.filter(isLocal))];
  } catch {
    // Not parseable as it is now: the import itself will say so.
    return [];
  }
}

/** Takes what has changed below `entry`, and what depends on it, out of the module cache. */
export function forgetChanged(entry: string): void {
  if (!isLocal(entry)) return;
  const reached = new Set<string>([entry]);
  const changed = new Set<string>();
  for (const path of reached) {
    const known = modules.get(path);
    const stamp = stampOf(path);
    if (known === undefined || known.stamp !== stamp) {
      if (known !== undefined) changed.add(path);
      modules.set(path, { stamp, imports: importsOf(path) });
    }
    for (const next of modules.get(path)?.imports ?? []) reached.add(next);
  }
  if (changed.size === 0) return;
  // Importers of what changed, and theirs, also those outside this entry's reach: they hold the old copy.
  let size = -1;
  while (size !== changed.size) {
    size = changed.size;
    for (const [path, { imports }] of modules) {
      if (imports.some((item) => changed.has(item))) changed.add(path);
    }
  }
  for (const path of changed) delete cache[path];
}

/** Takes a package's files out of the module cache, after another version was installed. */
export function forgetPackage(name: string): void {
  for (const path of Object.keys(cache)) {
    if (path.includes(`/node_modules/${name}/`)) delete cache[path];
  }
}
