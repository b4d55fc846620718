// Where Jupyter looks for kernelspecs, by the rules of jupyter_core, without Python. Paths only; nothing is written.

import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";

/** Where to install: for this user, into a Python environment's prefix, or into a named prefix. */
export type Scope =
  | { readonly kind: "user" }
  | { readonly kind: "sys-prefix" }
  | { readonly kind: "prefix"; readonly prefix: string };

export type Environment = Readonly<Record<string, string | undefined>>;

/** No place to install to could be found: says what was looked for. */
export class ScopeError extends Error {
  override readonly name: string = "ScopeError";
}

/** The folder of kernelspecs of a scope. @throws ScopeError */
export function kernelsFolder(scope: Scope, env: Environment, platform: string): string {
  switch (scope.kind) {
    case "user":
      return join(userDataFolder(env, platform), "kernels");
    case "prefix":
      return join(scope.prefix, "share", "jupyter", "kernels");
    case "sys-prefix":
      return join(pythonPrefix(env, platform), "share", "jupyter", "kernels");
  }
}

/** The Python environment that a scope installs into: the kernelspec tells it to the kernel as BUNSEN_PREFIX. Null for a user. */
export function prefixOf(scope: Scope, env: Environment, platform: string): string | null {
  if (scope.kind === "user") return null;
  return resolve(scope.kind === "prefix" ? scope.prefix : pythonPrefix(env, platform));
}

/** Every folder that Jupyter searches, in its order, with the environment of `VIRTUAL_ENV` or of the first `python3`. */
export function searchedFolders(env: Environment, platform: string): string[] {
  const folders: string[] = (env.JUPYTER_PATH ?? "")
    .split(delimiter)
    .filter((path) => path !== "")
    .map((path) => join(path, "kernels"));
  for (const scope of [{ kind: "user" }, { kind: "sys-prefix" }] as const) {
    try {
      folders.push(kernelsFolder(scope, env, platform));
    } catch (error) {
      if (!(error instanceof ScopeError)) throw error;
    }
  }
  if (platform === "win32") {
    if (env.PROGRAMDATA !== undefined) folders.push(join(env.PROGRAMDATA, "jupyter", "kernels"));
  } else folders.push("/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels");
  return [...new Set(folders)];
}

function userDataFolder(env: Environment, platform: string): string {
  if (env.JUPYTER_DATA_DIR) return env.JUPYTER_DATA_DIR;
  const home = env.HOME ?? env.USERPROFILE;
  if (home === undefined) throw new ScopeError("--user: expected HOME to be set, got nothing; use --prefix DIR");
  // JUPYTER_PLATFORM_DIRS asks for the platform's own places, which differ on macOS and Windows only.
  const platformDirs = ["1", "true", "yes", "on"].includes((env.JUPYTER_PLATFORM_DIRS ?? "").toLowerCase());
  if (platform === "darwin") {
    return platformDirs ? join(home, "Library", "Application Support", "Jupyter") : join(home, "Library", "Jupyter");
  }
  if (platform === "win32") {
    if (platformDirs && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, "Jupyter");
    return env.APPDATA === undefined ? join(home, ".jupyter", "data") : join(env.APPDATA, "jupyter");
  }
  return join(env.XDG_DATA_HOME || join(home, ".local", "share"), "jupyter");
}

/** The environment that is active (venv or conda), else that of the first `jupyter` or `python3` on the path. */
function pythonPrefix(env: Environment, platform: string): string {
  for (const name of ["VIRTUAL_ENV", "CONDA_PREFIX"]) {
    const prefix = env[name];
    if (prefix !== undefined && prefix !== "") return prefix;
  }
  const programs = platform === "win32" ? ["jupyter.exe", "python.exe"] : ["jupyter", "python3", "python"];
  for (const folder of (env.PATH ?? "").split(delimiter)) {
    for (const program of programs) {
      const path = join(folder, program);
      if (folder === "" || !existsSync(path)) continue;
      const scripts = dirname(path);
      // A venv's `bin/python3` is a link to another prefix's: the folder it stands in is what counts, unless the
      // whole program is a link in a folder of links (/usr/local/bin → a venv).
      if (existsSync(join(dirname(scripts), "pyvenv.cfg")) || platform === "win32") return dirname(scripts);
      return program.startsWith("jupyter") ? dirname(dirname(realpathSync(path))) : dirname(scripts);
    }
  }
  throw new ScopeError(
    "--sys-prefix: expected an active environment (VIRTUAL_ENV, CONDA_PREFIX) or jupyter or python3 on the PATH, got none; use --user or --prefix DIR",
  );
}
