// Backbones of this process, loaded once and shared by all runs: a sweep in a notebook reads and uploads them once.
import { resolve } from "node:path";
import { HubError, hubFiles } from "#toolkit/batches/index.ts";
import { type FetchFiles, resolveModel } from "#toolkit/models/resolve.ts";
import { loadT5, type T5Model } from "#toolkit/models/t5/index.ts";
import type { EngineChoice, Precision } from "#toolkit/tensor/contract.ts";
import { currentEngine, useEngine } from "#toolkit/tensor/index.ts";
import { loadTokenizer, type Tokenizer } from "#toolkit/tokenizers/index.ts";

export interface LoadedBackbone {
  readonly model: T5Model;
  readonly tokenizer: Tokenizer;
}

const loaded = new Map<string, Promise<LoadedBackbone>>();

/** Model files from the hub's cache or the hub; null where the repository lacks one. */
const fetchFiles: FetchFiles = async (repo, names) => {
  try {
    return await hubFiles(repo, names, { kind: "models" });
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    // Offline, a file that is not cached may as well not exist: a sharded model has no model.safetensors to miss.
    if (error.code === "not-found" || (error.code === "offline" && names[0] !== "config.json")) return null;
    throw error;
  }
};

/**
 * The model and tokenizer of a folder or a hub id, on the engine in use.
 * @throws Error where it is neither, where the folder lacks weights or tokenizer, or where the tokenizer has ids beyond the embedding table.
 */
export async function loadBackbone(
  folder: string,
  engine: EngineChoice = "auto",
  precision: Precision = "f32",
): Promise<LoadedBackbone> {
  await useEngine(engine === "auto" ? undefined : engine);
  const path = resolve(await resolveModel(folder, fetchFiles));
  const store = precision === "bf16" ? "bf16" : "f32";
  const key = `${currentEngine().name} ${store} ${path}`;
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const load = async (): Promise<LoadedBackbone> => {
    const tokenizer = await loadTokenizer(path);
    const model = loadT5(path, { store });
    if (tokenizer.vocabularySize > model.config.vocabSize) {
      throw new Error(
        `The tokenizer of ${folder} does not fit its model: ${tokenizer.vocabularySize} token ids, but an embedding of ${model.config.vocabSize} rows. Use the tokenizer.json the model was trained with.`,
      );
    }
    return { model, tokenizer };
  };
  const promise = load();
  loaded.set(key, promise);
  promise.catch(() => loaded.delete(key));
  return promise;
}
