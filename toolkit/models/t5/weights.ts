// T5's weights: their names and shapes in a checkpoint, loading from a folder, drawing at random, saving. The names
// are the hub's own and are used throughout. Not here: what is computed with them (model.ts).
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Backbone, BackboneShape } from "#toolkit/models/contract.ts";
import { hostRandom, normalValues } from "#toolkit/nn/index.ts";
import { tf, type WeightStore } from "#toolkit/tensor/index.ts";
import {
  fromTensors,
  loadWeights,
  openWeights,
  readJsonObject,
  sampleValues,
  type WeightSource,
  WeightsError,
  weightProblems,
  writeJson,
  writeSafetensors,
} from "#toolkit/weights/index.ts";
import { formatT5Config, parseT5Config, type T5Config } from "./config.ts";

/** A T5 in memory: its shape and its frozen weights, kept on the device until `dispose`. */
export interface T5Model {
  readonly config: T5Config;
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  readonly backbone: Backbone;
  /** Where it came from, for messages and saved adapters. */
  readonly name: string;
  dispose(): void;
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** Names and shapes of every weight, the head's own table (`lm_head.weight`) left out. */
export function t5Shapes(config: T5Config): Shapes {
  const { hiddenSize: h, feedForwardSize: f, numHeads, headSize, relativeAttentionNumBuckets: buckets } = config;
  const inner = numHeads * headSize;
  const shapes = new Map<string, readonly number[]>([["shared.weight", [config.vocabSize, h]]]);
  const attention = (prefix: string, kind: string): void => {
    for (const part of ["q", "k", "v"]) shapes.set(`${prefix}.${kind}.${part}.weight`, [inner, h]);
    shapes.set(`${prefix}.${kind}.o.weight`, [h, inner]);
    shapes.set(`${prefix}.layer_norm.weight`, [h]);
  };
  for (const [stack, layers] of stacks(config)) {
    for (let i = 0; i < layers; i++) {
      const block = `${stack}.block.${i}`;
      attention(`${block}.layer.0`, "SelfAttention");
      if (i === 0) shapes.set(`${block}.layer.0.SelfAttention.relative_attention_bias.weight`, [buckets, numHeads]);
      if (stack === "decoder") attention(`${block}.layer.1`, "EncDecAttention");
      const last = `${block}.layer.${stack === "decoder" ? 2 : 1}`;
      for (const part of config.gated ? ["wi_0", "wi_1"] : ["wi"])
        shapes.set(`${last}.DenseReluDense.${part}.weight`, [f, h]);
      shapes.set(`${last}.DenseReluDense.wo.weight`, [h, f]);
      shapes.set(`${last}.layer_norm.weight`, [h]);
    }
    shapes.set(`${stack}.final_layer_norm.weight`, [h]);
  }
  return shapes;
}

function stacks(config: T5Config): readonly (readonly ["encoder" | "decoder", number])[] {
  return [
    ["encoder", config.numEncoderLayers],
    ["decoder", config.numDecoderLayers],
  ];
}

/** Names in real checkpoints that carry nothing: copies of `shared`, and a table no layer ever read. */
const redundant =
  /^((encoder|decoder)\.embed_tokens\.weight|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight)$/;

/** A T5's folder by its small files and the headers of its weights: no weight is read but the few of the sample. */
export interface T5Inspection {
  readonly config: T5Config;
  readonly shape: BackboneShape;
  /** Why its weights cannot be loaded, or null. */
  readonly weights: string | null;
}

/**
 * Looks at a T5's folder without loading it.
 * @param options.name for messages, instead of the folder
 * @throws WeightsError where there is no config.json, or it does not describe a T5
 */
export function inspectT5(folder: string, options: { readonly name?: string } = {}): T5Inspection {
  const config = readConfig(folder);
  const { name = folder } = options;
  let shapes = new Map(t5Shapes(config));
  let weights: string | null = null;
  let sample: readonly number[] | undefined;
  try {
    const opened = openT5(folder, config);
    shapes = opened.shapes;
    weights = weightProblems(opened.source, shapes, opened.options);
    if (weights === null) sample = sampleOf(opened);
  } catch (error) {
    if (!(error instanceof WeightsError)) throw error;
    weights = error.message;
  }
  let numParameters = 0;
  for (const shape of shapes.values()) numParameters += shape.reduce((product, size) => product * size, 1);
  return {
    config,
    weights,
    shape: {
      ...sizesOf(config),
      name,
      numParameters,
      weights: new Map([...shapes].map(([key, shape]) => [key, { shape }])),
      ...(sample === undefined ? {} : { sample }),
    },
  };
}

interface OpenedT5 {
  readonly source: WeightSource;
  readonly shapes: Map<string, readonly number[]>;
  readonly options: {
    readonly folder: string;
    readonly redundant: RegExp;
    readonly nameOf: (name: string) => string;
  };
}

function readConfig(folder: string): T5Config {
  const configPath = join(folder, "config.json");
  if (!existsSync(configPath))
    throw new WeightsError(`${folder} is no model folder: expected config.json and model.safetensors in it`);
  return parseT5Config(readJsonObject(configPath), configPath);
}

function openT5(folder: string, config: T5Config): OpenedT5 {
  const source = openWeights(folder);
  const shapes = new Map(t5Shapes(config));
  if (source.info("lm_head.weight")) shapes.set("lm_head.weight", [config.vocabSize, config.hiddenSize]);
  const available = new Set(source.names);
  const nameOf = (name: string): string => {
    if (available.has(name) || name !== "shared.weight") return name;
    return ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"].find((copy) => available.has(copy)) ?? name;
  };
  return { source, shapes, options: { folder, redundant, nameOf } };
}

/** Values of a backbone's sample: of so many of its matrices, evenly chosen. */
const sampled = 16;

function sampleOf({ source, shapes, options }: OpenedT5): number[] {
  const matrices = [...shapes].filter(([, shape]) => shape.length === 2).map(([name]) => options.nameOf(name));
  const count = Math.min(sampled, matrices.length);
  const chosen = Array.from({ length: count }, (_, i) => matrices[Math.floor((i * matrices.length) / count)]!);
  return sampleValues(source, chosen);
}

/**
 * Loads a T5 from a folder with config.json and safetensors (one file or shards; F32, BF16 or F16).
 * @param options.store how frozen weights are kept on the device
 * @throws WeightsError naming every weight that is missing, unknown or of another shape.
 */
export function loadT5(
  folder: string,
  options: { readonly store?: WeightStore; readonly name?: string } = {},
): T5Model {
  const config = readConfig(folder);
  const opened = openT5(folder, config);
  const { source, shapes } = opened;
  const weights = loadWeights(source, shapes, { ...opened.options, store: options.store ?? "f32" });
  const { name = folder } = options;
  const model = t5Model(config, weights, name);
  return { ...model, backbone: { ...model.backbone, name, sample: sampleOf(opened) } };
}

/** A backbone's sizes, in the words of the contract. */
function sizesOf(config: T5Config): Omit<BackboneShape, "weights" | "numParameters"> {
  return {
    modelType: "t5",
    hiddenSize: config.hiddenSize,
    feedForwardSize: config.feedForwardSize,
    numHeads: config.numHeads,
    headSize: config.headSize,
    numEncoderLayers: config.numEncoderLayers,
    numDecoderLayers: config.numDecoderLayers,
    vocabSize: config.vocabSize,
  };
}

/** A T5 from weights in memory; takes them over. */
export function t5Model(config: T5Config, weights: ReadonlyMap<string, tf.Tensor>, name = "t5"): T5Model {
  for (const weight of weights.values()) tf.keep(weight);
  let numParameters = 0;
  for (const weight of weights.values()) numParameters += weight.size;
  return {
    config,
    weights,
    name,
    backbone: {
      ...sizesOf(config),
      numParameters,
      embeddings: weights.get("shared.weight")!,
      weights,
    },
    dispose: () => {
      for (const weight of weights.values()) {
        weight.kept = false;
        weight.dispose();
      }
    },
  };
}

/**
 * A T5 with random weights, drawn with the standard deviations of transformers' T5 initialisation.
 * @param options.tied false gives the head a table of its own (v1.1)
 */
export function randomT5(
  config: T5Config,
  options: { readonly seed: number; readonly tied?: boolean; readonly name?: string },
): T5Model {
  const { hiddenSize: h, feedForwardSize: f, numHeads, headSize } = config;
  const deviation = (name: string): number => {
    if (name === "shared.weight" || name === "lm_head.weight") return 1;
    if (name.endsWith(".q.weight")) return (h * headSize) ** -0.5;
    if (name.endsWith(".o.weight")) return (numHeads * headSize) ** -0.5;
    if (name.endsWith(".wo.weight")) return f ** -0.5;
    return h ** -0.5;
  };
  const random = hostRandom(options.seed);
  const shapes = new Map(t5Shapes(config));
  if (options.tied === false) shapes.set("lm_head.weight", [config.vocabSize, h]);
  const weights = new Map<string, tf.Tensor>();
  for (const [name, shape] of shapes) {
    const size = shape.reduce((product, n) => product * n, 1);
    const values = name.endsWith("layer_norm.weight")
      ? new Float32Array(size).fill(1)
      : normalValues(random, size, deviation(name));
    weights.set(name, tf.tensor(values, [...shape]));
  }
  return t5Model(config, weights, options.name ?? "random-t5");
}

/** Writes config.json and model.safetensors, which transformers loads too. `replaced` overrides weights by name. */
export async function saveT5(
  model: T5Model,
  folder: string,
  replaced: Readonly<Record<string, tf.Tensor>> = {},
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const tensors = await fromTensors({ ...Object.fromEntries(model.weights), ...replaced });
  writeSafetensors(join(folder, "model.safetensors"), tensors);
  writeJson(join(folder, "config.json"), formatT5Config(model.config, !model.weights.has("lm_head.weight")));
}
