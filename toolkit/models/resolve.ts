// From a hub id or a folder to a folder that holds a model: which files a model needs, shards included. How files are
// fetched is the caller's (`FetchFiles`), so that this room knows no network.
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readJsonObject, WeightsError } from "#toolkit/weights/index.ts";

export interface FetchedFile {
  /** Path in the repository. */
  readonly name: string;
  /** Path on disk. */
  readonly path: string;
}

/**
 * Fetches files of a model repository, all into one folder.
 * @returns the files; null where the repository exists and lacks one of them
 */
export type FetchFiles = (repo: string, names: readonly string[]) => Promise<readonly FetchedFile[] | null>;

/** Files that a model may lack: their use is not in the weights. */
const optional = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"];

/** What an id of the hub looks like: `t5-base` or `google-t5/t5-base`. */
const hubId = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;

/**
 * The folder of a model.
 * @param model a folder, or a hub id
 * @param fetch how files of the hub are fetched
 * @param options.weights false: of a hub's model only its small files, to look at it before it is loaded
 * @throws WeightsError where it is neither, or the repository has no safetensors
 */
export async function resolveModel(
  model: string,
  fetch: FetchFiles,
  options: { readonly weights?: boolean } = {},
): Promise<string> {
  if (existsSync(model) && statSync(model).isDirectory()) return model;
  // A misspelt path must not end in minutes of asking the network: where its parent is a folder here, it was meant as one.
  const parent = dirname(model);
  if (!hubId.test(model) || (parent !== "." && existsSync(parent)))
    throw new WeightsError(
      `no model at ${JSON.stringify(model)}: expected a folder with config.json and model.safetensors, or a hub id such as google-t5/t5-base`,
    );
  let config: FetchedFile | undefined;
  try {
    config = (await fetch(model, ["config.json"]))?.[0];
  } catch (cause) {
    throw new WeightsError(`no folder ${model} here, and as a hub id it failed: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!config)
    throw new WeightsError(`the repository ${model} holds no config.json, or does not exist; it is no model`);
  const folder = dirname(config.path);
  if (options.weights !== false) await fetchWeights(model, fetch, folder);
  for (const name of optional) await fetch(model, [name]);
  return folder;
}

async function fetchWeights(model: string, fetch: FetchFiles, folder: string): Promise<void> {
  if (await fetch(model, ["model.safetensors"])) return;
  const index = (await fetch(model, ["model.safetensors.index.json"]))?.[0];
  if (!index)
    throw new WeightsError(
      `the repository ${model} holds no safetensors (or, offline, the cache has none): expected model.safetensors or model.safetensors.index.json. Pickled ` +
        "weights (.bin) are not read, since reading a pickle runs code; take a revision with safetensors, or convert once " +
        "in Python with model.save_pretrained(folder, safe_serialization=True) and give that folder",
    );
  const map = readJsonObject(index.path).weight_map;
  const shards = [...new Set(Object.values(typeof map === "object" && map !== null ? map : {}))];
  const wrong = shards.find(
    (shard) => typeof shard !== "string" || shard !== basename(shard) || !shard.endsWith(".safetensors"),
  );
  if (shards.length === 0 || wrong !== undefined)
    throw new WeightsError(
      `${join(folder, "model.safetensors.index.json")}: weight_map must name .safetensors files beside it, not ${JSON.stringify(wrong ?? map)}`,
    );
  if (!(await fetch(model, shards as string[])))
    throw new WeightsError(`the repository ${model} lacks a shard that its index names: ${shards.join(", ")}`);
}
