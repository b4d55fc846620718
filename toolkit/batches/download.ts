// One file over HTTP to disk: streamed, resumed by range, checked by size, ETag and hash, retried with growing waits
// that honour Retry-After. It knows nothing of hubs, repositories or caches.
import { appendFile, open, readFile, rename, rm, stat } from "node:fs/promises";
import { HubError, messageOf } from "./errors.ts";
import { writeAtomically } from "./files.ts";

export interface DownloadProgress {
  readonly file: string;
  readonly received: number;
  /** Bytes of the whole file; null where the server does not say. */
  readonly total: number | null;
  readonly bytesPerSecond: number;
  readonly secondsLeft: number | null;
  /** Set when this event says that a try failed and another follows. */
  readonly retry?: { readonly attempt: number; readonly waitMs: number; readonly reason: string };
}

export interface DownloadOptions {
  readonly token?: string | null;
  /** Name for messages and progress. */
  readonly label: string;
  /** What the file must be; unknown where null. */
  readonly size?: number | null;
  /** sha256 of the content (64 hex digits) or git's blob sha1 (40). */
  readonly hash?: string | null;
  /** ETag promised for the content: a response with another one is a changed file. */
  readonly etag?: string | null;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Tries without one new byte before giving up; default 6. */
  readonly attempts?: number;
  /** First wait; doubled each time, with jitter; default 500 ms. */
  readonly backoffMs?: number;
  /** A connection without a byte for so long is cut; default 30 s. */
  readonly stallMs?: number;
  /** For tests: waits this long. */
  readonly wait?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface Downloaded {
  readonly size: number;
  readonly sha256: string;
}

/** The longest wait that a server's Retry-After is granted. */
const longestWaitMs = 300_000;

/** A failure that another try may mend. */
class Passing extends Error {
  override readonly name = "Passing";
  readonly waitMs: number | null;
  constructor(message: string, waitMs: number | null = null, options?: ErrorOptions) {
    super(message, options);
    this.waitMs = waitMs;
  }
}

/** The file on the server is not the one that was promised: start over with fresh promises. */
export class ChangedError extends Error {
  override readonly name = "ChangedError";
}

/**
 * Downloads `url` to `path`. While under way the bytes lie in `<path>.incomplete`; a later call goes on from there.
 * @throws HubError naming what happened; ChangedError where the server's file is another one than promised.
 */
export async function download(url: string, path: string, options: DownloadOptions): Promise<Downloaded> {
  const { attempts = 6, backoffMs = 500, wait = pause } = options;
  const partial = `${path}.incomplete`;
  let failures = 0;
  let corrupt = 0;
  for (;;) {
    options.signal?.throwIfAborted();
    const before = await sizeOf(partial);
    try {
      await receive(url, partial, options);
      const done = await check(partial, options);
      await rename(partial, path);
      await rm(validatorOf(partial), { force: true });
      return done;
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      options.signal?.throwIfAborted();
      if (error.message.startsWith(corruptPrefix)) {
        // A second complete download that is wrong is not an accident of the line.
        if (++corrupt >= 2) throw new HubError("changed", `${options.label}: ${error.message}`, { cause: error });
        failures = 0;
      } else failures = (await sizeOf(partial)) > before ? 1 : failures + 1;
      if (failures >= attempts)
        throw new HubError(
          "unavailable",
          `${options.label}: ${error.message} (after ${attempts} tries in a row). ` +
            "What came so far is kept; start again to go on, or set BUNSEN_OFFLINE=1 to use only the cache.",
          { cause: error },
        );
      const waitMs =
        error.waitMs ?? Math.min(longestWaitMs, backoffMs * 2 ** Math.max(0, failures - 1) * (0.5 + Math.random() / 2));
      options.onProgress?.({
        file: options.label,
        received: await sizeOf(partial),
        total: options.size ?? null,
        bytesPerSecond: 0,
        secondsLeft: null,
        retry: { attempt: failures, waitMs, reason: error.message },
      });
      await wait(waitMs, options.signal);
    }
  }
}

const corruptPrefix = "the downloaded content is wrong";

/** `fetch` for the hub: manual redirects (the token never leaves its origin), no decompression surprises, a stall limit. */
export async function request(
  url: string,
  init: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly token?: string | null | undefined;
  },
  signal: AbortSignal,
  follow: (location: URL, response: Response) => boolean = () => true,
): Promise<Response> {
  let target = new URL(url);
  const origin = target.origin;
  for (let hops = 0; hops < 10; hops++) {
    const response = await fetch(target, {
      method: init.method ?? "GET",
      redirect: "manual",
      signal,
      headers: {
        "accept-encoding": "identity",
        "user-agent": "bunsen",
        ...init.headers,
        ...(init.token && target.origin === origin ? { authorization: `Bearer ${init.token}` } : {}),
      },
    });
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    const next = new URL(location, target);
    if (next.protocol !== "https:" && next.protocol !== target.protocol)
      throw new HubError(
        "refused",
        `${url} redirects from ${target.protocol} to ${next.protocol}//${next.host}: refused.`,
      );
    if (!follow(next, response)) return response;
    await response.body?.cancel();
    target = next;
  }
  throw new HubError("refused", `${url} redirects in circles (10 times).`);
}

