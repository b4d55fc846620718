// Where the real data for these tests lie: $BUNSEN_SHARED, or ../shared/data from the project's root.
import { existsSync } from "node:fs";
import { resolve } from "node:path";

const folder: string = process.env.BUNSEN_SHARED ?? resolve(import.meta.dirname, "../../../shared/data");

/** Path of a shared file, or undefined (with a line that says so) where it is absent: its test is then skipped. */
export function sharedFile(path: string): string | undefined {
  const file = resolve(folder, path);
  if (existsSync(file)) return file;
  console.info(`skipped: no ${path} in ${folder} (set BUNSEN_SHARED)`);
  return undefined;
}
