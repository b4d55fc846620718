// Files of a hub repository, on disk: from the cache where it has them, else downloaded into it, pinned by revision,
// size and hash. The hub's API is asked through `@huggingface/hub`; a server without the API (a plain folder over HTTP)
// serves by its `resolve` paths alone. Decides what to fetch; how bytes travel is download.ts, where they lie hub-cache.ts.
import { createHash } from "node:crypto";
import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { datasetInfo, pathsInfo } from "@huggingface/hub";
import {
  ChangedError,
  type DownloadOptions,
  type DownloadProgress,
  download,
  hashFile,
  refuse,
  request,
  withRetries,
} from "./download.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { type DataWarning, HubError, messageOf } from "./errors.ts";
import { withLock } from "./files.ts";
import {
  blobNameBehind,
  blobNameOf,
  blobPath,
  type CachedRepo,
  cachedRepo,
  findInAnySnapshot,
  findInSnapshot,
  inside,
  isCommit,
  linkSnapshot,
  readRef,
  writeRef,
} from "./hub-cache.ts";
import { type Pin, pinKey, readPins, writePins } from "./pins.ts";

export interface HubOptions {
  readonly environment?: Environment;
  /** Branch, tag or commit; default `main`. */
  readonly revision?: string;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly onWarning?: ((warning: DataWarning) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Files fetched at once; default 4. */
  readonly parallel?: number;
  /** Forget the pins of these files and take what the hub has now. */
  readonly update?: boolean;
  /** Retries and time limits. */
  readonly tuning?: Pick<DownloadOptions, "attempts" | "backoffMs" | "stallMs" | "wait">;
}

export interface HubFile {
  /** Path in the repository. */
  readonly name: string;
  /** Path on disk. */
  readonly path: string;
  readonly revision: string | null;
  readonly sha256: string;
  readonly downloaded: boolean;
}

/** What the server promises for a file. */
interface Promised {
  readonly url: string;
  /** The hub's commit; for a plain mirror a stand-in made of its address. */
  readonly commit: string;
  readonly plain: boolean;
  readonly size: number | null;
  readonly etag: string | null;
  /** Content hash, where the ETag or the API gives one. */
  readonly hash: string | null;
}

/**
 * The files `names` of a dataset repository.
 * @throws HubError naming the file, what happened and what to do.
 */
export async function hubFiles(repo: string, names: readonly string[], options: HubOptions = {}): Promise<HubFile[]> {
  const environment = options.environment ?? readEnvironment();
  const context: Context = {
    ...options,
    environment,
    revision: options.revision ?? "main",
    cached: cachedRepo(environment.hubCache, repo),
    commits: new Map(),
  };
  const results: HubFile[] = new Array(names.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < names.length; i = next++) results[i] = await hubFile(context, names[i]!);
  };
  // All settle before the first failure is thrown: no download goes on behind the caller's back.
  const workers = Array.from({ length: Math.min(options.parallel ?? 4, names.length) }, worker);
  const failed = (await Promise.allSettled(workers)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return results;
}

interface Context extends HubOptions {
  readonly environment: Environment;
  readonly revision: string;
  readonly cached: CachedRepo;
  /** Commits asked for during this call, so that all files come from one. */
  readonly commits: Map<string, Promise<string | null>>;
}

async function hubFile(context: Context, name: string): Promise<HubFile> {
  const { environment, cached, revision } = context;
  const label = `${cached.repo}/${name}`;
  inside(cached.folder, name);
  inside(cached.folder, revision);
  const pins = await readPins(environment.lockFile);
  const mirrorPins = await readPins(mirrorLock(environment));
  const mirrorKey = pinKey(cached.repo, revision, name, environment.endpoint);
  const pin = context.update ? undefined : pins[pinKey(cached.repo, revision, name)];
  const mirrorPin = context.update ? undefined : mirrorPins[mirrorKey];

  // A pin, or a commit asked for by name, needs no network where the cache has it.
  const known = mirrorPin ? standIn(context) : (pin?.revision ?? (isCommit(revision) ? revision : null));
  if (known !== null) {
    const path = await findInSnapshot(cached, known, name);
    if (path !== null) return settle(context, name, path, known, mirrorPin !== undefined, mirrorPin ?? pin, false);
  }
  if (environment.offline)
    return fromCache(context, name, pin ?? mirrorPin, "offline (BUNSEN_OFFLINE, HF_HUB_OFFLINE)");

  let promised: Promised;
  try {
    promised = await ask(context, name, pin);
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== "unavailable") throw error;
    return fromCache(context, name, pin ?? mirrorPin, error.message, error);
  }
  const present = await findInSnapshot(cached, promised.commit, name);
  if (present !== null && !(promised.plain && context.update)) {
    await remember(context, promised);
    return settle(context, name, present, promised.commit, promised.plain, promised.plain ? mirrorPin : pin, false);
  }
  const lock = join(
    environment.hubCache,
    ".locks",
    cached.folder.slice(environment.hubCache.length + 1),
    urlName(promised.url),
  );
  try {
    return await withLock(
      lock,
      async () => {
        const meanwhile = await findInSnapshot(cached, promised.commit, name);
        const expected = promised.plain ? mirrorPin : pin;
        if (meanwhile !== null && !context.update)
          return settle(context, name, meanwhile, promised.commit, promised.plain, expected, false);
        const { path, commit } = await fetchInto(context, name, promised, pin);
        return settle(context, name, path, commit, promised.plain, expected, true);
      },
      { signal: context.signal },
    );
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== "unavailable") throw error;
    return fromCache(context, name, pin ?? mirrorPin, error.message, error);
  }

  async function fetchInto(
    context: Context,
    name: string,
    first: Promised,
    pin: Pin | undefined,
  ): Promise<{ path: string; commit: string }> {
    let promised = first;
    for (let round = 1; ; round++) {
      const target = blobPath(cached, promised.hash ?? urlName(promised.url));
      await mkdir(dirname(target), { recursive: true });
      try {
        const blobThere = promised.hash !== null && (await Bun.file(target).exists());
        if (!blobThere) {
          // A name of our own while under way: Python may be writing `<etag>.incomplete` of the same blob.
          const arriving = `${target}.bunsen`;
          const { sha256 } = await download(promised.url, arriving, {
            ...context.tuning,
            label,
            token: environment.token,
            size: promised.size,
            hash: promised.hash,
            etag: promised.etag,
            onProgress: context.onProgress,
            signal: context.signal,
          });
          const final = promised.hash === null ? blobPath(cached, sha256) : target;
          await rename(arriving, final);
          const path = await linkSnapshot(cached, promised.commit, name, final);
          await remember(context, promised);
          return { path, commit: promised.commit };
        }
        const path = await linkSnapshot(cached, promised.commit, name, target);
        await remember(context, promised);
        return { path, commit: promised.commit };
      } catch (error) {
        if (!(error instanceof ChangedError)) throw error;
        if (round >= 3)
          throw new HubError("changed", `${error.message} It changed ${round} times in a row; try again later.`, {
            cause: error,
          });
        context.commits.clear();
        promised = await ask(context, name, pin);
      }
    }
  }
}