/** Throws for a status that is not a success: what may pass as Passing, what is final as HubError. */
export function refuse(response: Response, label: string, token: string | null | undefined): never {
  const { status } = response;
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    throw new Passing(`the server answered ${status} ${response.statusText}`.trim(), retryAfter(response.headers));
  if (status === 404 || status === 410)
    throw new HubError(
      "not-found",
      `${label}: the hub has no such file (${status} for ${response.url}). Check the name, the config and the revision.`,
    );
  if (status === 401 || status === 403)
    throw new HubError(
      "no-access",
      `${label}: the hub refuses access (${status}): it is private or gated, or there is none of this name. ` +
        `${token ? "The token given has no right to it" : "Set HF_TOKEN"}, or accept the terms on its page, or check the name.`,
    );
  throw new HubError("refused", `${label}: the server answered ${status} ${response.statusText} for ${response.url}.`);
}

/** Tries `ask` again on failures of the line or the server. Rethrows the last as HubError `unavailable`. */
export async function withRetries<T>(
  label: string,
  ask: (signal: AbortSignal) => Promise<T>,
  options: Pick<DownloadOptions, "attempts" | "backoffMs" | "stallMs" | "signal" | "wait">,
): Promise<T> {
  const { attempts = 4, backoffMs = 500, stallMs = 30_000, wait = pause } = options;
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted();
    const timer = AbortSignal.timeout(stallMs);
    try {
      return await ask(options.signal ? AbortSignal.any([options.signal, timer]) : timer);
    } catch (error) {
      if (error instanceof HubError || error instanceof ChangedError) throw error;
      options.signal?.throwIfAborted();
      if (error instanceof SyntaxError)
        throw new HubError("refused", `${label}: the server answered with something else than JSON.`, { cause: error });
      if (attempt >= attempts)
        throw new HubError("unavailable", `${label}: ${describe(error)} (after ${attempts} tries).`, { cause: error });
      await wait((error instanceof Passing ? error.waitMs : null) ?? backoffMs * 2 ** (attempt - 1), options.signal);
    }
  }
}

/** Milliseconds of a Retry-After header (seconds, or a date), at most five minutes; null where there is none. */
export function retryAfter(headers: Headers, now: number = Date.now()): number | null {
  const value = headers.get("retry-after")?.trim();
  if (!value) return null;
  const isDate = /^[A-Z][a-z]+,? /.test(value);
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1000 : isDate ? Date.parse(value) - now : Number.NaN;
  return Number.isFinite(milliseconds) ? Math.min(longestWaitMs, Math.max(0, milliseconds)) : null;
}

