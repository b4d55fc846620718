// How cells find and load modules: relative files and npm packages from the notebook's folder upwards, `node:` and `bun:`,
// and this project's own packages from wherever the notebook lies. Not here: reloading (reload.ts), installing (add.ts).

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { forgetChanged } from "./reload.ts";

let folder: string = process.cwd();

/** The root of this project's own package. */
const HOME: string = resolve(import.meta.dir, "../../..");

/** Packages of which a second copy would not work with the toolkit's (a second tensor engine, other Arrow classes). */
const OWN = /^(?:bunsen|@tensorflow\/tfjs-core|apache-arrow)(?:\/|$)/;

/** A package that is not installed. */
export class MissingPackageError extends Error {
  override name = "MissingPackageError";
}

/** The notebook's folder. */
export function notebookFolder(): string {
  return folder;
}

function isBare(name: string): boolean {
  return !/^(?:[./]|#|[a-z][a-z0-9+.-]*:)/i.test(name);
}

/** `@scope/name` or `name` of `@scope/name/path`. */
function packageOf(name: string): string {
  return name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");
}

function missing(name: string, cause: unknown): MissingPackageError {
  const wanted = packageOf(name);
  return new MissingPackageError(
    `Package "${wanted}" is not installed for this notebook. Install it in a cell: import { add } from "bunsen/kernel"; await add("${wanted}") - or in a terminal, in ${folder}: bun add ${wanted}`,
    { cause },
  );
}

/** Absolute path (or `node:`, `bun:` name) of what a cell imports. @throws MissingPackageError, or Bun's own ResolveMessage. */
export function resolveModule(name: string, from: string = folder): string {
  if (OWN.test(name)) return Bun.resolveSync(name, HOME);
  const path = name.startsWith("file:") ? fileURLToPath(name) : name;
  try {
    return Bun.resolveSync(path, from);
  } catch (error) {
    // An installed package without the path that was asked for is another mistake.
    if (!isBare(name) || existsSync(join(folder, "node_modules", packageOf(name)))) throw error;
    throw missing(name, error);
  }
}

/** `import()` of a cell. Local modules that have changed on disk are loaded anew. */
export async function importModule(name: unknown, options?: ImportCallOptions): Promise<Record<string, unknown>> {
  const path = resolveModule(String(name));
  forgetChanged(path);
  try {
    return options === undefined ? await import(path) : await import(path, options);
  } catch (error) {
    // A package that a local module wants.
    const { name: kind, specifier } = (error ?? {}) as { name?: unknown; specifier?: unknown };
    const isMissing = kind === "ResolveMessage" && typeof specifier === "string" && isBare(specifier);
    throw isMissing ? missing(specifier, error) : error;
  }
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
  // What the notebook's own modules and packages import must be the same copies.
  Bun.plugin({
    name: "bunsen-own-packages",
    setup(build) {
      build.onResolve({ filter: OWN }, ({ path }) => ({ path: Bun.resolveSync(path, HOME) }));
    },
  });
}
