// The errors of this room beside the catalogue's DataError: what can go wrong between the hub and the disk. Each says
// what was expected, what came and what to do.
import { DataError } from "#datasets/errors.ts";

export { DataError };

export type HubErrorCode =
  | "not-found" // 404: no such repository, revision or file
  | "no-access" // 401, 403: gated or private
  | "unavailable" // the network or the server failed until the retries ended
  | "offline" // offline, and not in the cache
  | "changed" // size, hash or ETag differ from what was promised or pinned
  | "bad-name" // a name that would leave the cache folder
  | "refused"; // any other status

/** A file that could not be had from the hub. */
export class HubError extends DataError {
  override readonly name = "HubError";
  readonly code: HubErrorCode;
  constructor(code: HubErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Where in a file a value is wrong. */
export interface Place {
  readonly file: string;
  /** From 0, as in the file; shown as such. */
  readonly row?: number;
  readonly column?: string;
}

/** "file, row 12, column label: message". */
export function dataError(place: Place, message: string, options?: ErrorOptions): DataError {
  const where = [
    place.file,
    ...(place.row === undefined ? [] : [`row ${place.row} (counted from 0)`]),
    ...(place.column === undefined ? [] : [`column "${place.column}"`]),
  ].join(", ");
  return new DataError(`${where}: ${message}`, options);
}

/** Something the run log should keep: the load went on, but not as expected. */
export interface DataWarning {
  readonly code: "row-count" | "cached" | "lock" | "variant";
  readonly message: string;
}

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