/** Asks the server what the file is now (or at its pinned revision). */
async function ask(context: Context, name: string, pin: Pin | undefined): Promise<Promised> {
  const { environment, cached, revision } = context;
  const wanted = pin?.revision ?? revision;
  let asking = context.commits.get(wanted);
  if (asking === undefined) {
    asking = commitByApi(context, wanted);
    context.commits.set(wanted, asking);
  }
  const commit = await asking;
  if (commit !== null) {
    const found = await withRetries(
      `${cached.repo}/${name}`,
      (signal) =>
        pathsInfo({
          repo: { type: "dataset", name: cached.repo },
          paths: [name],
          revision: commit,
          hubUrl: environment.endpoint,
          ...(environment.token ? { accessToken: environment.token } : {}),
          fetch: apiFetch(cached.repo, environment.token, signal),
        }),
      { ...context.tuning, signal: context.signal },
    );
    const info = found.find((item) => item.path === name && item.type === "file");
    if (!info)
      throw new HubError(
        "not-found",
        `${cached.repo} has no file "${name}" at revision ${wanted} (${commit}). Check the name, the config and the revision.`,
      );
    const hash = blobNameOf(info.lfs?.oid.replace(/^sha256:/, "") ?? info.oid ?? null);
    return { url: resolveUrl(context, commit, name), commit, plain: false, size: info.size, etag: hash, hash };
  }
  // No API here. A pinned commit, if any, is still asked for by name: the plain server ignores it, a real one honours it.
  const url = resolveUrl(context, wanted, name);
  return withRetries(
    `${cached.repo}/${name}`,
    async (signal) => {
      let head: Headers | null = null;
      // The headers of the first answer count, not those of the storage it redirects to.
      const keep = (_: URL, response: Response): boolean => {
        head ??= response.headers;
        return true;
      };
      let response = await request(url, { method: "HEAD", token: environment.token }, signal, keep);
      if (response.status === 405 || response.status === 501) {
        response = await request(url, { headers: { range: "bytes=0-0" }, token: environment.token }, signal, keep);
        await response.body?.cancel();
      }
      if (!response.ok) refuse(response, `${cached.repo}/${name}`, environment.token);
      const first: Headers = head ?? response.headers;
      const named = first.get("x-repo-commit");
      if (named !== null && !isCommit(named))
        throw new HubError(
          "bad-name",
          `${url}: the server names the revision ${JSON.stringify(named)}, which is no commit.`,
        );
      const etag = first.get("x-linked-etag") ?? response.headers.get("etag");
      return {
        url: named === null ? url : resolveUrl(context, named, name),
        commit: named ?? standIn(context),
        plain: named === null,
        size: sizeFrom(first, response),
        etag,
        hash: blobNameOf(etag),
      };
    },
    { ...context.tuning, signal: context.signal },
  );
}

