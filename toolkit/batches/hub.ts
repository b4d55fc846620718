// Files of a hub repository, on disk: from the cache where it has them, else downloaded into it, pinned by revision,
// size and hash. Decides what to fetch; what the server is asked is hub-api.ts, how bytes travel download.ts, where they
// lie hub-cache.ts.
import { createHash } from "node:crypto";
import { mkdir, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ChangedError, type DownloadOptions, type DownloadProgress, download, hashFile } from "./download.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { type DataWarning, HubError, messageOf } from "./errors.ts";
import { withLock } from "./files.ts";
import { type Asked, commitOf, filesIn, type Promised, promiseByApi, promiseByHeaders, standIn } from "./hub-api.ts";
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
  listSnapshot,
  readRef,
  writeRef,
} from "./hub-cache.ts";
import { type Pin, pinKey, readPins, writePins } from "./pins.ts";

export interface HubOptions {
  /** What the repository holds; default `datasets`. Files of models are not pinned: a run records their hashes. */
  readonly kind?: "datasets" | "models";
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

/**
 * The files `names` of a repository.
 * @throws HubError naming the file, what happened and what to do.
 */
export async function hubFiles(repo: string, names: readonly string[], options: HubOptions = {}): Promise<HubFile[]> {
  const context = contextOf(repo, options);
  const results: HubFile[] = new Array(names.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < names.length; i = next++) results[i] = await hubFile(context, names[i]!);
  };
  // All settle before the first failure is thrown: no download goes on behind the caller's back.
  const workers = Array.from({ length: Math.min(options.parallel ?? 4, names.length) }, worker);
  const failed = (await Promise.allSettled(workers)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  await pinAll(context);
  return results;
}

/**
 * The files that make one split: `0000.parquet` of the converted branch stands for all numbered files beside it, and
 * `…-00000-of-00003.parquet` for the three.
 */
export async function hubShards(repo: string, name: string, options: HubOptions = {}): Promise<string[]> {
  const counted = /^(.*-)00000-of-(\d{5})(\.parquet)$/.exec(name);
  if (counted)
    return Array.from(
      { length: Number(counted[2]) },
      (_, i) => `${counted[1]}${String(i).padStart(5, "0")}-of-${counted[2]}${counted[3]}`,
    );
  const numbered = /^(.*)\/0000\.parquet$/.exec(name);
  if (!numbered) return [name];
  const folder = numbered[1]!;
  const isShard = (path: string): boolean =>
    path.startsWith(`${folder}/`) && /^\d{4}\.parquet$/.test(path.slice(folder.length + 1));
  const context = contextOf(repo, options);
  const { environment, cached, revision } = context;
  inside(cached.folder, name);
  if (!context.update) {
    // All shards of a split are pinned together, so those that are pinned are all there are.
    const prefix = pinKey(pinnedName(cached), revision, "");
    const pinned = Object.keys(await readPins(environment.lockFile)).flatMap((key) =>
      key.startsWith(prefix) && isShard(key.slice(prefix.length)) ? [key.slice(prefix.length)] : [],
    );
    if (pinned.includes(name)) return pinned.sort();
  }
  if (environment.offline) {
    const commit = await readRef(cached, revision);
    const beside = commit === null ? [] : await listSnapshot(cached, commit, folder);
    return beside.includes(name) ? beside.filter(isShard).sort() : [name];
  }
  const commit = await commitAt(context, revision).catch((error) => {
    // Without a network the cache decides, and says so, when the files are asked for.
    if (error instanceof HubError && error.code === "unavailable") return null;
    throw error;
  });
  if (commit === null) return [name];
  const shards = (await filesIn(asking(context), commit, folder)).filter(isShard);
  return shards.includes(name) ? shards : [name];
}

interface Context extends HubOptions {
  readonly environment: Environment;
  readonly revision: string;
  readonly cached: CachedRepo;
  /** Commits asked for during this call, so that all files come from one. */
  readonly commits: Map<string, Promise<string | null>>;
  /** Pins to be written when every file of the call is there: by lock file, then key. */
  readonly pins: Map<string, Record<string, Pin>>;
}

function contextOf(repo: string, options: HubOptions): Context {
  const environment = options.environment ?? readEnvironment();
  return {
    ...options,
    environment,
    revision: options.revision ?? "main",
    cached: cachedRepo(environment.hubCache, repo, options.kind),
    commits: new Map(),
    pins: new Map(),
  };
}

function asking(context: Context): Asked {
  const { environment, cached, signal, tuning } = context;
  return {
    endpoint: environment.endpoint,
    token: environment.token,
    kind: cached.kind,
    repo: cached.repo,
    signal,
    tuning,
  };
}

/** A model and a dataset may bear one name. */
function pinnedName({ kind, repo }: CachedRepo): string {
  return kind === "models" ? `models/${repo}` : repo;
}

function commitAt(context: Context, revision: string): Promise<string | null> {
  let commit = context.commits.get(revision);
  if (commit === undefined) {
    commit = commitOf(asking(context), revision);
    context.commits.set(revision, commit);
  }
  return commit;
}

/** Asks the server what the file is now (or at its pinned revision). */
async function ask(context: Context, name: string, pin: Pin | undefined): Promise<Promised> {
  const wanted = pin?.revision ?? context.revision;
  const commit = await commitAt(context, wanted);
  if (commit !== null) return promiseByApi(asking(context), wanted, commit, name);
  // No API here. A pinned commit is asked for by name all the same: a plain server serves it too, a real one honours it.
  const promised = await promiseByHeaders(asking(context), wanted, name);
  return promised.plain ? { ...promised, commit: standInOf(context) } : promised;
}

function standInOf({ environment, cached, revision }: Context): string {
  return standIn({ endpoint: environment.endpoint, repo: cached.repo }, revision);
}

async function hubFile(context: Context, name: string): Promise<HubFile> {
  const { environment, cached, revision } = context;
  const label = `${cached.repo}/${name}`;
  inside(cached.folder, name);
  inside(cached.folder, revision);
  const pin = context.update
    ? undefined
    : (await readPins(environment.lockFile))[pinKey(pinnedName(cached), revision, name)];

  // A pin, or a commit asked for by name, needs no network where the cache has it.
  const known = pin?.revision ?? (isCommit(revision) ? revision : null);
  if (known !== null) {
    const path = await findInSnapshot(cached, known, name);
    if (path !== null) return settle(context, name, path, { commit: known, plain: false, validator: null }, pin, false);
  }
  if (environment.offline) return fromCache(context, name, pin, "offline (BUNSEN_OFFLINE, HF_HUB_OFFLINE)");

  try {
    const promised = await ask(context, name, pin);
    const present = await freshCopy(context, name, promised);
    if (present !== null) {
      await remember(context, promised, pin);
      return await settle(context, name, present, promised, pin, false);
    }
    const lock = join(environment.hubCache, ".locks", basename(cached.folder), urlName(promised.url));
    return await withLock(
      lock,
      async () => {
        const meanwhile = await freshCopy(context, name, promised);
        if (meanwhile !== null) return settle(context, name, meanwhile, promised, pin, false);
        const fetched = await fetchInto(context, name, promised, pin);
        return settle(context, name, fetched.path, fetched.promised, pin, true);
      },
      { signal: context.signal },
    );
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== "unavailable") throw error;
    return fromCache(context, name, pin, error.message, error);
  }

