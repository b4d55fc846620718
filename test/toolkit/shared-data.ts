// Where the real data lie for the toolkit's tests: `$BUNSEN_SHARED`, or ../shared/data beside the project. Tests that
// need them skip where they are absent, and say so here.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root: string = process.env.BUNSEN_SHARED ?? resolve(import.meta.dirname, "../../../shared/data");

/** Whether the shared data are at hand. */
export const hasShared: boolean = existsSync(join(root, "README.md"));

if (!hasShared) console.warn(`Skipped: tests on real data (no ${root}; set BUNSEN_SHARED).`);

/** Path of a shared file. */
export const shared = (path: string): string => join(root, path);
