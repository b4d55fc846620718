// The identity of the code that renders rows of the catalogue: the hash of its source files. It lets the token cache be
// asked without rendering, and still never answers with texts of an older template.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Dataset } from "#datasets/contract.ts";
import { catalogue, mini } from "#datasets/index.ts";

let known: Promise<string | null> | undefined;

/**
 * Hash of every source file of `datasets/`, which changes with any template, split or draw; null for a dataset of one's
 * own, whose code can lie anywhere and change while a notebook runs, and where the sources cannot be read.
 */
export async function templateSource(dataset: Dataset): Promise<string | null> {
  const own = !Object.values(catalogue).includes(dataset) && mini.get(dataset.name) !== dataset;
  if (own) return null;
  known ??= hashed(join(import.meta.dirname, "../../datasets")).catch(() => null);
  return known;
}

async function hashed(folder: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".ts")).sort();
  const hasher = new Bun.CryptoHasher("sha256");
  for (const [i, bytes] of (await Promise.all(names.map((name) => readFile(join(folder, name))))).entries())
    hasher.update(`${names[i]} ${bytes.length}\n`).update(bytes);
  return hasher.digest("hex");
}
