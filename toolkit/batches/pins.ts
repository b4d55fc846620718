// datasets/lock.json: revision, size and hash of every hub file that a load has used, so that the next load, here or
// elsewhere, gets the same bytes or says that it does not. Written by the first successful load; reviewed like code.
import { readFile } from "node:fs/promises";
import { DataError, messageOf } from "./errors.ts";
import { withLock, writeAtomically } from "./files.ts";

export interface Pin {
  /** The hub's commit; null where the server has no commits (a plain mirror). */
  readonly revision: string | null;
  readonly size: number;
  readonly sha256: string;
  /** Of a plain mirror: the ETag or date by which its file is known again. */
  readonly validator?: string;
}

export type Pins = Readonly<Record<string, Pin>>;

/** How a file is named in the lock: `owner/name@revision:path`, with the server in front where it is a plain mirror. */
export function pinKey(repo: string, revision: string, path: string, mirror?: string): string {
  return `${mirror ? `${mirror} ` : ""}${repo}@${revision}:${path}`;
}

/** @throws DataError where the file is there but is not a lock. */
export async function readPins(lockFile: string): Promise<Pins> {
  const text = await readFile(lockFile, "utf8").catch((error: { code?: string }) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error;
  });
  if (text === null) return {};
  try {
    const json: unknown = JSON.parse(text);
    const files = (json as { files?: unknown } | null)?.files;
    if (typeof files !== "object" || files === null) throw new Error('no "files" in it');
    for (const [key, pin] of Object.entries(files)) if (!isPin(pin)) throw new Error(`the entry "${key}" is no pin`);
    return files as Pins;
  } catch (cause) {
    throw new DataError(`${lockFile} is not a lock of data files: ${messageOf(cause)}. Restore it, or delete it.`, {
      cause,
    });
  }
}

/** Adds or replaces pins; entries of other files stay. Keys are sorted, so that changes read well. */
export async function writePins(lockFile: string, added: Pins): Promise<void> {
  await withLock(lockFile, async () => {
    const files = { ...(await readPins(lockFile)), ...added };
    const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
    await writeAtomically(lockFile, `${JSON.stringify({ version: 1, files: sorted }, null, 2)}\n`);
  });
}

function isPin(value: unknown): value is Pin {
  const pin = value as Partial<Pin> | null;
  return (
    typeof pin === "object" &&
    pin !== null &&
    (pin.revision === null || (typeof pin.revision === "string" && /^[0-9a-f]{40,64}$/.test(pin.revision))) &&
    Number.isSafeInteger(pin.size) &&
    typeof pin.sha256 === "string" &&
    /^[0-9a-f]{64}$/.test(pin.sha256)
  );
}
