// What the hub is asked before anything is fetched: which commit a branch stands at, what a file's size and hash are,
// which files a folder has. Through `@huggingface/hub` where the server has the hub's API; a server without it (a plain
// folder over HTTP) is asked by the headers of its `resolve` paths alone. Nothing is stored here.
import { createHash } from "node:crypto";
import { datasetInfo, listFiles, modelInfo, pathsInfo } from "@huggingface/hub";
import { type DownloadOptions, refuse, request, withRetries } from "./download.ts";
import { HubError } from "./errors.ts";
import { blobNameOf, isCommit } from "./hub-cache.ts";

/** One repository on one server. */
export interface Asked {
  /** The hub's plural; default `datasets`. */
  readonly kind?: "datasets" | "models";
  readonly endpoint: string;
  readonly token: string | null;
  readonly repo: string;
  readonly signal?: AbortSignal | undefined;
  readonly tuning?: Pick<DownloadOptions, "attempts" | "backoffMs" | "stallMs" | "wait"> | undefined;
}

/** What the server promises for a file. */
export interface Promised {
  readonly url: string;
  /** The hub's commit; for a plain mirror a stand-in made of its address. */
  readonly commit: string;
  readonly plain: boolean;
  readonly size: number | null;
  readonly etag: string | null;
  /** Content hash, where the ETag or the API gives one. */
  readonly hash: string | null;
  /** ETag or date: what tells a plain mirror's file from a later one. */
  readonly validator: string | null;
}

/** The commit behind a revision, by the hub's API; null where the server has no API. */
export async function commitOf(asked: Asked, revision: string): Promise<string | null> {
  try {
    const info = await retried(asked, asked.repo, (fetch) => revisionInfo(asked, revision, fetch));
    const { sha } = info as { sha?: unknown };
    if (typeof sha === "string" && isCommit(sha)) return sha;
    throw new HubError(
      "bad-name",
      `${asked.endpoint}: the hub's API names no commit for ${asked.repo}@${revision} (${JSON.stringify(sha)}).`,
    );
  } catch (error) {
    // 404 may mean "no such repository" or "no API"; the resolve path tells which. HTML instead of JSON: no API either.
    if (error instanceof HubError && error.code === "not-found") return null;
    if (error instanceof HubError && error.cause instanceof SyntaxError) return null;
    throw error;
  }
}

/** What the hub's API says of a revision. */
function revisionInfo(asked: Asked, revision: string, fetcher: typeof fetch): Promise<object> {
  const wanted = { name: asked.repo, revision, ...credentials(asked), fetch: fetcher };
  return asked.kind === "models"
    ? modelInfo({ ...wanted, additionalFields: ["sha"] })
    : datasetInfo({ ...wanted, additionalFields: ["sha"] });
}

/** A file's promise by the hub's API. @throws HubError `not-found` where the commit has no such file. */
export async function promiseByApi(asked: Asked, revision: string, commit: string, name: string): Promise<Promised> {
  const found = await retried(asked, `${asked.repo}/${name}`, (fetch) =>
    pathsInfo({
      repo: repoOf(asked),
      paths: [name],
      revision: commit,
      ...credentials(asked),
      fetch,
    }),
  );
  const info = found.find((item) => item.path === name && item.type === "file");
  if (!info)
    throw new HubError(
      "not-found",
      `${asked.repo} has no file "${name}" at revision ${revision} (${commit}). Check the name, the config and the revision.`,
    );
  const hash = blobNameOf(info.lfs?.oid.replace(/^sha256:/, "") ?? info.oid ?? null);
  return {
    url: resolveUrl(asked, commit, name),
    commit,
    plain: false,
    size: info.size,
    etag: hash,
    hash,
    validator: hash,
  };
}

