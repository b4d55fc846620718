// Downloads against a server that misbehaves: every fault ends in the right bytes or in a named error.
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ChangedError,
  type DownloadOptions,
  type DownloadProgress,
  download,
  retryAfter,
} from "#toolkit/batches/download.ts";
import type { HubError } from "#toolkit/batches/errors.ts";
import { type Fault, type HubServer, hash, startHub } from "./hub-server.ts";

const content = new Uint8Array(200_000).map((_, i) => (i * 31 + (i >> 8)) & 255);
const name = "data/file.bin";

let folder: string;
let hub: HubServer;
let waits: number[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-download-"));
  hub = startHub({ kind: "headers", files: { [name]: content } });
  waits = [];
});
afterEach(async () => {
  await hub.stop();
  await rm(folder, { recursive: true, force: true });
});

const target = (): string => join(folder, "file.bin");
const url = (): string => `${hub.url}/datasets/a/b/resolve/main/${name}`;
const get = (options: Partial<DownloadOptions> = {}): ReturnType<typeof download> =>
  download(url(), target(), {
    label: name,
    size: content.length,
    hash: hash(content),
    etag: hash(content),
    stallMs: 20_000,
    wait: async (milliseconds) => void waits.push(milliseconds),
    ...options,
  });

async function expectWhole(): Promise<void> {
  expect(hash(await readFile(target()))).toBe(hash(content));
  expect(existsSync(`${target()}.incomplete`)).toBe(false);
  expect(existsSync(`${target()}.incomplete.validator`)).toBe(false);
}

