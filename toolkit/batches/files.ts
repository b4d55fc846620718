// Writing files so that a reader never meets half of one, and locks between processes. Not about their contents.
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

let counter = 0;

/** A name beside `path` that no other writer uses. */
export function temporaryName(path: string): string {
  return `${path}.${process.pid}.${Date.now().toString(36)}.${counter++}.tmp`;
}

/** Writes `path` whole or not at all. */
export async function writeAtomically(path: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Deletes what killed writers of `path` left beside it. Only for the holder of its lock: a living writer's file would go too. */
export async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  const prefix = `${basename(path)}.`;
  for (const name of await readdir(folder).catch(() => []))
    if (name.startsWith(prefix) && name.endsWith(".tmp")) await rm(join(folder, name), { force: true });
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once when another process holds the lock. */
  readonly onWait?: (() => void) | undefined;
  /** A lock whose holder has not touched it for so long is taken over. */
  readonly staleMs?: number;
  readonly pollMs?: number;
}

/**
 * Runs `work` while holding `<path>.lock`: other processes (and other calls in this one) wait. The holder's process id
 * is in the file and its time is refreshed, so that a killed holder's lock is taken over.
 */
export async function withLock<T>(path: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  const lock = `${path}.lock`;
  const { staleMs = 30_000, pollMs = 50 } = options;
  await mkdir(dirname(lock), { recursive: true });
  const identity = `${hostname()} ${process.pid} ${counter++}`;
  let told = false;
  while (!(await take(lock, identity))) {
    options.signal?.throwIfAborted();
    if (await isStale(lock, staleMs)) {
      // Two waiters may see the same stale lock: renaming picks one of them, and only a lock that is still stale goes.
      const aside = temporaryName(lock);
      if (await renamed(lock, aside)) {
        if (!(await isStale(aside, staleMs))) await renamed(aside, lock);
        await rm(aside, { force: true });
      }
      continue;
    }
    if (!told) {
      told = true;
      options.onWait?.();
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  const heartbeat = setInterval(() => void utimes(lock, new Date(), new Date()).catch(() => undefined), staleMs / 4);
  heartbeat.unref?.();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    // Only our own: after a takeover the file is another's.
    if ((await readFile(lock, "utf8").catch(() => "")) === identity) await rm(lock, { force: true });
  }
}

async function take(lock: string, identity: string): Promise<boolean> {
  try {
    const file = await open(lock, "wx");
    try {
      await file.writeFile(identity);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "EEXIST") return false;
    throw error;
  }
}

async function isStale(lock: string, staleMs: number): Promise<boolean> {
  const info = await stat(lock).catch(() => null);
  if (info === null) return false;
  const age = Date.now() - info.mtimeMs;
  const [host, pid] = (await readFile(lock, "utf8").catch(() => "")).split(" ");
  if (host !== hostname() || pid === undefined || !/^\d+$/.test(pid)) return age > staleMs;
  try {
    process.kill(Number(pid), 0);
    // Alive, though perhaps too busy to touch its lock; after very long it is another process of the same number.
    return age > staleMs * 120;
  } catch (error) {
    // EPERM: alive, but another user's.
    return (error as { code?: string }).code === "ESRCH";
  }
}

async function renamed(from: string, to: string): Promise<boolean> {
  return rename(from, to).then(
    () => true,
    () => false,
  );
}
