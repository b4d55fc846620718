// The user's own tsconfig: the nearest above a notebook, with what it extends, as far as the kernel itself must know it (the language
// server reads all of it). Not here: what is made of it.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

export interface Tsconfig {
  /** Absolute. */
  readonly paths: Readonly<Record<string, readonly string[]>>;
  readonly experimentalDecorators: boolean;
  readonly emitDecoratorMetadata: boolean;
  readonly noImplicitAny: boolean;
}

/** A folder and all above it, nearest first. */
export function foldersUpwards(folder: string): string[] {
  const folders = [folder];
  for (let parent = dirname(folder); parent !== folders.at(-1); parent = dirname(parent)) folders.push(parent);
  return folders;
}

/** The path of the nearest tsconfig.json, if there is one. */
export function findTsconfig(folder: string): string | undefined {
  return foldersUpwards(folder)
    .map((each) => join(each, "tsconfig.json"))
    .find((path) => existsSync(path));
}

/** Never throws: of a file that cannot be read, the language server tells in its own words. */
export function readTsconfig(path: string): Tsconfig {
  const { paths = {}, pathsFrom = dirname(path), baseUrl, ...options } = effective(path, new Set());
  const base = baseUrl ?? pathsFrom;
  return {
    paths: Object.fromEntries(
      Object.entries(paths).map(([name, targets]) => [name, targets.map((target) => resolve(base, target))]),
    ),
    experimentalDecorators: options.experimentalDecorators === true,
    emitDecoratorMetadata: options.emitDecoratorMetadata === true,
    noImplicitAny: options.noImplicitAny === true,
  };
}

interface Options {
  paths?: Record<string, string[]>;
  /** Folder of the config that has the paths. */
  pathsFrom?: string;
  baseUrl?: string;
  experimentalDecorators?: unknown;
  emitDecoratorMetadata?: unknown;
  noImplicitAny?: unknown;
}

/** A config's options over those of what it extends, of which a later one is over an earlier one. */
function effective(path: string, seen: Set<string>): Options {
  if (seen.has(path)) return {};
  seen.add(path);
  const folder = dirname(path);
  let options: Options = {};
  try {
    const config = Bun.JSONC.parse(readFileSync(path, "utf8")) as {
      extends?: string | string[];
      compilerOptions?: Options;
    };
    for (const name of [config.extends ?? []].flat()) {
      const extended = findExtended(name, folder);
      if (extended !== null) options = { ...options, ...effective(extended, seen) };
    }
    const own = config.compilerOptions ?? {};
    options = { ...options, ...own };
    if (own.paths !== undefined) options.pathsFrom = folder;
    if (own.baseUrl !== undefined) options.baseUrl = resolve(folder, own.baseUrl);
  } catch {
    // What could be read stands.
  }
  return options;
}

/** The file that an `extends` names: relative, absolute, or in a package. */
function findExtended(name: string, folder: string): string | null {
  const isPath = /^\.{0,2}\//.test(name) || name === "." || name === "..";
  for (const candidate of [name, `${name}.json`, `${name}/tsconfig.json`]) {
    if (isPath) {
      const path = resolve(folder, candidate);
      if (path.endsWith(".json") && existsSync(path)) return path;
      continue;
    }
    try {
      const path = Bun.resolveSync(candidate, folder);
      if (path.endsWith(".json")) return path;
    } catch {
      // The next spelling, or none.
    }
  }
  return null;
}
