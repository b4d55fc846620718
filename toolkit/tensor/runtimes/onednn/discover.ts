// Finds oneDNN without configuration: BUNSEN_ONEDNN, then the `onednn-cpu-gomp` wheel of a Python environment (it lies in
// the environment's lib folder), then the system's library folders. Looks at file names only; opening is library.ts.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Looked, pythonPrefixes, systemFolders } from "../../native/site-packages.ts";

/** The shared library of oneDNN 3, whose C API is the one that products.c calls. */
const fileName = "libdnnl.so.3";

export interface OnednnDiscovery {
  /** The library's file, where one was found. */
  readonly path?: string;
  /** Every place that was looked at, in order, with what was there. */
  readonly looked: readonly Looked[];
}

export function discoverOnednn(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  workingFolder: string = process.cwd(),
): OnednnDiscovery {
  if (process.platform !== "linux" || environment.BUNSEN_ONEDNN === "off") return { looked: [] };
  const at = (path: string): string | null => {
    if (!existsSync(path)) return null;
    if (!statSync(path).isDirectory()) return path;
    return [join(path, fileName), join(path, "lib", fileName)].find((file) => existsSync(file)) ?? null;
  };
  const explicit = environment.BUNSEN_ONEDNN;
  const places = explicit
    ? [{ path: explicit, because: "BUNSEN_ONEDNN" }]
    : [
        ...pythonPrefixes(environment, workingFolder).map(({ path, because }) => ({
          path: join(path, "lib"),
          because,
        })),
        ...systemFolders.map((path) => ({ path, because: "the system's libraries" })),
      ];
  const looked: Looked[] = [];
  for (const { path, because } of places) {
    const found = at(path);
    looked.push({ path, because, found });
    if (found) return { path: found, looked };
  }
  return { looked };
}
