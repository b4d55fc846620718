// The hub and its cache: what is fetched, what is not fetched again, pins, offline, several processes at once.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Environment, readEnvironment } from "#toolkit/batches/environment.ts";
import type { DataWarning } from "#toolkit/batches/errors.ts";
import { type HubFile, type HubOptions, hubFiles, hubShards } from "#toolkit/batches/hub.ts";
import { cachedRepo, inside } from "#toolkit/batches/hub-cache.ts";
import { readPins } from "#toolkit/batches/pins.ts";
import { defaultCommit, type HubServer, hash, startHub } from "./hub-server.ts";

const repo = "owner/name";
const file = "config/train-00000-of-00001.parquet";
const content = new TextEncoder().encode("some content, ".repeat(5000));
const other = new TextEncoder().encode("other content. ".repeat(5000));

let folder: string;
let servers: HubServer[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-hub-"));
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.stop();
  await rm(folder, { recursive: true, force: true });
});

function serve(options: Parameters<typeof startHub>[0]): HubServer {
  const server = startHub({ files: { [file]: content }, ...options });
  servers.push(server);
  return server;
}

function environmentFor(url: string, more: Record<string, string> = {}): Environment {
  return readEnvironment({
    BUNSEN_HUB: url,
    HF_HOME: join(folder, "hf"),
    BUNSEN_CACHE: join(folder, "bunsen"),
    BUNSEN_LOCK: join(folder, "lock.json"),
    ...more,
  });
}

const quick = { attempts: 2, backoffMs: 1, stallMs: 20_000, wait: async (): Promise<void> => undefined };

const get = async (url: string, options: HubOptions = {}, more: Record<string, string> = {}): Promise<HubFile> => {
  const [found] = await hubFiles(repo, [file], { environment: environmentFor(url, more), tuning: quick, ...options });
  return found!;
};

