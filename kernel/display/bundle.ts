// What a value becomes before it is shown: a bundle of representations by MIME type. Here are the types and the
// checks that keep a bundle valid (MIME names, base64 for bytes, JSON for JSON types). No formatter is here.

/** Representations by MIME type: text as strings, JSON types as JSON values, images as base64. */
export type MimeBundle = Record<string, unknown>;

/** Jupyter's `data` and `metadata`. */
export interface Bundle {
  readonly data: MimeBundle;
  readonly metadata: Record<string, unknown>;
}

/** One row of the table in format.ts. `matches` may be called with anything, and may throw: that means no. */
export interface Formatter {
  readonly name: string;
  /**
   * Whether `format` calls what the user wrote: then what it throws is the user's to see. What others throw means that the
   * value only looked like theirs.
   */
  readonly runsUserCode: boolean;
  matches(value: object): boolean;
  /** Null: "not mine after all", the next formatter is asked. */
  format(value: object): Bundle | null | Promise<Bundle | null>;
}

const mimeName = /^[\w\-+.]+\/[\w\-+.]+$/;

/** True for types whose content is a JSON value rather than text. */
export function isJsonMime(mime: string): boolean {
  // Altair's own type for Vega-Lite ends in ".json".
  return mime === "application/json" || /[+.]json$/.test(mime);
}

/**
 * Makes what user code returned safe to send: bytes become base64, JSON types are checked to be JSON, all else text.
 *
 * @throws {TypeError} for a name that is not a MIME type, or a JSON type whose value JSON cannot hold.
 */
export function normaliseData(data: Readonly<Record<string, unknown>>): MimeBundle {
  const result: MimeBundle = {};
  for (const [mime, value] of Object.entries(data)) {
    if (!mimeName.test(mime)) {
      throw new TypeError(
        `A display bundle has the key ${JSON.stringify(mime)}; expected MIME types such as "text/html" or "image/png".`,
      );
    }
    if (value === undefined || value === null) continue;
    result[mime] = normaliseValue(mime, value);
  }
  return result;
}

function normaliseValue(mime: string, value: unknown): unknown {
  const bytes = asBytes(value);
  if (bytes !== null) {
    return mime.startsWith("text/") || mime === "image/svg+xml" ? new TextDecoder().decode(bytes) : toBase64(bytes);
  }
  if (isJsonMime(mime)) return toJson(mime, value);
  if (typeof value === "string") return value;
  // Notebook files store long text as a list of lines.
  if (Array.isArray(value) && value.every((line) => typeof line === "string")) return value.join("");
  return String(value);
}

/** The bytes of a buffer or a view, without a copy; null for anything else. */
export function asBytes(value: unknown): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return null;
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** A JSON copy: what the front end receives is what was true at this moment, whatever user code changes later. */
function toJson(mime: string, value: unknown): unknown {
  try {
    const text = JSON.stringify(value, (_key, item: unknown) =>
      typeof item === "bigint" ? (Number.isSafeInteger(Number(item)) ? Number(item) : item.toString()) : item,
    );
    if (text === undefined) throw new TypeError(`${typeof value} is no JSON value`);
    return JSON.parse(text);
  } catch (cause) {
    throw new TypeError(`The value for ${mime} cannot be written as JSON: ${(cause as Error).message}`, { cause });
  }
}
