// Backbones of this process, loaded once and shared by all runs: a sweep in a notebook reads and uploads them once.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { loadT5, type T5Model } from "#toolkit/models/t5/index.ts";
import type { EngineChoice, Precision } from "#toolkit/tensor/contract.ts";
import { currentEngine, useEngine } from "#toolkit/tensor/index.ts";
import { loadTokenizer, type Tokenizer } from "#toolkit/tokenizers/index.ts";

export interface LoadedBackbone {
  readonly model: T5Model;
  readonly tokenizer: Tokenizer;
}

const loaded = new Map<string, Promise<LoadedBackbone>>();

/**
 * The model and tokenizer of a folder, on the engine in use.
 * @throws Error where the folder lacks weights or tokenizer, or where the tokenizer has ids beyond the embedding table.
 */
export async function loadBackbone(
  folder: string,
  engine: EngineChoice = "auto",
  precision: Precision = "f32",
): Promise<LoadedBackbone> {
  await useEngine(engine === "auto" ? undefined : engine);
  const path = resolve(folder);
  const store = precision === "bf16" ? "bf16" : "f32";
  const key = `${currentEngine().name} ${store} ${path}`;
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const load = async (): Promise<LoadedBackbone> => {
    if (!existsSync(path)) {
      throw new Error(
        `No model at ${folder}: expected a folder with config.json, model.safetensors and tokenizer.json.`,
      );
    }
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