/** Streams what is missing into `partial`. */
async function receive(url: string, partial: string, options: DownloadOptions): Promise<void> {
  const { size = null, stallMs = 30_000, label } = options;
  let start = await sizeOf(partial);
  const validator = start > 0 ? await readFile(validatorOf(partial), "utf8").catch(() => "") : "";
  // Bytes of unknown origin, or too many: not worth keeping.
  if (start > 0 && (validator === "" || (size !== null && start > size))) {
    await rm(partial, { force: true });
    start = 0;
  }
  if (size !== null && start === size && start > 0) return;
  const stall = new AbortController();
  let timer = setTimeout(() => stall.abort(), stallMs);
  const signal = options.signal ? AbortSignal.any([options.signal, stall.signal]) : stall.signal;
  try {
    const response = await request(
      url,
      {
        token: options.token,
        headers: start > 0 ? { range: `bytes=${start}-`, ...(validator === "-" ? {} : { "if-range": validator }) } : {},
      },
      signal,
    );
    if (response.status === 416) {
      await rm(partial, { force: true });
      throw new Passing(`the server refused to go on from byte ${start}; starting anew`, 0);
    }
    if (!response.ok) {
      await response.body?.cancel();
      refuse(response, label, options.token);
    }
    const etag = response.headers.get("x-linked-etag") ?? response.headers.get("etag");
    if (
      options.etag &&
      etag &&
      bare(etag) !== bare(options.etag) &&
      isContentHash(bare(etag)) === isContentHash(bare(options.etag))
    ) {
      await rm(partial, { force: true });
      await response.body?.cancel();
      throw new ChangedError(`${label}: the file changed while it was fetched (ETag ${options.etag}, now ${etag}).`);
    }
    const resumed = response.status === 206;
    if (resumed && startOf(response.headers) !== start) {
      await rm(partial, { force: true });
      await response.body?.cancel();
      throw new Passing(`the server sent another range than asked for (${response.headers.get("content-range")})`);
    }
    if (!resumed) start = 0;
    const promised = totalOf(response, start);
    if (size !== null && promised !== null && promised !== size) {
      await rm(partial, { force: true });
      await response.body?.cancel();
      const message = `expected ${size} bytes, but the server now offers ${promised}`;
      // The very ETag that was promised: the length is a mistake of the server or of something on the way.
      if (options.etag && etag && bare(etag) === bare(options.etag)) throw new Passing(message);
      throw new ChangedError(`${label}: ${message}.`);
    }
    const total = size ?? promised;
    // Strong ETags and dates let a later call go on; a server with neither gives no way to know that the file is the same.
    await writeAtomically(validatorOf(partial), strongValidator(response.headers) ?? (options.hash ? "-" : ""));
    const file = await open(partial, resumed ? "a" : "w");
    const meter = speedometer(label, start, total, options.onProgress);
    let received = start;
    try {
      for await (const chunk of response.body ?? []) {
        clearTimeout(timer);
        timer = setTimeout(() => stall.abort(), stallMs);
        received += chunk.byteLength;
        if (total !== null && received > total) {
          await rm(partial, { force: true });
          throw new Passing(`the server sent more than the promised ${total} bytes`);
        }
        await file.write(chunk);
        meter(received);
      }
    } finally {
      await file.close();
    }
    if (total !== null && received < total)
      throw new Passing(`the connection ended after ${received} of ${total} bytes`);
    meter(received, true);
  } catch (error) {
    if (error instanceof Passing || error instanceof HubError || error instanceof ChangedError) throw error;
    options.signal?.throwIfAborted();
    throw new Passing(
      stall.signal.aborted ? `no byte came for ${stallMs / 1000} s` : `the connection failed: ${describe(error)}`,
      null,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Size and hash of what was received against what was promised. */
async function check(partial: string, options: DownloadOptions): Promise<Downloaded> {
  const { size = null, hash = null } = options;
  // An empty file has no chunk to create it.
  if (!(await Bun.file(partial).exists())) await appendFile(partial, "");
  const actual = await sizeOf(partial);
  const { sha256, gitSha1 } = await hashFile(partial, actual);
  if (size !== null && actual !== size) {
    await rm(partial, { force: true });
    throw new Passing(`${corruptPrefix}: ${actual} bytes instead of ${size}`, 0);
  }
  if (hash !== null) {
    const found = hash.length === 64 ? sha256 : gitSha1;
    if (found !== hash) {
      await rm(partial, { force: true });
      throw new Passing(`${corruptPrefix}: hash ${found} instead of ${hash}`, 0);
    }
  }
  return { size: actual, sha256 };
}

/** sha256 of a file, and the sha1 by which git names a blob, in one pass. */
export async function hashFile(path: string, size: number): Promise<{ sha256: string; gitSha1: string }> {
  const sha256 = new Bun.CryptoHasher("sha256");
  const sha1 = new Bun.CryptoHasher("sha1").update(`blob ${size}\0`);
  for await (const chunk of Bun.file(path).stream()) {
    sha256.update(chunk);
    sha1.update(chunk);
  }
  return { sha256: sha256.digest("hex"), gitSha1: sha1.digest("hex") };
}

function validatorOf(partial: string): string {
  return `${partial}.validator`;
}

function strongValidator(headers: Headers): string | null {
  const etag = headers.get("etag");
  if (etag !== null && !etag.startsWith("W/")) return etag;
  return headers.get("last-modified");
}

function startOf(headers: Headers): number | null {
  const match = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(headers.get("content-range") ?? "");
  return match ? Number(match[1]) : null;
}

/** Bytes of the whole file according to this response. */
function totalOf(response: Response, start: number): number | null {
  const range = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (range) return Number(range[1]);
  const length = response.headers.get("content-length");
  return length !== null && /^\d+$/.test(length) ? start + Number(length) : null;
}

function bare(etag: string): string {
  return etag.replace(/^W\//, "").replace(/^"|"$/g, "");
}

function isContentHash(text: string): boolean {
  return /^[0-9a-f]{40}$|^[0-9a-f]{64}$/.test(text);
}

/** Reports at most ten times a second, with the rate over the last seconds. */
function speedometer(
  file: string,
  start: number,
  total: number | null,
  report: ((progress: DownloadProgress) => void) | undefined,
): (received: number, last?: boolean) => void {
  const began = performance.now();
  let latest = Number.NEGATIVE_INFINITY;
  return (received, last = false) => {
    const now = performance.now();
    if (!report || (!last && now - latest < 100)) return;
    latest = now;
    const bytesPerSecond = (received - start) / Math.max(1e-3, (now - began) / 1000);
    const secondsLeft = total === null || bytesPerSecond === 0 ? null : (total - received) / bytesPerSecond;
    report({ file, received, total, bytesPerSecond, secondsLeft });
  };
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}

function describe(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  const message = messageOf(error);
  return typeof code === "string" && !message.includes(code) ? `${message} (${code})` : message;
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