describe("a file of the hub", () => {
  for (const kind of ["api", "headers", "plain"] as const) {
    it(`is fetched once and then found (${kind} server)`, async () => {
      const hub = serve({ kind });
      const first = await get(hub.url);
      expect(first).toMatchObject({ name: file, downloaded: true, sha256: hash(content) });
      expect(first.revision).toBe(kind === "plain" ? null : defaultCommit);
      expect(hash(await readFile(first.path))).toBe(hash(content));
      const asked = hub.requests.length;
      const second = await get(hub.url);
      expect(second).toMatchObject({ path: first.path, downloaded: false, sha256: hash(content) });
      // A plain server's file may have changed under its address: it is asked, but sends nothing again.
      expect(hub.requests.length - asked).toBe(kind === "plain" ? 2 : 0);
      expect(hub.sent()).toBe(content.length);
    });
  }

  it("lies where Python's huggingface_hub looks for it", async () => {
    const hub = serve({ kind: "headers" });
    const { path } = await get(hub.url);
    const root = join(folder, "hf/hub/datasets--owner--name");
    expect(path).toBe(join(root, "snapshots", defaultCommit, file));
    expect(await readlink(path)).toBe(`../../../blobs/${hash(content)}`);
    expect(await readFile(join(root, "refs/main"), "utf8")).toBe(defaultCommit);
    expect(await readdir(join(root, "blobs"))).toEqual([hash(content)]);
  });

  it("is taken from the cache where Python has put it there", async () => {
    const root = join(folder, "hf/hub/datasets--owner--name");
    await mkdir(join(root, "blobs"), { recursive: true });
    await mkdir(join(root, "refs"));
    await mkdir(join(root, "snapshots", defaultCommit, "config"), { recursive: true });
    await writeFile(join(root, "blobs", hash(content)), content);
    await writeFile(join(root, "refs/main"), defaultCommit);
    await symlink(`../../../blobs/${hash(content)}`, join(root, "snapshots", defaultCommit, file));
    const hub = serve({ kind: "headers" });
    expect(await get(hub.url)).toMatchObject({ downloaded: false, sha256: hash(content), revision: defaultCommit });
    expect(hub.requests.filter((request) => request.startsWith("GET /datasets"))).toEqual([]);
    // And with no network at all.
    await rm(join(folder, "lock.json"));
    expect(await get("http://127.0.0.1:9", {}, { HF_HUB_OFFLINE: "1" })).toMatchObject({ downloaded: false });
  });

  it("is not fetched again under a new commit with the same content", async () => {
    await get(serve({ kind: "api" }).url);
    await rm(join(folder, "lock.json"));
    const hub = serve({ kind: "api", commit: "d".repeat(40) });
    expect(await get(hub.url)).toMatchObject({ revision: "d".repeat(40) });
    expect(hub.sent()).toBe(0);
  });

  it("comes with several others at once, each whole", async () => {
    const files = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`f${i}.bin`, content.slice(i)]));
    const hub = serve({ kind: "headers", files });
    for (const name of Object.keys(files)) hub.fault(name, { kind: "cut", after: 3000 });
    const found = await hubFiles(repo, Object.keys(files), { environment: environmentFor(hub.url), tuning: quick });
    for (const { name, sha256 } of found) expect(sha256).toBe(hash(files[name]!));
  });

  it("follows a branch by its name, slashes and all", async () => {
    const hub = serve({ kind: "headers" });
    await get(hub.url, { revision: "refs/convert/parquet" });
    expect(hub.requests.at(-1)).toContain("/resolve/");
    const ref = join(folder, "hf/hub/datasets--owner--name/refs/refs/convert/parquet");
    expect(await readFile(ref, "utf8")).toBe(defaultCommit);
  });

  it("is found under its new name, and behind the storage it lies in", async () => {
    const storage = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(content) });
    const seen: string[] = [];
    const front = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        const { pathname } = new URL(request.url);
        seen.push(`${request.method} ${pathname}`);
        if (pathname.startsWith("/datasets/owner/name/"))
          return new Response(null, { status: 307, headers: { location: pathname.replace("owner/name", "new/home") } });
        if (!pathname.startsWith("/datasets/new/home/resolve/")) return new Response("no API", { status: 404 });
        return new Response(null, {
          status: 302,
          headers: {
            location: `http://127.0.0.1:${storage.port}/blob`,
            "x-repo-commit": defaultCommit,
            "x-linked-etag": `"${hash(content)}"`,
            "x-linked-size": String(content.length),
          },
        });
      },
    });
    try {
      expect(await get(`http://127.0.0.1:${front.port}`)).toMatchObject({
        revision: defaultCommit,
        sha256: hash(content),
      });
      expect(seen).toContain(`GET /datasets/owner/name/resolve/${defaultCommit}/${file}`);
    } finally {
      await front.stop(true);
      await storage.stop(true);
    }
  });

  it("that changes while it is fetched is fetched anew, whole", async () => {
    const hub = serve({ kind: "headers" });
    hub.fault(file, { kind: "cut", after: 10_000 });
    const found = await get(hub.url, { tuning: { ...quick, wait: async () => hub.replace(file, other) } });
    expect(found.sha256).toBe(hash(other));
    expect(hash(await readFile(found.path))).toBe(hash(other));
  });

  it("is asked for at the plain server's resolve path, revision main", async () => {
    const hub = serve({ kind: "plain", noEtag: true });
    expect((await get(hub.url)).sha256).toBe(hash(content));
    expect(hub.requests).toContain(`GET /datasets/owner/name/resolve/main/${file}`);
  });
});

