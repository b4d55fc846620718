// Whether the files in the cache are still those that were pinned: every byte is read again. Nothing is downloaded.
import { hashFile } from "./download.ts";
import { type Environment, readEnvironment } from "./environment.ts";
import { cachedRepo, findInSnapshot } from "./hub-cache.ts";
import { type Pin, readPins } from "./pins.ts";

export interface Verified {
  /** `owner/name@revision:path`. */
  readonly key: string;
  readonly pin: Pin;
  /** `absent`: not in this machine's cache, which is no fault. */
  readonly state: "whole" | "absent" | "changed";
  readonly path: string | null;
  /** What came instead, where changed. */
  readonly found?: string;
}

/** Checks every pin of datasets/lock.json against the cache. @throws DataError where the lock cannot be read. */
export async function verifyPins(environment: Environment = readEnvironment()): Promise<Verified[]> {
  const results: Verified[] = [];
  for (const [key, pin] of Object.entries(await readPins(environment.lockFile))) {
    const match = /^([^@ ]+)@[^:]*:(.+)$/.exec(key);
    const path =
      match && pin.revision !== null
        ? await findInSnapshot(cachedRepo(environment.hubCache, match[1]!), pin.revision, match[2]!)
        : null;
    if (path === null) {
      results.push({ key, pin, state: "absent", path });
      continue;
    }
    const { size } = Bun.file(path);
    const { sha256 } = await hashFile(path, size);
    if (sha256 === pin.sha256) results.push({ key, pin, state: "whole", path });
    else results.push({ key, pin, state: "changed", path, found: `${size} bytes, sha256 ${sha256}` });
  }
  return results;
}