  async function fetchInto(
    context: Context,
    name: string,
    first: Promised,
    pin: Pin | undefined,
  ): Promise<{ path: string; promised: Promised }> {
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
          await remember(context, promised, pin);
          return { path, promised };
        }
        const path = await linkSnapshot(cached, promised.commit, name, target);
        await remember(context, promised, pin);
        return { path, promised };
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

/** The cache's copy of what the server promises. A plain mirror's file may have changed under the same address. */
async function freshCopy(context: Context, name: string, promised: Promised): Promise<string | null> {
  const { environment, cached, revision } = context;
  const path = await findInSnapshot(cached, promised.commit, name);
  if (path === null || !promised.plain) return path;
  const known = (await readPins(mirrorLock(environment)))[
    pinKey(pinnedName(cached), revision, name, environment.endpoint)
  ];
  if (!known || context.update) return null;
  const same = (promised.size ?? known.size) === known.size && promised.validator === (known.validator ?? null);
  return same ? path : null;
}

/** The end of every way: checks the pin, or makes it. */
async function settle(
  context: Context,
  name: string,
  path: string,
  from: Pick<Promised, "commit" | "plain" | "validator">,
  pin: Pin | undefined,
  downloaded: boolean,
): Promise<HubFile> {
  const { environment, cached, revision } = context;
  const label = `${cached.repo}/${name}`;
  const size = Bun.file(path).size;
  const sha256 = await hashOf(path, size);
  const note = (file: string, key: string, added: Pin): void => {
    context.pins.set(file, { ...context.pins.get(file), [key]: added });
  };
  if (from.plain) {
    const file = mirrorLock(environment);
    const key = pinKey(pinnedName(cached), revision, name, environment.endpoint);
    const before = (await readPins(file))[key];
    const warn = (message: string): void => context.onWarning?.({ code: "lock", message });
    const mirror = `${label} from the mirror ${environment.endpoint}`;
    if (before && before.sha256 !== sha256)
      warn(`${mirror} is not what it was (sha256 ${sha256}, before ${before.sha256}).`);
    if (pin && pin.sha256 !== sha256)
      warn(`${mirror} is not the file that datasets/lock.json pins (sha256 ${sha256}, pinned ${pin.sha256}).`);
    if (downloaded || before?.sha256 !== sha256)
      note(file, key, { revision: null, size, sha256, ...(from.validator ? { validator: from.validator } : {}) });
    return { name, path, revision: null, sha256, downloaded };
  }
  if (pin && (pin.size !== size || pin.sha256 !== sha256))
    throw new HubError(
      "changed",
      `${label}: pinned as ${pin.size} bytes, sha256 ${pin.sha256}, but this file has ${size} bytes, sha256 ${sha256}. ` +
        `If the change is wanted, delete its entry in ${environment.lockFile}; if not, delete ${path} and load again.`,
    );
  if (!pin && cached.kind === "datasets")
    note(environment.lockFile, pinKey(pinnedName(cached), revision, name), { revision: from.commit, size, sha256 });
  return { name, path, revision: from.commit, sha256, downloaded };
}

/** A cached file's sha256: its blob's name, where that is one, else of its bytes. */
async function hashOf(path: string, size: number): Promise<string> {
  const behind = blobNameOf(await blobNameBehind(path));
  return behind?.length === 64 ? behind : (await hashFile(path, size)).sha256;
}

/** Writes the pins of a call whose files are all there; a lock that cannot be written does not spoil the load. */
async function pinAll(context: Context): Promise<void> {
  for (const [file, pins] of context.pins)
    await writePins(file, pins).catch((error) => {
      const names = Object.keys(pins).join(", ");
      context.onWarning?.({ code: "lock", message: `${names} could not be pinned in ${file}: ${messageOf(error)}` });
    });
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
  const commits = [pin?.revision, await readRef(cached, revision), standInOf(context)];
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
  const sha256 = await hashOf(path, Bun.file(path).size);
  if (pin && pin.sha256 !== sha256)
    throw new HubError(
      "changed",
      `${path}: pinned as sha256 ${pin.sha256}, but the cached file has ${sha256}. Delete it and load again online.`,
    );
  return { name, path, revision: pin?.revision ?? null, sha256, downloaded: false };
}

/** Notes which commit the branch stands at, for offline days and for Python. */
async function remember(context: Context, promised: Promised, pin: Pin | undefined): Promise<void> {
  const { cached, revision } = context;
  // Neither a mirror's stand-in nor an older, pinned commit may hide the one that the hub gave last.
  if ((promised.plain || pin) && (await readRef(cached, revision)) !== null) return;
  if (!context.update && isCommit(revision)) return;
  await writeRef(cached, revision, promised.commit);
}

function urlName(url: string): string {
  return `url-${createHash("sha256").update(url).digest("hex").slice(0, 40)}`;
}

function mirrorLock(environment: Environment): string {
  return join(environment.cache, "mirrors.lock.json");
}