/** The commit behind a revision, by the hub's API; null where the server has no API. */
async function commitByApi(context: Context, revision: string): Promise<string | null> {
  const { environment, cached } = context;
  try {
    const info = await withRetries(
      cached.repo,
      (signal) =>
        datasetInfo({
          name: cached.repo,
          revision,
          additionalFields: ["sha"],
          hubUrl: environment.endpoint,
          ...(environment.token ? { accessToken: environment.token } : {}),
          fetch: apiFetch(cached.repo, environment.token, signal),
        }),
      { ...context.tuning, signal: context.signal },
    );
    const { sha } = info as { sha?: unknown };
    if (typeof sha === "string" && isCommit(sha)) return sha;
    throw new HubError(
      "bad-name",
      `${environment.endpoint}: the hub's API names no commit for ${cached.repo}@${revision} (${JSON.stringify(sha)}).`,
    );
  } catch (error) {
    // 404 may mean "no such repository" or "no API"; the resolve path tells which. HTML instead of JSON: no API either.
    if (error instanceof HubError && error.code === "not-found") return null;
    if (error instanceof HubError && error.cause instanceof SyntaxError) return null;
    throw error;
  }
}

/** `fetch` for the hub's library: statuses become our errors, so that they are retried and named alike. */
function apiFetch(repo: string, token: string | null, signal: AbortSignal): typeof fetch {
  const asked = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await fetch(input, { ...init, signal });
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status === 405 || response.status === 501)
      throw new HubError("not-found", `${repo}: the server has no API (${response.status}).`);
    return refuse(response, repo, token);
  };
  return asked as typeof fetch;
}

