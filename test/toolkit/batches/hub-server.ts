// A hub for tests, on port 0: a plain folder over HTTP, or one with the hub's API and headers, which can also misbehave.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** What goes wrong with the next answers for a path; taken in order, then all is well. */
export type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Record<string, string> }
  /** Ends the connection after so many bytes of this answer. */
  | { readonly kind: "cut"; readonly after: number }
  /** Sends fewer or more bytes than Content-Length says. */
  | { readonly kind: "length"; readonly extra: number }
  /** Says nothing after so many bytes. */
  | { readonly kind: "stall"; readonly after: number }
  /** Right length, wrong bytes. */
  | { readonly kind: "garble" }
  /** Ignores the range asked for. */
  | { readonly kind: "whole" }
  /** Answers with another range than asked for. */
  | { readonly kind: "wrong-range" };

export interface HubServer {
  readonly url: string;
  /** Requests so far: `GET /path range`. */
  readonly requests: string[];
  /** Bytes of bodies handed out so far. */
  readonly sent: () => number;
  fault(path: string, ...faults: Fault[]): void;
  /** Faults that no request has met yet. */
  faultsLeft(): number;
  forgetFaults(): void;
  /** Replaces a file's content from now on. */
  replace(path: string, content: Uint8Array): void;
  stop(): Promise<void>;
}

export interface HubServerOptions {
  /** `plain`: files only; `headers`: resolve paths with the hub's headers; `api`: its API too. */
  readonly kind: "plain" | "headers" | "api";
  readonly commit?: string;
  /** Plain server: leave ETag out. */
  readonly noEtag?: boolean;
  /** Files by path, or by `owner/name:path`, in front of the folder. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** A folder that holds `datasets/<repo>/…`. */
  readonly folder?: string;
}

export const defaultCommit: string = "c0ffee".padEnd(40, "0");

export function startHub(options: HubServerOptions): HubServer {
  const { kind, commit = defaultCommit } = options;
  const requests: string[] = [];
  const faults = new Map<string, Fault[]>();
  const files = new Map(Object.entries(options.files ?? {}));
  const controllers = new Set<ReadableStreamDefaultController>();
  let sent = 0;

  const contentOf = async (repo: string, path: string): Promise<Uint8Array | null> => {
    const own = files.get(`${repo}:${path}`) ?? files.get(path);
    if (own || !options.folder) return own ?? null;
    return readFile(join(options.folder, "datasets", repo, path)).then(
      (bytes) => new Uint8Array(bytes),
      () => null,
    );
  };

  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      const url = new URL(request.url);
      requests.push(`${request.method} ${url.pathname} ${request.headers.get("range") ?? ""}`.trim());
      const api = /^\/api\/datasets\/([^/]+\/[^/]+)\/(revision|paths-info|tree)\/(.+)$/.exec(url.pathname);
      if (api && kind === "api") {
        const [, repo, what] = api as unknown as [string, string, string];
        if (what === "revision") return Response.json({ _id: "1", id: repo, sha: commit, lastModified: "2024-01-01" });
        if (what === "tree") {
          const under = `${api[3]!.split("/").slice(1).join("/")}/`;
          const names = [...files.keys()].map((key) => (key.startsWith(`${repo}:`) ? key.slice(repo.length + 1) : key));
          return Response.json(
            names.filter((path) => path.startsWith(under)).map((path) => ({ path, type: "file", size: 1, oid: "0" })),
          );
        }
        const { paths } = (await request.json()) as { paths: string[] };
        const found = [];
        for (const path of paths) {
          const content = await contentOf(repo, path);
          if (content)
            found.push({
              path,
              type: "file",
              size: content.length,
              oid: "0".repeat(40),
              lfs: { oid: hash(content), size: content.length, pointerSize: 130 },
            });
        }
        return Response.json(found);
      }
      const match = /^\/datasets\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
      if (!match) return new Response("not here", { status: 404 });
      const [, repo, , path] = match.map(decodeURIComponent) as [string, string, string, string];
      const content = await contentOf(repo, path);
      if (!content) return new Response("no such file", { status: 404, headers: { "x-error-code": "EntryNotFound" } });
      const headers: Record<string, string> = { "accept-ranges": "bytes" };
      if (kind === "plain") {
        if (!options.noEtag) headers.etag = `"${hash(content).slice(0, 12)}-plain"`;
      } else {
        headers["x-repo-commit"] = commit;
        headers.etag = `"${hash(content)}"`;
      }
      if (request.method === "HEAD")
        return new Response(null, { headers: { ...headers, "content-length": String(content.length) } });
      const fault = faults.get(`${repo}:${path}`)?.shift() ?? faults.get(path)?.shift();
      if (fault?.kind === "status")
        return new Response("trouble", { status: fault.status, headers: fault.headers ?? {} });
      const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
      const ifRange = request.headers.get("if-range");
      const honoured = range && fault?.kind !== "whole" && (ifRange === null || ifRange === headers.etag);
      let start = honoured ? Number(range[1]) : 0;
      const end = honoured && range[2] ? Number(range[2]) + 1 : content.length;
      if (honoured && start >= content.length) return new Response(null, { status: 416 });
      if (fault?.kind === "wrong-range") start = Math.max(0, start - 7);
      let body = content.slice(start, end);
      if (honoured) headers["content-range"] = `bytes ${start}-${end - 1}/${content.length}`;
      const status = honoured ? 206 : 200;
      if (fault?.kind === "garble") body = body.map((byte) => byte ^ 0x55);
      if (fault === undefined || fault.kind === "garble" || fault.kind === "whole" || fault.kind === "wrong-range") {
        sent += body.length;
        return new Response(body, { status, headers });
      }
      if (fault.kind === "length") {
        // Chunked, so that the server may send what it likes; the promise is the ETag's and HEAD's.
        const wrong =
          fault.extra < 0 ? body.slice(0, fault.extra) : new Uint8Array([...body, ...new Uint8Array(fault.extra)]);
        sent += wrong.length;
        return new Response(new Blob([wrong]).stream(), { status, headers });
      }
      const after = fault.after;
      sent += Math.min(after, body.length);
      const stream = new ReadableStream({
        start(controller) {
          controllers.add(controller);
          controller.enqueue(body.slice(0, after));
          if (fault.kind === "cut") setTimeout(() => controller.close(), 20);
        },
        cancel: () => undefined,
      });
      return new Response(stream, { status, headers: { ...headers, "content-length": String(body.length) } });
    },
    error: () => new Response("cut", { status: 500 }),
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    sent: () => sent,
    fault: (path, ...more) => void faults.set(path, [...(faults.get(path) ?? []), ...more]),
    faultsLeft: () => [...faults.values()].reduce((sum, left) => sum + left.length, 0),
    forgetFaults: () => faults.clear(),
    replace: (path, content) => void files.set(path, content),
    stop: async () => {
      for (const controller of controllers) {
        try {
          controller.close();
        } catch {
          // Already ended.
        }
      }
      await server.stop(true);
    },
  };
}

export function hash(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
