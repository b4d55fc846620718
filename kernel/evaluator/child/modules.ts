// How cells find and load modules: relative files and npm packages from the notebook's folder upwards, `node:` and `bun:`,
// and this project's own packages from wherever the notebook lies. Not here: reloading (reload.ts), installing (add.ts).

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { guardedModule } from "./callbacks.ts";
import { isGuarded } from "./guard.ts";
import { forgetChanged, forgetModule, isLocal, neverReload } from "./reload.ts";

let folder: string = process.cwd();

const require = createRequire(import.meta.url);

/** The root of this project's own package. */
const HOME: string = resolve(import.meta.dirname, "../../..");

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

/**
 * Bun remembers folders as it first saw them, so a package that was installed meanwhile is not found. Asking for a file in the
 * package, and from the folder that holds it, makes it look again. Gives the path, or null where no folder has the package.
 */
function lookAgain(name: string, from: string): string | null {
  const wanted = packageOf(name);
  for (let holder = from; ; holder = dirname(holder)) {
    const manifest = join(holder, "node_modules", wanted, "package.json");
    if (existsSync(manifest)) {
      for (const [path, base] of [
        [manifest, holder],
        [name, holder],
      ] as const) {
        try {
          Bun.resolveSync(path, base);
        } catch {
          // The next question decides.
        }
      }
      try {
        return Bun.resolveSync(name, from);
      } catch {
        return null;
      }
    }
    if (holder === dirname(holder)) return null;
  }
}

/** Whether some folder from `from` upwards holds the package. */
function isInstalled(name: string, from: string): boolean {
  for (let holder = from; ; holder = dirname(holder)) {
    if (existsSync(join(holder, "node_modules", packageOf(name)))) return true;
    if (holder === dirname(holder)) return false;
  }
}

/** Absolute path (or `node:`, `bun:` name) of what a cell imports. @throws MissingPackageError, or Bun's own ResolveMessage. */
export function resolveModule(name: string, from: string = folder): string {
  if (OWN.test(name)) return Bun.resolveSync(name, HOME);
  const path = name.startsWith("file:") ? fileURLToPath(name) : name;
  try {
    return Bun.resolveSync(path, from);
  } catch (error) {
    if (!isBare(name)) throw error;
    const found = lookAgain(name, from);
    if (found !== null) return found;
    // An installed package without the path that was asked for is another mistake.
    throw isInstalled(name, from) ? error : missing(name, error);
  }
}

/** The bare name that a local module could not import, and that module's folder. */
function wantedBy(error: unknown): { readonly name: string; readonly from: string } | null {
  const { name, specifier, referrer } = (error ?? {}) as { name?: unknown; specifier?: unknown; referrer?: unknown };
  if (name !== "ResolveMessage" || typeof specifier !== "string" || !isBare(specifier)) return null;
  return { name: specifier, from: typeof referrer === "string" && referrer !== "" ? dirname(referrer) : folder };
}

/** The local module whose code runs now; still there afterwards where an interrupt stopped it. */
let evaluating: string | null = null;

/**
 * Runs a local module's code now, inside the guard that the caller runs in, so that a loop in it can be interrupted: `import` would run
 * it from the event loop. One that awaits at its top cannot be loaded so; `import` goes on with it.
 */
function evaluateGuarded(path: string): void {
  if (evaluating !== null) forgetModule(evaluating);
  evaluating = path;
  try {
    require(path);
  } catch (error) {
    if (!/require\(\) async module/.test(String(error))) throw error;
  } finally {
    evaluating = null;
  }
}

/** `import()` of a cell. Local modules that have changed on disk are loaded anew. */
export async function importModule(name: unknown, options?: ImportCallOptions): Promise<Record<string, unknown>> {
  const path = resolveModule(String(name));
  // The project's own packages hold state (a tensor engine); a second copy would not share it.
  if (!OWN.test(String(name))) forgetChanged(path);
  const load = async (): Promise<Record<string, unknown>> => {
    if (options !== undefined) return await import(path, options);
    // The kernel's own imports may have come first: the module's names are those of before, its object is not.
    const functions = guardedModule(path);
    if (functions !== null) return { ...(await import(path)), ...functions, default: functions };
    if (isGuarded() && isLocal(path)) evaluateGuarded(path);
    return await import(path);
  };
  try {
    return await load();
  } catch (error) {
    const wanted = wantedBy(error);
    if (wanted === null) throw error;
    if (lookAgain(wanted.name, wanted.from) !== null) return await load();
    throw isInstalled(wanted.name, wanted.from) ? error : missing(wanted.name, error);
  }
}

/** `import.meta` of a cell. */
export const importMeta: Record<string, unknown> = {};

/** Sets the notebook's folder and what depends on it. */
export function installModules(cwd: string): void {
  folder = cwd;
  neverReload((name) => OWN.test(name));
  const file = join(cwd, "notebook.ts");
  const requireHere = createRequire(file);
  Object.assign(importMeta, {
    dir: cwd,
    dirname: cwd,
    file: "notebook.ts",
    filename: file,
    path: file,
    url: pathToFileURL(file).href,
    main: false,
    env: process.env,
    require: requireHere,
    resolve: (name: string): string => {
      const path = resolveModule(name);
      return /^(?:node|bun):/.test(path) ? path : pathToFileURL(path).href;
    },
    resolveSync: (name: string, parent?: string): string =>
      parent === undefined ? resolveModule(name) : Bun.resolveSync(name, dirname(parent)),
  });
  for (const [name, value] of [
    ["require", requireHere],
    ["__dirname", cwd],
    ["__filename", file],
  ] as const) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
  // What the notebook's own modules and packages import must be the same copies.
  Bun.plugin({
    name: "bunsen-own-packages",
    setup(build) {
      for (const name of OWN_NAMES) {
        build.module(
          name,
          SYNCHRONOUS.has(name)
            ? () => requireOwn(name)
            : async () => ({ exports: await loadOwn(name), loader: "object" }),
        );
      }
    },
  });
}

/** What other modules may name; paths below these names are left to the packages themselves. */
const OWN_NAMES: readonly string[] = ["bunsen", "bunsen/kernel", "@tensorflow/tfjs-core", "apache-arrow"];

/** Packages in CommonJS that other CommonJS packages require: an answer that is a promise would be refused there. */
const SYNCHRONOUS: ReadonlySet<string> = new Set(["@tensorflow/tfjs-core"]);

function requireOwn(name: string): { exports: Record<string, unknown>; loader: "object" } {
  return {
    exports: require(Bun.resolveSync(name, HOME)) as Record<string, unknown>,
    loader: "object",
  };
}

async function loadOwn(name: string): Promise<Record<string, unknown>> {
  return (await import(Bun.resolveSync(name, HOME))) as Record<string, unknown>;
}