/** The end of every way: checks the pin, or makes it. */
async function settle(
  context: Context,
  name: string,
  path: string,
  commit: string,
  plain: boolean,
  pin: Pin | undefined,
  downloaded: boolean,
): Promise<HubFile> {
  const { environment, cached, revision } = context;
  const label = `${cached.repo}/${name}`;
  const size = Bun.file(path).size;
  const behind = blobNameOf(await blobNameBehind(path));
  const sha256 = behind?.length === 64 ? behind : (await hashFile(path, size)).sha256;
  if (pin && (pin.size !== size || pin.sha256 !== sha256))
    throw new HubError(
      "changed",
      `${label}: pinned as ${pin.size} bytes, sha256 ${pin.sha256}, but this file has ${size} bytes, sha256 ${sha256}. ` +
        `If the change is wanted, delete its entry in ${plain ? mirrorLock(environment) : environment.lockFile}; if not, delete ${path} and load again.`,
    );
  if (plain) {
    const official = (await readPins(environment.lockFile))[pinKey(cached.repo, revision, name)];
    if (official && official.sha256 !== sha256)
      context.onWarning?.({
        code: "lock",
        message: `${label} from the mirror ${environment.endpoint} is not the file that datasets/lock.json pins (sha256 ${sha256}, pinned ${official.sha256}).`,
      });
  }
  if (!pin) {
    const file = plain ? mirrorLock(environment) : environment.lockFile;
    const key = pinKey(cached.repo, revision, name, plain ? environment.endpoint : undefined);
    await writePins(file, { [key]: { revision: plain ? null : commit, size, sha256 } }).catch((error) => {
      context.onWarning?.({ code: "lock", message: `${label} could not be pinned in ${file}: ${messageOf(error)}` });
    });
  }
  return { name, path, revision: plain ? null : commit, sha256, downloaded };
}

/** What the cache has, when the network may not or cannot be asked. */
async function fromCache(
  context: Context,
  name: string,
  pin: Pin | undefined,
  reason: string,
  cause?: Error,
): Promise<HubFile> {
  const { cached, revision, environment } = context;
  const commits = [pin?.revision, await readRef(cached, revision), standIn(context)];
  let path: string | null = null;
  for (const commit of commits) if (commit && path === null) path = await findInSnapshot(cached, commit, name);
  path ??= pin?.revision ? null : await findInAnySnapshot(cached, name);
  if (path === null)
    throw new HubError(
      cause ? "unavailable" : "offline",
      `${cached.repo}/${name} is not in the cache ${environment.hubCache}, and the hub cannot be asked: ${reason}`,
      cause ? { cause } : undefined,
    );
  if (cause)
    context.onWarning?.({ code: "cached", message: `${cached.repo}/${name}: using the cached copy. ${reason}` });
  const size = Bun.file(path).size;
  const behind = blobNameOf(await blobNameBehind(path));
  const sha256 = behind?.length === 64 ? behind : (await hashFile(path, size)).sha256;
  if (pin && pin.sha256 !== sha256)
    throw new HubError(
      "changed",
      `${path}: pinned as sha256 ${pin.sha256}, but the cached file has ${sha256}. Delete it and load again online.`,
    );
  return { name, path, revision: pin?.revision ?? null, sha256, downloaded: false };
}

async function remember(context: Context, promised: Promised): Promise<void> {
  const { cached, revision } = context;
  // A mirror's stand-in must not hide the commit that a real hub gave.
  if (promised.plain && (await readRef(cached, revision)) !== null) return;
  if (!context.update && isCommit(revision)) return;
  await writeRef(cached, revision, promised.commit);
}

function resolveUrl(context: Context, revision: string, name: string): string {
  const path = name.split("/").map(encodeURIComponent).join("/");
  return `${context.environment.endpoint}/datasets/${context.cached.repo}/resolve/${encodeURIComponent(revision)}/${path}`;
}

/** A commit-like name for a server without commits, the same for the same server, repository and revision. */
function standIn(context: Context): string {
  const { environment, cached, revision } = context;
  return createHash("sha1").update(`${environment.endpoint}\n${cached.repo}\n${revision}`).digest("hex");
}

function urlName(url: string): string {
  return `url-${createHash("sha256").update(url).digest("hex").slice(0, 40)}`;
}

function mirrorLock(environment: Environment): string {
  return join(environment.cache, "mirrors.lock.json");
}

function sizeFrom(first: Headers, last: Response): number | null {
  const linked = first.get("x-linked-size");
  if (linked !== null && /^\d+$/.test(linked)) return Number(linked);
  const range = /\/(\d+)$/.exec(last.headers.get("content-range") ?? "");
  if (range) return Number(range[1]);
  const length = last.headers.get("content-length");
  return last.status !== 206 && length !== null && /^\d+$/.test(length) ? Number(length) : null;
}
