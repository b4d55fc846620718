// Backbones by hub id: fetched once from a server on this machine, then found in the cache without it.
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { miniBackbone } from "#toolkit/index.ts";
import { loadBackbone } from "#toolkit/training/index.ts";

const home = mkdtempSync(join(tmpdir(), "bunsen-hub-models-"));
const asked: string[] = [];
const before = { ...process.env };
let server: ReturnType<typeof Bun.serve>;

const commit = "0123456789abcdef0123456789abcdef01234567";

/** Git's blob hash of a backbone's file, which the hub gives for files that are not stored apart. */
function gitHash(name: string): string {
  const bytes = readFileSync(join(miniBackbone, name));
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

beforeAll(() => {
  server = Bun.serve({
    port: 0,
    async fetch(request) {
      const path = new URL(request.url).pathname;
      // `api/t5` lives on a hub with its API: a commit, sizes and hashes; `tiny/t5` on a plain folder over HTTP.
      if (path === "/api/models/api/t5/revision/main") return Response.json({ _id: "1", id: "api/t5", sha: commit });
      if (path === `/api/models/api/t5/paths-info/${commit}`) {
        const { paths } = (await request.json()) as { paths: string[] };
        const there = paths.filter((file) => Bun.file(join(miniBackbone, file)).size > 0);
        const info = there.map((file) => ({
          path: file,
          type: "file",
          size: Bun.file(join(miniBackbone, file)).size,
          oid: gitHash(file),
        }));
        return Response.json(info);
      }
      const [, name] = /^\/(?:tiny|api)\/t5\/resolve\/[^/]+\/([\w.]+)$/.exec(path) ?? [];
      asked.push(`${request.method} ${path}`);
      const file = name ? Bun.file(join(miniBackbone, name)) : undefined;
      return file?.size ? new Response(file) : new Response("not here", { status: 404 });
    },
  });
  process.env.BUNSEN_HUB = `http://127.0.0.1:${server.port}`;
  process.env.HF_HOME = home;
  process.env.BUNSEN_CACHE = join(home, "bunsen");
  process.env.BUNSEN_LOCK = join(home, "lock.json");
});
afterEach(() => {
  asked.length = 0;
});
afterAll(async () => {
  await server.stop(true);
  for (const name of ["BUNSEN_HUB", "HF_HOME", "BUNSEN_CACHE", "BUNSEN_LOCK", "BUNSEN_OFFLINE"])
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  rmSync(home, { recursive: true, force: true });
});

test("a hub id is a model: its config, weights and tokenizer are fetched into the cache", async () => {
  const { model, tokenizer } = await loadBackbone("tiny/t5", "wasm");
  const local = await loadBackbone(miniBackbone, "wasm");
  expect(model.config).toEqual(local.model.config);
  expect(tokenizer.vocabularySize).toBe(local.tokenizer.vocabularySize);
  expect(asked.some((line) => line.startsWith("GET") && line.endsWith("/model.safetensors"))).toBe(true);
});

test("on a hub with its API the files come from one commit, in the cache that Python shares", async () => {
  await loadBackbone("api/t5", "wasm");
  expect(
    asked.filter((line) => line.startsWith("GET") && line.includes("/resolve/")).every((line) => line.includes(commit)),
  ).toBe(true);
  expect(existsSync(join(home, "hub/models--api--t5/snapshots", commit, "model.safetensors"))).toBe(true);
});

test("offline, the cached model is found without asking anybody", async () => {
  process.env.BUNSEN_OFFLINE = "1";
  await loadBackbone("tiny/t5", "wasm");
  expect(asked).toEqual([]);
  delete process.env.BUNSEN_OFFLINE;
});

test("an id that the hub does not have and a path that does not exist are told apart from models", async () => {
  await expect(loadBackbone("tiny/none", "wasm")).rejects.toThrow(/tiny\/none holds no config.json, or does not exist/);
  await expect(loadBackbone("./no/such/folder", "wasm")).rejects.toThrow(/no model at "\.\/no\/such\/folder"/);
});
