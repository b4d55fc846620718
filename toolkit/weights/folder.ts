// A model or adapter folder in the hub's layout: its config and its weights, in one file or in shards with an index.
// Pickled weights are refused: reading them would run code.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { WeightsError } from "./errors.ts";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorBytes,
  type TensorData,
  type TensorInfo,
} from "./safetensors.ts";

/** Tensors by name, wherever they lie. */
export interface WeightSource {
  readonly names: readonly string[];
  /** The file's own notes; of shards, the first one's. */
  readonly metadata: Readonly<Record<string, string>>;
  info(name: string): TensorInfo | undefined;
  /** @throws WeightsError where there is no such tensor. */
  bytes(name: string): TensorBytes;
  /** @throws WeightsError where there is no such tensor. */
  read(name: string): TensorData;
}

/**
 * Reads and parses a JSON file that must hold an object.
 * @throws WeightsError naming the file and what is wrong with it.
 */
export function readJsonObject(path: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new WeightsError(`cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new WeightsError(`${path} must hold a JSON object, not ${JSON.stringify(json)?.slice(0, 40)}`);
  return json as Record<string, unknown>;
}

/**
 * The weights of a folder: `<stem>.safetensors`, or the shards that `<stem>.safetensors.index.json` lists.
 * @throws WeightsError for a missing folder, missing or pickled weights, and an index that does not fit its shards.
 */
export function openWeights(folder: string, stem = "model"): WeightSource {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new WeightsError(`no folder ${folder}; expected a folder with ${stem}.safetensors`);
  const single = join(folder, `${stem}.safetensors`);
  if (existsSync(single)) return fromFile(openSafetensors(single));
  const index = join(folder, `${stem}.safetensors.index.json`);
  if (existsSync(index)) return fromShards(folder, index);
  const files = readdirSync(folder);
  const pickled = files.filter((file) => /\.(bin|pt|pth|ckpt|h5|msgpack)$/.test(file));
  if (pickled.length > 0)
    throw new WeightsError(
      `${folder} holds its weights as ${pickled.join(", ")}: pickled and foreign formats are not read, since reading a ` +
        `pickle runs code. Expected ${stem}.safetensors; convert once in Python with ` +
        `model.save_pretrained(folder, safe_serialization=True), or take a revision of the model that has safetensors.`,
    );
  throw new WeightsError(
    `${folder} holds no weights: expected ${stem}.safetensors or ${stem}.safetensors.index.json, found ` +
      `${files.length > 0 ? files.slice(0, 12).join(", ") : "an empty folder"}`,
  );
}

function fromFile(file: SafetensorsFile): WeightSource {
  return {
    names: [...file.tensors.keys()],
    metadata: file.metadata,
    info: (name) => file.tensors.get(name),
    bytes: (name) => file.bytes(name),
    read: (name) => file.read(name),
  };
}

function fromShards(folder: string, index: string): WeightSource {
  const map = readJsonObject(index).weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    throw new WeightsError(`${index}: expected "weight_map", an object of tensor names and shard files`);
  const files = new Map<string, SafetensorsFile>();
  const owner = new Map<string, SafetensorsFile>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || shard !== basename(shard) || !shard.endsWith(".safetensors"))
      throw new WeightsError(
        `${index}: the shard of ${name} must be a .safetensors file of the same folder, not ${JSON.stringify(shard)}`,
      );
    let file = files.get(shard);
    if (!file) {
      const path = join(folder, shard);
      if (!existsSync(path))
        throw new WeightsError(`${index} lists ${shard}, which is not in ${folder}; download it too`);
      file = openSafetensors(path);
      files.set(shard, file);
    }
    if (!file.tensors.has(name)) throw new WeightsError(`${index} places ${name} in ${shard}, which does not hold it`);
    owner.set(name, file);
  }
  for (const [shard, file] of files)
    for (const name of file.tensors.keys())
      if (owner.get(name) !== file)
        throw new WeightsError(
          `${shard} holds ${name}, which the index places ${owner.has(name) ? "elsewhere" : "nowhere"}`,
        );
  const owning = (name: string): SafetensorsFile => {
    const file = owner.get(name);
    if (!file) throw new WeightsError(`${index} lists no tensor ${JSON.stringify(name)}`);
    return file;
  };
  return {
    names: [...owner.keys()],
    metadata: [...files.values()][0]?.metadata ?? {},
    info: (name) => owner.get(name)?.tensors.get(name),
    bytes: (name) => owning(name).bytes(name),
    read: (name) => owning(name).read(name),
  };
}
