// Adapters as folders: adapter_config.json and adapter_model.safetensors, PEFT's own layout wherever PEFT has the
// method. What a folder of a method that PEFT lacks holds is said in its config under `bunsen`.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Backbone, BackboneShape } from "#toolkit/models/contract.ts";
import {
  type BackboneRecord,
  backboneDifference,
  backboneRecord,
  parseBackboneRecord,
} from "#toolkit/models/identity.ts";
import { tf } from "#toolkit/tensor/index.ts";
import {
  fromTensors,
  makeFolder,
  openWeights,
  readJsonObject,
  toTensor,
  type WeightSource,
  WeightsError,
  writeJson,
  writeSafetensors,
} from "#toolkit/weights/index.ts";
import type { Parameters } from "./contract.ts";
import { type AnyMethod, findMethod, methods, validateOptions } from "./methods.ts";

export interface Adapter {
  readonly method: AnyMethod;
  readonly options: Record<string, unknown>;
  readonly parameters: Parameters;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface SaveContext {
  readonly backbone: Backbone;
  /** Hub id or folder of the base model, for `base_model_name_or_path`. */
  readonly baseModel?: string;
}

/** Under this name the weights' file says which backbone it was trained on. */
const recordKey = "bunsen.backbone";

/** Writes an adapter folder; each file whole or not at all, the weights first. */
export async function saveAdapter(
  folder: string,
  method: AnyMethod,
  options: Record<string, unknown>,
  parameters: Parameters,
  context: SaveContext,
): Promise<void> {
  makeFolder(folder);
  const { config, tensors } = method.toFile(parameters, options, context.backbone);
  const values = await fromTensors(tensors);
  for (const [name, tensor] of Object.entries(tensors)) if (parameters[name] !== tensor) tensor.dispose();
  // PEFT reads no metadata: there it is in nobody's way, and it goes wherever the weights go.
  const metadata = { format: "pt", [recordKey]: JSON.stringify(backboneRecord(context.backbone)) };
  writeSafetensors(join(folder, "adapter_model.safetensors"), values, metadata);
  const named = { ...config, base_model_name_or_path: context.baseModel ?? null };
  writeJson(join(folder, "adapter_config.json"), named, { sortKeys: true });
}

/**
 * Reads an adapter folder, written here or by PEFT.
 * @param reader the method that reads it, where it is known; else the folder's config tells
 * @throws WeightsError where files are missing or pickled, are of an unknown kind, or do not fit the backbone
 */
export function loadAdapter(folder: string, backbone?: Backbone, reader?: AnyMethod): Adapter {
  const { config, source, record, ...header } = openAdapter(folder);
  const method = reader ?? header.method;
  const tensors = Object.fromEntries(source.names.map((name) => [name, toTensor(source.read(name))]));
  let loaded: { readonly options: Record<string, unknown>; readonly parameters: Parameters };
  try {
    loaded = method.fromFile(config, tensors);
  } catch (cause) {
    throw new WeightsError(`${folder}: ${(cause as Error).message}`, { cause });
  }
  const { options, parameters } = loaded;
  for (const tensor of Object.values(parameters)) tf.keep(tensor);
  for (const tensor of Object.values(tensors)) if (!Object.values(parameters).includes(tensor)) tensor.dispose();
  if (backbone) {
    const problems = [
      ...validateOptions(method, options, backbone),
      ...adapterBackboneProblems(config, record, backbone),
    ];
    if (method.fits) problems.push(...method.fits(parameters, options, backbone));
    else if (parameters.prompt_embeddings && parameters.prompt_embeddings.shape.at(-1) !== backbone.hiddenSize)
      problems.push(
        `it was trained on a backbone of width ${parameters.prompt_embeddings.shape.at(-1)}; this one (${backbone.modelType}) has ${backbone.hiddenSize}`,
      );
    if (problems.length > 0) throw new WeightsError(`${folder} does not fit the backbone: ${problems.join("; ")}`);
  }
  return { method, options, parameters, config };
}

/** An adapter folder by its config and the header of its weights. */
export interface AdapterHeader {
  readonly method: AnyMethod;
  readonly config: Readonly<Record<string, unknown>>;
  readonly source: WeightSource;
  /** The backbone it was trained on, where it was saved here. */
  readonly record: BackboneRecord | null;
}

/**
 * Opens an adapter folder without reading its weights.
 * @throws WeightsError where files are missing or pickled, or are of an unknown kind
 */
export function openAdapter(folder: string): AdapterHeader {
  const path = join(folder, "adapter_config.json");
  if (!existsSync(path))
    throw new WeightsError(
      `${folder} is no adapter folder: expected adapter_config.json and adapter_model.safetensors`,
    );
  const config = readJsonObject(path);
  const method = methodOf(config, path);
  const source = openWeights(folder, "adapter_model");
  return { method, config, source, record: parseBackboneRecord(source.metadata[recordKey]) };
}

/**
 * What tells that an adapter was trained on another backbone: its own record, else the sizes that PEFT's config
 * repeats. Empty where nothing does.
 */
export function adapterBackboneProblems(
  config: Readonly<Record<string, unknown>>,
  record: BackboneRecord | null,
  backbone: BackboneShape,
): string[] {
  const base = config.base_model_name_or_path;
  const name = typeof base === "string" && base !== "" ? base : undefined;
  if (record !== null) {
    const difference = backboneDifference({ ...record, name }, backbone);
    return difference === null ? [] : [difference];
  }
  const { numEncoderLayers, numDecoderLayers, numHeads, headSize, hiddenSize } = backbone;
  const allowed: Readonly<Record<string, readonly number[]>> = {
    token_dim: [hiddenSize, numHeads * headSize],
    num_layers: [numEncoderLayers, numDecoderLayers],
    num_attention_heads: [numHeads],
  };
  const wrong = Object.entries(allowed).flatMap(([field, values]) =>
    typeof config[field] === "number" && !values.includes(config[field])
      ? [`${field} is ${config[field]}, this backbone has ${[...new Set(values)].join(" or ")}`]
      : [],
  );
  if (wrong.length === 0) return [];
  return [
    `its adapter_config.json${name === undefined ? "" : ` (trained on ${name})`} is of another backbone than ${backbone.name ?? "this one"}: ${wrong.join(", ")}`,
  ];
}

/** Which method reads a config: named under `bunsen`, else found by its peft_type. */
function methodOf(config: Record<string, unknown>, path: string): AnyMethod {
  const own = config.bunsen;
  if (typeof own === "object" && own !== null && "method" in own) return findMethod(String(own.method));
  const found = Object.values<AnyMethod>(methods).find((method) => method.peftType === config.peft_type);
  if (found) return found;
  const known = Object.values<AnyMethod>(methods).flatMap(({ peftType }) => (peftType ? [peftType] : []));
  throw new WeightsError(`${path}: unknown peft_type ${JSON.stringify(config.peft_type)}; known: ${known.join(", ")}`);
}
