// Backbones of this process, loaded once and shared by all runs: a sweep in a notebook reads and uploads them once.
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { HubError, hubFiles } from "#toolkit/batches/index.ts";
import type { BackboneShape } from "#toolkit/models/contract.ts";
import { type FetchFiles, resolveModel } from "#toolkit/models/resolve.ts";
import { inspectT5, loadT5, type T5Config, type T5Model } from "#toolkit/models/t5/index.ts";
import type { EngineChoice, Precision } from "#toolkit/tensor/contract.ts";
import { currentEngine, useEngine } from "#toolkit/tensor/index.ts";
import { loadTokenizer, type Tokenizer, TokenizerError } from "#toolkit/tokenizers/index.ts";
import { WeightsError } from "#toolkit/weights/index.ts";

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

const tokenizers = new Map<string, Promise<Tokenizer>>();

/** The tokenizer of a folder, read again only where its file has changed. */
function tokenizerOf(folder: string): Promise<Tokenizer> {
  const info = statSync(join(folder, "tokenizer.json"), { throwIfNoEntry: false });
  const key = `${folder} ${info?.mtimeMs} ${info?.size}`;
  const known = tokenizers.get(key);
  if (known !== undefined) return known;
  const promise = loadTokenizer(folder);
  tokenizers.set(key, promise);
  promise.catch(() => tokenizers.delete(key));
  return promise;
}

/** What shows that a tokenizer is not the one its model was trained with. */
function tokenizerProblems(model: string, tokenizer: Tokenizer, config: T5Config): string[] {
  const wrong: string[] = [];
  if (tokenizer.vocabularySize > config.vocabSize)
    wrong.push(`it has ${tokenizer.vocabularySize} token ids, and the embedding ${config.vocabSize} rows`);
  if (tokenizer.endId !== config.eosTokenId)
    wrong.push(`its end token has the id ${tokenizer.endId}, and config.json's eos_token_id is ${config.eosTokenId}`);
  if (wrong.length === 0) return [];
  return [
    `the tokenizer of ${model} does not fit its model: ${wrong.join("; ")}. Use the tokenizer.json that the model was trained with`,
  ];
}

/** A backbone as its small files tell it. What could not be read is null, and `problems` says why. */
export interface InspectedBackbone {
  readonly shape: BackboneShape | null;
  readonly tokenizer: Tokenizer | null;
  readonly problems: readonly string[];
}

/**
 * Looks at a backbone without loading it, and without an engine: config.json, tokenizer.json and the headers of its
 * weights. Of a model of the hub the small files are fetched; weights that are not there yet are no problem.
 */
export async function inspectBackbone(model: string): Promise<InspectedBackbone> {
  let path: string;
  try {
    path = resolve(await resolveModel(model, fetchFiles, { weights: false }));
  } catch (error) {
    return { shape: null, tokenizer: null, problems: [messageOf(error)] };
  }
  const problems: string[] = [];
  const tokenizer = await tokenizerOf(path).catch((error: unknown) => {
    if (!(error instanceof TokenizerError)) throw error;
    problems.push(error.message);
    return null;
  });
  try {
    const { config, shape, weights } = inspectT5(path, { name: model });
    if (weights !== null && isFolder(model)) problems.push(weights);
    if (tokenizer !== null) problems.push(...tokenizerProblems(model, tokenizer, config));
    return { shape, tokenizer, problems };
  } catch (error) {
    if (!(error instanceof WeightsError)) throw error;
    return { shape: null, tokenizer, problems: [error.message, ...problems] };
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

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
    const tokenizer = await tokenizerOf(path);
    const [problem] = tokenizerProblems(folder, tokenizer, inspectT5(path).config);
    if (problem !== undefined) throw new WeightsError(`${problem}.`);
    return { model: loadT5(path, { store, name: folder }), tokenizer };
  };
  const promise = load();
  loaded.set(key, promise);
  promise.catch(() => loaded.delete(key));
  return promise;
}