describe("a download", () => {
  it("arrives whole and says its size and hash", async () => {
    expect(await get()).toEqual({ size: content.length, sha256: hash(content) });
    await expectWhole();
  });

  const mended: readonly [string, readonly Fault[]][] = [
    ["a cut connection", [{ kind: "cut", after: 50_000 }]],
    ["a connection cut again and again", [10, 1000, 0, 77_777, 3].map((after) => ({ kind: "cut" as const, after }))],
    ["fewer bytes than promised", [{ kind: "length", extra: -1000 }]],
    ["more bytes than promised", [{ kind: "length", extra: 1000 }]],
    ["wrong bytes once", [{ kind: "garble" }]],
    [
      "a server error",
      [
        { kind: "status", status: 500 },
        { kind: "status", status: 502 },
      ],
    ],
    ["a cut, then a server that ignores the range", [{ kind: "cut", after: 50_000 }, { kind: "whole" }]],
    ["a cut, then another range than asked for", [{ kind: "cut", after: 50_000 }, { kind: "wrong-range" }]],
  ];
  for (const [what, faults] of mended)
    it(`survives ${what}`, async () => {
      hub.fault(name, ...faults);
      await get();
      await expectWhole();
    });

  it("survives bytes that stop coming", async () => {
    const reasons: string[] = [];
    hub.fault(name, { kind: "stall", after: 70_000 });
    await get({ stallMs: 150, attempts: 50, onProgress: ({ retry }) => retry && reasons.push(retry.reason) });
    expect(reasons[0]).toBe("no byte came for 0.15 s");
    await expectWhole();
  });

  it("goes on from the byte where the connection was cut", async () => {
    hub.fault(name, { kind: "cut", after: 120_000 });
    await get();
    const ranges = hub.requests.filter((request) => request.includes("bytes="));
    expect(ranges).toHaveLength(1);
    const from = Number(/bytes=(\d+)-/.exec(ranges[0]!)![1]);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(120_000);
    await expectWhole();
  });

  it("killed after any bytes and started again, as often as you like, comes whole and nothing comes twice", async () => {
    // Short of the whole: a connection cut after the last byte has brought everything (below).
    const cutsBeforeTheEnd = fc
      .array(fc.integer({ min: 1, max: 60_000 }), { maxLength: 4 })
      .filter((cuts) => cuts.reduce((sum, after) => sum + after, 0) < content.length);
    await fc.assert(
      fc.asyncProperty(cutsBeforeTheEnd, async (cuts) => {
        const before = hub.sent();
        for (const after of cuts) {
          hub.fault(name, { kind: "cut", after });
          await expect(get({ attempts: 1 })).rejects.toMatchObject({ code: "unavailable" });
        }
        await get();
        await expectWhole();
        expect(hub.sent() - before).toBe(content.length);
        await rm(target());
      }),
      { numRuns: 15 },
    );
  });

  it("has come whole where the connection is cut after its last byte", async () => {
    hub.fault(name, { kind: "cut", after: 150_000 }, { kind: "cut", after: 50_000 });
    await expect(get({ attempts: 1 })).rejects.toMatchObject({ code: "unavailable" });
    expect(await get({ attempts: 1 })).toEqual({ size: content.length, sha256: hash(content) });
    await expectWhole();
    expect(hub.sent()).toBe(content.length);
  });

  it("waits as long as 429 and 503 ask for", async () => {
    hub.fault(
      name,
      { kind: "status", status: 429, headers: { "retry-after": "7" } },
      { kind: "status", status: 503, headers: { "retry-after": new Date(Date.now() + 200_000).toUTCString() } },
    );
    await get();
    expect(waits[0]).toBe(7000);
    // A date: what is left of it when the answer is read, however busy the machine.
    expect(waits[1]).toBeGreaterThan(100_000);
    expect(waits[1]).toBeLessThanOrEqual(200_000);
  });

  it("waits longer after each failure where the server does not say", async () => {
    hub.fault(name, ...Array.from({ length: 4 }, () => ({ kind: "status" as const, status: 503 })));
    await get({ backoffMs: 100 });
    for (const [i, waited] of waits.entries()) {
      expect(waited).toBeGreaterThanOrEqual(50 * 2 ** i);
      expect(waited).toBeLessThanOrEqual(100 * 2 ** i);
    }
    expect(waits).toHaveLength(4);
  });

  it("gives up after so many failures without a new byte, keeps what came, and goes on next time", async () => {
    hub.fault(
      name,
      { kind: "cut", after: 90_000 },
      ...Array.from({ length: 9 }, () => ({ kind: "status" as const, status: 500 })),
    );
    await expect(get({ attempts: 3 })).rejects.toThrow(
      /file\.bin: the server answered 500.*after 3 tries.*start again/,
    );
    expect(existsSync(target())).toBe(false);
    const before = hub.sent();
    const kept = Bun.file(`${target()}.incomplete`).size;
    expect(kept).toBeGreaterThan(0);
    for (let i = 0; i < 10; i++) {
      try {
        await get({ attempts: 1 });
        break;
      } catch (error) {
        expect((error as HubError).code).toBe("unavailable");
      }
    }
    await expectWhole();
    expect(hub.sent() - before).toBeLessThanOrEqual(content.length - kept);
  });

  it("says at once that a file is not there, or not ours to read", async () => {
    hub.fault(name, { kind: "status", status: 404 });
    await expect(get()).rejects.toMatchObject({ name: "HubError", code: "not-found" });
    hub.fault(name, { kind: "status", status: 403 });
    await expect(get()).rejects.toMatchObject({ code: "no-access", message: expect.stringContaining("HF_TOKEN") });
    hub.fault(name, { kind: "status", status: 418 });
    await expect(get()).rejects.toMatchObject({ code: "refused" });
    expect(waits).toEqual([]);
  });

  it("refuses content that is wrong twice", async () => {
    hub.fault(name, { kind: "garble" }, { kind: "garble" });
    await expect(get()).rejects.toMatchObject({ code: "changed", message: expect.stringContaining("hash") });
    expect(existsSync(target())).toBe(false);
    expect(existsSync(`${target()}.incomplete`)).toBe(false);
  });

  it("notices that the file became another one", async () => {
    hub.fault(name, { kind: "cut", after: 60_000 });
    hub.replace(name, content);
    const other = content.map((byte) => byte ^ 1);
    const going = get({ wait: async () => hub.replace(name, other) });
    await expect(going).rejects.toThrow(ChangedError);
    expect(existsSync(`${target()}.incomplete`)).toBe(false);
  });

  it("throws bytes of unknown origin away", async () => {
    await writeFile(`${target()}.incomplete`, new Uint8Array(5000));
    await get();
    await expectWhole();
    expect(hub.requests.some((request) => request.includes("bytes="))).toBe(false);
  });

  it("tells progress: bytes, rate, time left, and why it tries again", async () => {
    const events: DownloadProgress[] = [];
    hub.fault(name, { kind: "cut", after: 100_000 });
    await get({ onProgress: (event) => events.push(event) });
    const retry = events.find((event) => event.retry);
    expect(retry?.retry?.reason).toMatch(/connection/);
    const last = events.at(-1)!;
    expect(last).toMatchObject({ file: name, received: content.length, total: content.length });
    expect(last.bytesPerSecond).toBeGreaterThan(0);
    expect(last.secondsLeft).toBe(0);
  });

  it("stops when asked to", async () => {
    const stop = new AbortController();
    hub.fault(name, { kind: "stall", after: 10 });
    const going = get({ signal: stop.signal, stallMs: 60_000, onProgress: () => stop.abort(new Error("enough")) });
    await expect(going).rejects.toThrow("enough");
    expect(existsSync(target())).toBe(false);
  });

  it("never sends the token to another origin", async () => {
    const seen: (string | null)[] = [];
    const storage = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        seen.push(request.headers.get("authorization"));
        return new Response(content);
      },
    });
    const front = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        seen.push(request.headers.get("authorization"));
        return Response.redirect(`http://127.0.0.1:${storage.port}/blob`, 302);
      },
    });
    try {
      await download(`http://127.0.0.1:${front.port}/x`, target(), {
        label: name,
        token: "secret",
        hash: hash(content),
      });
    } finally {
      await front.stop(true);
      await storage.stop(true);
    }
    expect(seen).toEqual(["Bearer secret", null]);
    await expectWhole();
  });
});

describe("Retry-After", () => {
  it("is read as seconds or as a date, and never trusted beyond five minutes", () => {
    const at = (value: string): number | null => retryAfter(new Headers({ "retry-after": value }), 0);
    expect([at("3"), at("0"), at("100000"), at("soon"), at("-5")]).toEqual([3000, 0, 300_000, null, null]);
    expect(at(new Date(10_000).toUTCString())).toBe(10_000);
    expect(retryAfter(new Headers())).toBeNull();
  });
});
