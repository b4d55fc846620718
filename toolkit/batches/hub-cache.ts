// The standard Hugging Face cache on disk, as Python's huggingface_hub lays it out: what either downloads, the other
// finds. Paths and links only; downloading is in download.ts, deciding what to fetch in hub.ts.
//
//   <cache>/datasets--<owner>--<name>/blobs/<etag>             content, named by its ETag (sha256, or git's sha1)
//                                    /snapshots/<commit>/<path> relative link to the blob
//                                    /refs/<revision>           the commit a branch stood at
import { copyFile, lstat, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { HubError } from "./errors.ts";
import { temporaryName, writeAtomically } from "./files.ts";

/** A repository in the cache; `kind` is the hub's plural. */
export interface CachedRepo {
  readonly kind: "datasets" | "models";
  readonly repo: string;
  readonly folder: string;
}

/** @throws HubError `bad-name` where the name could leave the cache folder. */
export function cachedRepo(hubCache: string, repo: string, kind: "datasets" | "models" = "datasets"): CachedRepo {
  if (!/^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9_][\w.-]*)?$/.test(repo) || repo.includes("--") || repo.includes(".."))
    throw new HubError(
      "bad-name",
      `"${repo}" is not a repository name: expected "owner/name" of letters, digits, "-", "_" and "."`,
    );
  return { kind, repo, folder: join(hubCache, `${kind}--${repo.replace("/", "--")}`) };
}

/**
 * `root`/`name`, certain to lie inside `root`. Names come from the network or from a file; a name that is absolute,
 * climbs, or holds what some file system reads as more than a name is refused.
 * @throws HubError `bad-name`
 */
export function inside(root: string, name: string): string {
  const parts = name.split("/");
  const bad = parts.some(
    (part) => part === "" || part === "." || part === ".." || /[\\:\u0000-\u001f]/.test(part) || part.length > 255,
  );
  const path = resolve(root, name);
  if (bad || !path.startsWith(resolve(root) + sep))
    throw new HubError("bad-name", `The name ${JSON.stringify(name)} would leave its folder ${root}; it is refused.`);
  return path;
}

export function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$|^[0-9a-f]{64}$/.test(text);
}

/** The ETag as a blob's name, or null where it is not a content hash (any server may invent its own). */
export function blobNameOf(etag: string | null): string | null {
  const name = etag?.replace(/^W\//, "").replace(/^"|"$/g, "") ?? "";
  return isCommit(name) ? name : null;
}

/** The commit that `revision` stood at when it was last asked for. */
export async function readRef(cached: CachedRepo, revision: string): Promise<string | null> {
  if (isCommit(revision)) return revision;
  const text = await readFile(inside(join(cached.folder, "refs"), revision), "utf8").catch(() => null);
  const commit = text?.trim() ?? "";
  return isCommit(commit) ? commit : null;
}

export async function writeRef(cached: CachedRepo, revision: string, commit: string): Promise<void> {
  if (isCommit(revision)) return;
  await writeAtomically(inside(join(cached.folder, "refs"), revision), commit);
}

/** Path of a file of that commit, or null where the cache lacks it (a link without its blob counts as lacking). */
export async function findInSnapshot(cached: CachedRepo, commit: string, path: string): Promise<string | null> {
  const file = inside(inside(join(cached.folder, "snapshots"), commit), path);
  const info = await stat(file).catch(() => null);
  return info?.isFile() ? file : null;
}

/** Repository paths of the files in a folder of that commit that the cache has. */
export async function listSnapshot(cached: CachedRepo, commit: string, folder: string): Promise<string[]> {
  const root = inside(inside(join(cached.folder, "snapshots"), commit), folder);
  return (await readdir(root).catch(() => [])).map((name) => `${folder}/${name}`);
}

/** The file in any snapshot, the newest first: for when neither network nor a remembered branch says which. */
export async function findInAnySnapshot(cached: CachedRepo, path: string): Promise<string | null> {
  const root = join(cached.folder, "snapshots");
  const found: { file: string; time: number }[] = [];
  for (const commit of await readdir(root).catch(() => [])) {
    const file = inside(inside(root, commit), path);
    const info = await stat(file).catch(() => null);
    if (info?.isFile()) found.push({ file, time: (await lstat(file)).mtimeMs });
  }
  found.sort((a, b) => b.time - a.time);
  return found[0]?.file ?? null;
}

/** Where a blob lies; `name` comes from the network. */
export function blobPath(cached: CachedRepo, name: string): string {
  return inside(join(cached.folder, "blobs"), name);
}

/** Makes `snapshots/<commit>/<path>` point at the blob (a copy where the file system has no links). */
export async function linkSnapshot(cached: CachedRepo, commit: string, path: string, blob: string): Promise<string> {
  const file = inside(inside(join(cached.folder, "snapshots"), commit), path);
  await mkdir(dirname(file), { recursive: true });
  const temporary = temporaryName(file);
  try {
    await symlink(relative(dirname(file), blob), temporary);
  } catch (error) {
    if (!["EPERM", "ENOSYS", "EACCES"].includes((error as { code?: string }).code ?? "")) throw error;
    await copyFile(blob, temporary);
  }
  try {
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return file;
}

/** The blob's name behind a snapshot file: its content's hash, without reading it; null where it is a plain copy. */
export async function blobNameBehind(file: string): Promise<string | null> {
  const target = await readlink(file).catch(() => null);
  return target === null ? null : basename(target);
}
