// Connection files: good ones, and every mistake told at once in one line.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parseConnectionFile, readConnectionFile } from "#kernel/protocol/connection-file.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-connection-"));
afterAll(() => rmSync(folder, { recursive: true }));

const good = {
  transport: "tcp",
  ip: "127.0.0.1",
  shell_port: 1,
  control_port: 2,
  stdin_port: 3,
  iopub_port: 4,
  hb_port: 5,
  key: "k",
  signature_scheme: "hmac-sha256",
  kernel_name: "bunsen",
};

function file(name: string, content: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

test("a file as Jupyter writes it", async () => {
  const warnings: string[] = [];
  const info = await readConnectionFile(file("good.json", JSON.stringify(good)), (line) => warnings.push(line));
  expect(info).toEqual({
    transport: "tcp",
    ip: "127.0.0.1",
    shellPort: 1,
    controlPort: 2,
    stdinPort: 3,
    iopubPort: 4,
    hbPort: 5,
    key: "k",
    digest: "sha256",
  });
  expect(warnings).toEqual([]);
});

test("a file that others may read is used with a warning, one that others may write is refused", async () => {
  const warnings: string[] = [];
  await readConnectionFile(file("readable.json", JSON.stringify(good), 0o644), (line) => warnings.push(line));
  expect(warnings).toEqual([expect.stringMatching(/mode 0644.*chmod 600/)]);
  const writable = file("writable.json", JSON.stringify(good), 0o666);
  await expect(readConnectionFile(writable, () => {})).rejects.toThrow(/only its owner may write, got mode 0666/);
});

test("no file, and a folder in its place", async () => {
  await expect(readConnectionFile(join(folder, "none.json"), () => {})).rejects.toThrow(/none\.json: no such file/);
  await expect(readConnectionFile(folder, () => {})).rejects.toThrow(/expected a file, got something else/);
});

test("no JSON", () => {
  expect(() => parseConnectionFile("{oops", "f")).toThrow(/connection file f: expected a JSON object, got "{oops"/);
  expect(() => parseConnectionFile("[]", "f")).toThrow(/expected a JSON object/);
});

test("all mistakes at once", () => {
  const bad = {
    ...good,
    transport: "udp",
    shell_port: "1",
    hb_port: 70000,
    iopub_port: 3,
    signature_scheme: "hmac-rot13",
    key: 1,
  };
  expect(() => parseConnectionFile(JSON.stringify(bad), "f")).toThrow(
    /transport: expected "tcp" or "ipc", got "udp".*shell_port: .*got "1".*hb_port: .*got 70000.*five different ones.*key: .*signature_scheme: .*rot13/,
  );
});
