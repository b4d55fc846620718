// Finds libtensorflow without configuration: BUNSEN_TENSORFLOW, then the `tensorflow-cpu` or `tensorflow` wheel of a
// Python environment, then the system's library folders. Looks at file names only; opening is library.ts.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Looked, type Place, pythonPrefixes, sitePackages, systemFolders } from "../../native/site-packages.ts";

/** File names of the library that exports the C API, the wheel's first. */
const fileNames = [
  "libtensorflow_cc.so.2",
  "libtensorflow.so.2",
  "libtensorflow_cc.2.dylib",
  "libtensorflow.2.dylib",
  "libtensorflow.so",
];

export interface Discovery {
  /** The library's file, where one was found. */
  readonly path?: string;
  /** Every place that was looked at, in order, with what was there. */
  readonly looked: readonly Looked[];
}

const inFolder = (folder: string): string | null =>
  fileNames.map((name) => join(folder, name)).find((path) => existsSync(path)) ?? null;

/** The folder or the file that a person named. */
function named(path: string): string | null {
  if (!existsSync(path)) return null;
  if (!statSync(path).isDirectory()) return path;
  return (
    inFolder(path) ??
    inFolder(join(path, "tensorflow")) ??
    sitePackages(path)
      .map((site) => inFolder(join(site, "tensorflow")))
      .find((hit) => hit !== null) ??
    null
  );
}

export function discoverTensorflow(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  workingFolder: string = process.cwd(),
): Discovery {
  const looked: Looked[] = [];
  const explicit = environment.BUNSEN_TENSORFLOW;
  if (explicit) {
    const found = named(explicit);
    looked.push({ path: explicit, because: "BUNSEN_TENSORFLOW", found });
    // Who names a place means it: nothing else is tried.
    return found ? { path: found, looked } : { looked };
  }
  const folders: Place[] = pythonPrefixes(environment, workingFolder).flatMap(({ path, because }) => {
    const sites = sitePackages(path);
    return sites.length > 0
      ? sites.map((site) => ({ path: join(site, "tensorflow"), because }))
      : [{ path, because: `${because}, which holds no site-packages` }];
  });
  for (const folder of [...systemFolders, "/opt/homebrew/lib"])
    folders.push({ path: folder, because: "the system's libraries" });
  for (const { path, because } of folders) {
    const found = inFolder(path);
    looked.push({ path, because, found });
    if (found) return { path: found, looked };
  }
  return { looked };
}
