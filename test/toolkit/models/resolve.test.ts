// Finding a model: a folder is itself, a hub id is fetched file by file, shards included.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { type FetchFiles, resolveModel } from "#toolkit/models/resolve.ts";
import { writeJson } from "#toolkit/weights/index.ts";

const root = mkdtempSync(join(tmpdir(), "bunsen-resolve-"));
const hub = join(root, "hub");
const cache = join(root, "cache");
const asked: string[] = [];
afterAll(() => rmSync(root, { recursive: true }));

/** A hub in a folder: fetching is copying into the cache. */
const fetch: FetchFiles = async (repo, names) => {
  asked.push(...names);
  if (names.some((name) => !existsSync(join(hub, repo, name)))) return null;
  mkdirSync(cache, { recursive: true });
  return names.map((name) => {
    copyFileSync(join(hub, repo, name), join(cache, name));
    return { name, path: join(cache, name) };
  });
};

function repository(files: Readonly<Record<string, unknown>>): void {
  for (const [name, content] of Object.entries(files)) writeJson(join(hub, "some/model", name), content);
}

beforeEach(() => {
  rmSync(hub, { recursive: true, force: true });
  rmSync(cache, { recursive: true, force: true });
  mkdirSync(join(hub, "some/model"), { recursive: true });
  asked.length = 0;
});

test("a folder is taken as it is, without asking anybody", async () => {
  expect(await resolveModel(hub, fetch)).toBe(hub);
  expect(asked).toEqual([]);
});

test("an id is fetched with its weights and whatever tokenizer it has", async () => {
  repository({ "config.json": {}, "model.safetensors": 1, "tokenizer.json": {} });
  expect(await resolveModel("some/model", fetch)).toBe(cache);
  expect(["config.json", "model.safetensors", "tokenizer.json"].every((name) => existsSync(join(cache, name)))).toBe(
    true,
  );
});

test("all shards of an index are fetched, each once", async () => {
  const weight_map = { a: "model-1.safetensors", b: "model-2.safetensors", c: "model-1.safetensors" };
  repository({
    "config.json": {},
    "model.safetensors.index.json": { weight_map },
    "model-1.safetensors": 1,
    "model-2.safetensors": 1,
  });
  await resolveModel("some/model", fetch);
  expect(asked.filter((name) => name.startsWith("model-"))).toEqual(["model-1.safetensors", "model-2.safetensors"]);
});

test("what is no model is told: a path that does not exist, no config, pickled weights, an index that leads outside", async () => {
  await expect(resolveModel("/no/such/folder", fetch)).rejects.toThrow(
    /no model at "\/no\/such\/folder": expected a folder/,
  );
  await expect(resolveModel(`${join(root, "x").slice(1)}`, fetch)).rejects.toThrow(/no model at/);
  await expect(resolveModel("test/no-such-model", fetch)).rejects.toThrow(/no model at "test\/no-such-model"/);
  const unreachable: FetchFiles = () => Promise.reject(new Error("no network"));
  await expect(resolveModel("some/model", unreachable)).rejects.toThrow(
    /no folder some\/model here, and .* no network/,
  );
  await expect(resolveModel("some/model", fetch)).rejects.toThrow(/holds no config.json/);
  repository({ "config.json": {}, "pytorch_model.bin": 1 });
  await expect(resolveModel("some/model", fetch)).rejects.toThrow(/holds no safetensors.*pickle runs code/s);
  repository({ "model.safetensors.index.json": { weight_map: { a: "../../etc/x.safetensors" } } });
  await expect(resolveModel("some/model", fetch)).rejects.toThrow(
    /must name .safetensors files beside it, not "..\/..\/etc/,
  );
  repository({ "model.safetensors.index.json": { weight_map: { a: "gone.safetensors" } } });
  await expect(resolveModel("some/model", fetch)).rejects.toThrow(
    /lacks a shard that its index names: gone.safetensors/,
  );
});