describe("a split in several files", () => {
  const shards = Object.fromEntries([0, 1, 2].map((i) => [`all/train/000${i}.parquet`, content.slice(i)]));
  const shardsOf = (
    url: string,
    more: Record<string, string> = {},
    name = "all/train/0000.parquet",
  ): Promise<string[]> =>
    hubShards(repo, name, { environment: environmentFor(url, more), tuning: quick, revision: "refs/convert/parquet" });

  it("is found whole on the converted branch, then by its pins, and offline", async () => {
    const hub = serve({ kind: "api", files: { ...shards, "all/train/README.md": other } });
    expect(await shardsOf(hub.url)).toEqual(Object.keys(shards));
    await hubFiles(repo, Object.keys(shards), {
      environment: environmentFor(hub.url),
      revision: "refs/convert/parquet",
    });
    const asked = hub.requests.length;
    expect(await shardsOf(hub.url)).toEqual(Object.keys(shards));
    expect(hub.requests.length).toBe(asked);
    await rm(join(folder, "lock.json"));
    expect(await shardsOf(hub.url, { BUNSEN_OFFLINE: "1" })).toEqual(Object.keys(shards));
  });

  it("is pinned only when all its files are there", async () => {
    const hub = serve({ kind: "api", files: shards });
    hub.fault("all/train/0002.parquet", { kind: "status", status: 404 });
    const all = { environment: environmentFor(hub.url), tuning: quick };
    await expect(hubFiles(repo, Object.keys(shards), all)).rejects.toMatchObject({ code: "not-found" });
    expect(await readPins(join(folder, "lock.json"))).toEqual({});
    await hubFiles(repo, Object.keys(shards), all);
    expect(Object.keys(await readPins(join(folder, "lock.json")))).toHaveLength(3);
  });

  it("says by its name how many there are, or is one file", async () => {
    expect(await shardsOf("http://127.0.0.1:9", {}, "a/train-00000-of-00003.parquet")).toEqual(
      [0, 1, 2].map((i) => `a/train-0000${i}-of-00003.parquet`),
    );
    expect(await shardsOf("http://127.0.0.1:9", {}, "a/train.parquet")).toEqual(["a/train.parquet"]);
    expect(await shardsOf(serve({ kind: "plain", files: shards }).url)).toEqual(["all/train/0000.parquet"]);
  });
});

describe("pins", () => {
  it("are written by the first load and hold revision, size and hash", async () => {
    await get(serve({ kind: "api" }).url);
    expect(await readPins(join(folder, "lock.json"))).toEqual({
      [`owner/name@main:${file}`]: { revision: defaultCommit, size: content.length, sha256: hash(content) },
    });
  });

  it("hold later loads to the pinned revision", async () => {
    await get(serve({ kind: "headers" }).url);
    await rm(join(folder, "hf"), { recursive: true });
    const hub = serve({ kind: "api", commit: defaultCommit });
    await get(hub.url);
    expect(hub.requests[0]).toContain(`/revision/${defaultCommit}`);
  });

  it("refuse other content, by name and with the way out", async () => {
    await get(serve({ kind: "headers" }).url);
    await rm(join(folder, "hf"), { recursive: true });
    const hub = serve({ kind: "headers", files: { [file]: other } });
    await expect(get(hub.url)).rejects.toMatchObject({
      code: "changed",
      message: expect.stringMatching(/pinned as 70000 bytes, sha256 [0-9a-f]{64}.*delete its entry/),
    });
    expect(await get(hub.url, { update: true })).toMatchObject({ sha256: hash(other) });
    expect(await get(hub.url)).toMatchObject({ sha256: hash(other), downloaded: false });
  });

  it("do not move the branch back in the shared cache", async () => {
    await get(serve({ kind: "headers" }).url);
    const ref = join(folder, "hf/hub/datasets--owner--name/refs/main");
    await writeFile(ref, "e".repeat(40));
    await rm(join(folder, "hf/hub/datasets--owner--name/snapshots"), { recursive: true });
    expect(await get(serve({ kind: "headers" }).url)).toMatchObject({ revision: defaultCommit });
    expect(await readFile(ref, "utf8")).toBe("e".repeat(40));
  });

  it("of a plain mirror stay out of the lock, and its difference from the lock is a warning", async () => {
    await get(serve({ kind: "headers" }).url);
    const before = await readFile(join(folder, "lock.json"), "utf8");
    await rm(join(folder, "hf"), { recursive: true });
    const warnings: DataWarning[] = [];
    const mirror = serve({ kind: "plain", files: { [file]: other } });
    const found = await get(mirror.url, { onWarning: (warning) => warnings.push(warning) });
    expect(found).toMatchObject({ sha256: hash(other), revision: null });
    expect(warnings).toMatchObject([
      { code: "lock", message: expect.stringContaining("not the file that datasets/lock.json pins") },
    ]);
    expect(await readFile(join(folder, "lock.json"), "utf8")).toBe(before);
  });

  it("of a plain mirror notice that its file has changed", async () => {
    const mirror = serve({ kind: "plain" });
    await get(mirror.url);
    mirror.replace(file, other);
    const warnings: DataWarning[] = [];
    const found = await get(mirror.url, { onWarning: (warning) => warnings.push(warning) });
    expect(found).toMatchObject({ sha256: hash(other), downloaded: true });
    expect(hash(await readFile(found.path))).toBe(hash(other));
    expect(warnings).toMatchObject([{ code: "lock", message: expect.stringContaining("is not what it was") }]);
    expect(await get(mirror.url)).toMatchObject({ sha256: hash(other), downloaded: false });
    expect(await get(mirror.url, {}, { BUNSEN_OFFLINE: "1" })).toMatchObject({ sha256: hash(other) });
  });

  it("that cannot be read are an error, those that cannot be written a warning", async () => {
    const hub = serve({ kind: "headers" });
    await writeFile(join(folder, "lock.json"), "{}");
    await expect(get(hub.url)).rejects.toThrow(/lock\.json is not a lock of data files/);
    const warnings: DataWarning[] = [];
    await writeFile(join(folder, "blocked"), "");
    const lock = { BUNSEN_LOCK: join(folder, "blocked/lock.json") };
    await expect(get(hub.url, { onWarning: (warning) => warnings.push(warning) }, lock)).resolves.toBeDefined();
    expect(warnings[0]?.code).toBe("lock");
  });
});

