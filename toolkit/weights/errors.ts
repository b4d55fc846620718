// The errors of this room: a weight file or model folder that cannot be used, and a file that the disk refuses, each
// told with what was expected, what came and what to do. Not for programming mistakes, which stay plain errors.
import { dirname } from "node:path";

export class WeightsError extends Error {
  override readonly name = "WeightsError";
}

/** A file or folder that could not be written. What was there before stays. */
export class WriteError extends Error {
  override readonly name = "WriteError";
  readonly path: string;
  /** What is wrong, for a longer sentence: the path, how much was to be written, the disk's reason. */
  readonly problem: string;
  /** What to do, as an imperative without a full stop. */
  readonly advice: string;

  /** @param bytes how much was to be written; null for a folder */
  constructor(path: string, bytes: number | null, cause: unknown) {
    const { reason, advice } = explain(path, bytes, cause);
    const what =
      bytes === null ? `the folder ${path} could not be made` : `${path} (${sizeText(bytes)}) could not be written`;
    const problem = `${what}: ${reason}`;
    super(`${problem}. ${advice}.`, { cause });
    this.path = path;
    this.problem = problem;
    this.advice = advice;
  }
}

/** `1 byte`, `812 bytes`, `3.4 KiB`, `12.0 MiB` … */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  const unit = Math.min(3, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** unit).toFixed(1)} ${["", "KiB", "MiB", "GiB"][unit]}`;
}

function explain(path: string, bytes: number | null, cause: unknown): { reason: string; advice: string } {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const room = bytes === null ? "Make room" : `Make room for at least ${sizeText(bytes)}`;
  switch (code) {
    case "ENOSPC":
      return { reason: "no room is left on its disk (ENOSPC)", advice: `${room} on the disk of ${dirname(path)}` };
    case "EDQUOT":
      return {
        reason: "your quota of its disk is used up (EDQUOT)",
        advice: `${room} within the quota, or have it raised`,
      };
    case "EFBIG":
      return {
        reason: "the file would be longer than is allowed (EFBIG)",
        advice: "Raise the limit of a file's length (ulimit -f), or name a folder elsewhere",
      };
    case "EACCES":
    case "EPERM":
      return {
        reason: `this user may not write there (${code})`,
        advice: `Get permission to write in ${dirname(path)}, or name a folder elsewhere`,
      };
    case "EROFS":
      return {
        reason: "its file system is read-only (EROFS)",
        advice: "Mount it writable, or name a folder elsewhere",
      };
    case "ENOENT":
    case "ENOTDIR":
      return {
        reason: `${dirname(path)} is missing or no folder (${code})`,
        advice: "Mend that path, or name a folder elsewhere",
      };
    default:
      return { reason: message, advice: "Mend the folder or its disk" };
  }
}
