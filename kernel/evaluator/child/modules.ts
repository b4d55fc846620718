// How cells find and load modules: relative files and npm packages from the notebook's folder upwards, `node:` and `bun:`,
// and this project's own packages from wherever the notebook lies.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

let folder: string = process.cwd();

/** The root of this project's own package. */
const HOME: string = resolve(import.meta.dir, "../../..");

/** Packages of which a second copy would not work with the toolkit's: their names and all paths below them. */
const OWN: readonly string[] = ["bunsen", "@tensorflow/tfjs-core", "apache-arrow"];

/** A package that is not installed. */
export class MissingPackageError extends Error {
  override name = "MissingPackageError";
}

/** Absolute path (or `node:`, `bun:` name) of what a cell imports. @throws MissingPackageError, or Bun's own ResolveMessage. */
export function resolveModule(name: string): string {
  if (OWN.some((own) => name === own || name.startsWith(`${own}/`))) return Bun.resolveSync(name, HOME);
  const path = name.startsWith("file:") ? Bun.fileURLToPath(name) : name;
  try {
    return Bun.resolveSync(path, folder);
  } catch (error) {
    if (/^[./]|^file:|^node:|^bun:/.test(name)) throw error;
    const parts = name.split("/");
    const bare = name.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
    if (existsSync(join(folder, "node_modules", String(bare)))) throw error;
    throw new MissingPackageError(
      `Package "${bare}" is not installed for this notebook. To install it, run: await add("${bare}") in a cell (import { add } from "bunsen/kernel"), or: bun add ${bare} in ${folder}`,
      { cause: error },
    );
  }
}

/** `import()` of a cell. */
export async function importModule(name: unknown, options?: ImportCallOptions): Promise<Record<string, unknown>> {
  const path = resolveModule(String(name));
  return options === undefined ? await import(path) : await import(path, options);
}

/** `import.meta` of a cell. */
export const importMeta: Record<string, unknown> = {};

/** Sets the notebook's folder and what depends on it. */
export function installModules(cwd: string): void {
  folder = cwd;
  const file = join(cwd, "notebook.ts");
  const require = createRequire(file);
  Object.assign(importMeta, {
    dir: cwd,
    dirname: cwd,
    file: "notebook.ts",
    filename: file,
    path: file,
    url: pathToFileURL(file).href,
    main: false,
    env: process.env,
    require,
    resolve: (name: string): string => {
      const path = resolveModule(name);
      return /^(?:node|bun):/.test(path) ? path : pathToFileURL(path).href;
    },
    resolveSync: (name: string, parent?: string): string =>
      parent === undefined ? resolveModule(name) : Bun.resolveSync(name, dirname(parent)),
  });
  for (const [name, value] of [
    ["require", require],
    ["__dirname", cwd],
    ["__filename", file],
  ] as const) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

/** The notebook's folder. */
export function notebookFolder(): string {
  return folder;
}

/** Forgets what was found missing before packages were added. */
export function cleanModuleCaches(): void {}