describe("offline", () => {
  it("uses the cache and asks nobody", async () => {
    const hub = serve({ kind: "headers" });
    const { path } = await get(hub.url);
    const asked = hub.requests.length;
    expect(await get(hub.url, {}, { BUNSEN_OFFLINE: "1" })).toMatchObject({ path, downloaded: false });
    expect(hub.requests.length).toBe(asked);
  });

  it("says which file is missing where the cache lacks it", async () => {
    await expect(get("http://127.0.0.1:9", {}, { BUNSEN_OFFLINE: "1" })).rejects.toMatchObject({
      code: "offline",
      message: expect.stringContaining(`owner/name/${file} is not in the cache`),
    });
  });

  it("by a failing network uses the cache and says so", async () => {
    const hub = serve({ kind: "headers" });
    await get(hub.url);
    await rm(join(folder, "lock.json"));
    await hub.stop();
    const warnings: DataWarning[] = [];
    const found = await get(hub.url, { onWarning: (warning) => warnings.push(warning) });
    expect(found.sha256).toBe(hash(content));
    expect(warnings).toMatchObject([{ code: "cached", message: expect.stringContaining("using the cached copy") }]);
  });

  it("by a failing network, with nothing cached, is an error that names the file", async () => {
    await expect(get("http://127.0.0.1:9")).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining(file),
    });
  });
});

describe("names from the network", () => {
  it("cannot leave the cache folder", async () => {
    const hub = serve({ kind: "headers" });
    const environment = environmentFor(hub.url);
    for (const name of [
      "../escape",
      "a/../../b",
      "/etc/passwd",
      "a//b",
      "a\\..\\b",
      "C:/x",
      "a/./b",
      "a/../b",
      "",
      "a\0b",
    ])
      await expect(hubFiles(repo, [name], { environment })).rejects.toMatchObject({ code: "bad-name" });
    for (const bad of ["../x", "a/b/c", "a/..", "", "a b", "-x/y", "a--b/c"])
      await expect(hubFiles(bad, [file], { environment })).rejects.toMatchObject({ code: "bad-name" });
    await expect(hubFiles(repo, [file], { environment, revision: "../../x" })).rejects.toMatchObject({
      code: "bad-name",
    });
    expect(hub.requests).toEqual([]);
    for (const commit of ["../../../../tmp/x", "main", ""]) {
      const liar = serve({ kind: "headers", commit });
      await expect(get(liar.url)).rejects.toMatchObject({ code: "bad-name" });
    }
    const liar = serve({ kind: "api", commit: "../x" });
    await expect(get(liar.url)).rejects.toMatchObject({ code: "bad-name" });
    expect((await readdir(folder)).filter((name) => !["hf", "bunsen"].includes(name))).toEqual([]);
  });

  it("resolve inside their folder or are refused, whatever they are", () => {
    const part = fc.oneof(fc.constantFrom("..", ".", "", "a", "~", "..."), fc.string({ maxLength: 6 }));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        let path: string;
        try {
          path = inside("/cache/root", parts.join("/"));
        } catch (error) {
          expect(error).toMatchObject({ code: "bad-name" });
          return;
        }
        expect(path.startsWith("/cache/root/")).toBe(true);
        expect(path.split("/")).not.toContain("..");
      }),
    );
    expect(cachedRepo("/c", "owner/na.me-1_2").folder).toBe("/c/datasets--owner--na.me-1_2");
  });
});