/** A file's promise by the headers of its resolve path. */
export async function promiseByHeaders(asked: Asked, revision: string, name: string): Promise<Promised> {
  const url = resolveUrl(asked, revision, name);
  const { token } = asked;
  return withRetries(
    `${asked.repo}/${name}`,
    async (signal) => {
      let head: Headers | null = null;
      // The hub's own answer counts, not the storage's that it redirects to, nor a redirect from an old name.
      const keep = (_: URL, response: Response): boolean => {
        if (response.headers.has("x-repo-commit")) head ??= response.headers;
        return true;
      };
      let response = await request(url, { method: "HEAD", token }, signal, keep);
      if (response.status === 405 || response.status === 501) {
        response = await request(url, { headers: { range: "bytes=0-0" }, token }, signal, keep);
        await response.body?.cancel();
      }
      if (!response.ok) refuse(response, `${asked.repo}/${name}`, token);
      const first: Headers = head ?? response.headers;
      const named = first.get("x-repo-commit");
      if (named !== null && !isCommit(named))
        throw new HubError(
          "bad-name",
          `${url}: the server names the revision ${JSON.stringify(named)}, which is no commit.`,
        );
      const etag = first.get("x-linked-etag") ?? response.headers.get("etag");
      return {
        url: named === null ? url : resolveUrl(asked, named, name),
        commit: named ?? standIn(asked, revision),
        plain: named === null,
        size: sizeFrom(first, response),
        etag,
        hash: blobNameOf(etag),
        validator: etag ?? response.headers.get("last-modified"),
      };
    },
    { ...asked.tuning, signal: asked.signal },
  );
}

/** Paths of the files directly in a folder of the repository, sorted. */
export async function filesIn(asked: Asked, commit: string, folder: string): Promise<string[]> {
  return retried(asked, `${asked.repo}/${folder}`, async (fetch) => {
    const paths: string[] = [];
    const repo = repoOf(asked);
    for await (const { path, type } of listFiles({
      repo,
      path: folder,
      revision: commit,
      ...credentials(asked),
      fetch,
    }))
      if (type === "file") paths.push(path);
    return paths.sort();
  });
}

/** A commit-like name for a server without commits, the same for the same server, repository and revision. */
export function standIn(asked: Pick<Asked, "endpoint" | "repo">, revision: string): string {
  return createHash("sha1").update(`${asked.endpoint}\n${asked.repo}\n${revision}`).digest("hex");
}

function resolveUrl(asked: Asked, revision: string, name: string): string {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const folder = asked.kind === "models" ? "" : "datasets/";
  return `${asked.endpoint}/${folder}${asked.repo}/resolve/${encodeURIComponent(revision)}/${path}`;
}

function repoOf(asked: Asked): { type: "dataset" | "model"; name: string } {
  return { type: asked.kind === "models" ? "model" : "dataset", name: asked.repo };
}

function credentials(asked: Asked): { hubUrl: string; accessToken?: string } {
  return { hubUrl: asked.endpoint, ...(asked.token ? { accessToken: asked.token } : {}) };
}

/** Calls the hub's library with a `fetch` whose failures are ours: retried and named like those of a download. */
async function retried<T>(asked: Asked, label: string, call: (fetcher: typeof fetch) => Promise<T>): Promise<T> {
  return withRetries(
    label,
    (signal) =>
      call((async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
        const response = await fetch(input, { ...init, signal });
        if (response.ok) return response;
        await response.body?.cancel();
        if (response.status === 405 || response.status === 501)
          throw new HubError("not-found", `${label}: the server has no API (${response.status}).`);
        return refuse(response, label, asked.token);
      }) as typeof fetch),
    { ...asked.tuning, signal: asked.signal },
  );
}

function sizeFrom(first: Headers, last: Response): number | null {
  const linked = first.get("x-linked-size");
  if (linked !== null && /^\d+$/.test(linked)) return Number(linked);
  const range = /\/(\d+)$/.exec(last.headers.get("content-range") ?? "");
  if (range) return Number(range[1]);
  const length = last.headers.get("content-length");
  return last.status !== 206 && length !== null && /^\d+$/.test(length) ? Number(length) : null;
}
