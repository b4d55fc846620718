// Files are whole or absent, and locks hold one at a time: among calls, against the living and after the dead.
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withLock, writeAtomically } from "#toolkit/batches/files.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-files-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("writing atomically", () => {
  it("leaves the old file or the new one, and nothing beside it", async () => {
    const path = join(folder, "deep/er/file.txt");
    await writeAtomically(path, "one");
    await Promise.all(Array.from({ length: 20 }, (_, i) => writeAtomically(path, `${i}`.repeat(10_000))));
    expect(await readFile(path, "utf8")).toMatch(/^(\d+)\1*$/);
    expect(await readdir(join(folder, "deep/er"))).toEqual(["file.txt"]);
    await expect(writeAtomically(join(path, "below"), "x")).rejects.toThrow();
  });
});

describe("a lock", () => {
  it("holds one at a time and is gone afterwards", async () => {
    let inside = 0;
    let most = 0;
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        withLock(
          join(folder, "x"),
          async () => {
            most = Math.max(most, ++inside);
            await new Promise((resolve) => setImmediate(resolve));
            order.push(i);
            inside--;
          },
          { pollMs: 1 },
        ),
      ),
    );
    expect(most).toBe(1);
    expect(order.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await readdir(folder)).toEqual([]);
  });

  it("is released by an error", async () => {
    const failing = withLock(join(folder, "x"), async () => {
      throw new Error("work failed");
    });
    await expect(failing).rejects.toThrow("work failed");
    expect(await withLock(join(folder, "x"), async () => 7)).toBe(7);
  });

  it("of a process that is dead is taken over at once", async () => {
    const child = Bun.spawn([process.execPath, "-e", ""]);
    await child.exited;
    await writeFile(join(folder, "x.lock"), `${hostname()} ${child.pid} 0`);
    const stop = AbortSignal.timeout(30_000);
    expect(await withLock(join(folder, "x"), async () => "mine", { signal: stop })).toBe("mine");
    expect(await readdir(folder)).toEqual([]);
  });

  it("of a process that lives is waited for, and says so", async () => {
    await writeFile(join(folder, "x.lock"), `${hostname()} ${process.pid} other`);
    let waited = 0;
    const stop = new AbortController();
    const waiting = withLock(join(folder, "x"), async () => "never", {
      pollMs: 1,
      signal: stop.signal,
      onWait: () => {
        waited++;
        stop.abort(new Error("enough"));
      },
    });
    await expect(waiting).rejects.toThrow("enough");
    expect(waited).toBe(1);
    expect(await readdir(folder)).toEqual(["x.lock"]);
  });

  it("of another machine is taken over when it has not been touched for long", async () => {
    await writeFile(join(folder, "x.lock"), "elsewhere 1 0");
    const old = new Date(Date.now() - 60_000);
    await utimes(join(folder, "x.lock"), old, old);
    expect(await withLock(join(folder, "x"), async () => 1, { signal: AbortSignal.timeout(5000) })).toBe(1);
  });
});