describe("several processes", () => {
  const script = (url: string): string => `
    import { hubFiles } from "#toolkit/batches/hub.ts";
    const [file] = await hubFiles(${JSON.stringify(repo)}, [${JSON.stringify(file)}]);
    console.log(JSON.stringify(file), ${JSON.stringify(url)});
  `;
  const start = (url: string): Bun.Subprocess<"ignore", "pipe", "pipe"> =>
    Bun.spawn([process.execPath, "-e", script(url)], {
      cwd: join(import.meta.dirname, "../../.."),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: {
        ...process.env,
        BUNSEN_HUB: url,
        HF_HOME: join(folder, "hf"),
        BUNSEN_CACHE: join(folder, "bunsen"),
        BUNSEN_LOCK: join(folder, "lock.json"),
      },
    });

  it("that want the same file at once fetch it once", async () => {
    const hub = serve({ kind: "headers" });
    const children = [1, 2, 3].map(() => start(hub.url));
    for (const child of children) {
      expect(await child.exited, await new Response(child.stderr).text()).toBe(0);
      expect(await new Response(child.stdout).text()).toContain(hash(content));
    }
    expect(hub.requests.filter((request) => request.startsWith("GET /datasets"))).toHaveLength(1);
    expect(hub.sent()).toBe(content.length);
  });

  it("one of which is killed while it downloads: the next goes on where it stopped", async () => {
    const hub = serve({ kind: "headers" });
    hub.fault(file, { kind: "stall", after: 30_000 });
    const child = start(hub.url);
    const partial = join(folder, "hf/hub/datasets--owner--name/blobs", `${hash(content)}.bunsen.incomplete`);
    while (!existsSync(partial) || Bun.file(partial).size < 30_000) {
      if (child.exitCode !== null) throw new Error(await new Response(child.stderr).text());
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill("SIGKILL");
    await child.exited;
    const found = await get(hub.url);
    expect(hash(await readFile(found.path))).toBe(hash(content));
    expect(hub.requests.at(-1)).toContain("bytes=30000-");
    expect(hub.sent()).toBe(content.length);
  });
});

describe("the environment", () => {
  it("is read by Python's names and defaults", () => {
    const environment = readEnvironment({ HOME: "/home/x" });
    expect(environment).toMatchObject({
      endpoint: "https://huggingface.co",
      hubCache: "/home/x/.cache/huggingface/hub",
      cache: "/home/x/.cache/bunsen",
      offline: false,
      token: null,
    });
    expect(readEnvironment({ HOME: "/h", HF_HOME: "/a", HF_ENDPOINT: "http://e/", HF_TOKEN: " t " })).toMatchObject({
      endpoint: "http://e",
      hubCache: "/a/hub",
      token: "t",
    });
    expect(
      readEnvironment({ HOME: "/h", HF_HUB_CACHE: "/c", BUNSEN_HUB: "http://b", HF_ENDPOINT: "http://e" }),
    ).toMatchObject({
      endpoint: "http://b",
      hubCache: "/c",
    });
    for (const on of ["1", "true", "YES", "on"]) expect(readEnvironment({ HF_HUB_OFFLINE: on }).offline).toBe(true);
    expect(readEnvironment({ BUNSEN_OFFLINE: "0" }).offline).toBe(false);
  });
});
