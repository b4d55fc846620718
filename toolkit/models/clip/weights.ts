// CLIP's weights: their names and shapes in a checkpoint, loading from a folder, drawing at random. The names are those
// of the hub's converted checkpoints and are used throughout. Not here: what is computed with them (model.ts).
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hostRandom, normalValues } from "#toolkit/nn/index.ts";
import { tf, type WeightStore } from "#toolkit/tensor/index.ts";
import { loadWeights, openWeights, readJsonObject, WeightsError } from "#toolkit/weights/index.ts";
import { type ClipConfig, parseClipConfig, patchCount } from "./config.ts";

/** A CLIP in memory: its shape and its frozen weights, kept on the device until `dispose`. */
export interface ClipModel {
  readonly config: ClipConfig;
  readonly weights: ReadonlyMap<string, tf.Tensor>;
  readonly name: string;
  dispose(): void;
}

/** Names and shapes of every weight. */
export function clipShapes(config: ClipConfig): ReadonlyMap<string, readonly number[]> {
  const { text, vision, projectionSize } = config;
  const [t, v] = [text.hiddenSize, vision.hiddenSize];
  const shapes = new Map<string, readonly number[]>([["logit_scale", []]]);
  const affine = (name: string, outputs: number, inputs?: number): void => {
    shapes.set(`${name}.weight`, inputs === undefined ? [outputs] : [outputs, inputs]);
    shapes.set(`${name}.bias`, [outputs]);
  };
  shapes.set("text_model.embeddings.token_embedding.weight", [text.vocabSize, t]);
  shapes.set("text_model.embeddings.position_embedding.weight", [text.maxPositions, t]);
  shapes.set("vision_model.embeddings.class_embedding", [v]);
  const { numChannels, patchSize } = vision;
  shapes.set("vision_model.embeddings.patch_embedding.weight", [v, numChannels, patchSize, patchSize]);
  shapes.set("vision_model.embeddings.position_embedding.weight", [patchCount(vision) + 1, v]);
  // The misspelling is the checkpoints' own.
  affine("vision_model.pre_layrnorm", v);
  affine("vision_model.post_layernorm", v);
  affine("text_model.final_layer_norm", t);
  for (const [stack, { hiddenSize, feedForwardSize, numLayers }] of [
    ["text_model", text],
    ["vision_model", vision],
  ] as const) {
    for (let i = 0; i < numLayers; i++) {
      const layer = `${stack}.encoder.layers.${i}`;
      affine(`${layer}.layer_norm1`, hiddenSize);
      for (const map of ["q_proj", "k_proj", "v_proj", "out_proj"])
        affine(`${layer}.self_attn.${map}`, hiddenSize, hiddenSize);
      affine(`${layer}.layer_norm2`, hiddenSize);
      affine(`${layer}.mlp.fc1`, feedForwardSize, hiddenSize);
      affine(`${layer}.mlp.fc2`, hiddenSize, feedForwardSize);
    }
  }
  shapes.set("text_projection.weight", [projectionSize, t]);
  shapes.set("visual_projection.weight", [projectionSize, v]);
  return shapes;
}

/** Positions 0, 1, 2, … that old checkpoints carry as a tensor. */
const redundant = /\.embeddings\.position_ids$/;

/**
 * Loads a CLIP from a folder with config.json and safetensors (one file or shards; F32, BF16 or F16).
 * @param options.store how frozen weights are kept on the device
 * @throws WeightsError naming every weight that is missing, unknown or of another shape.
 */
export function loadClip(
  folder: string,
  options: { readonly store?: WeightStore; readonly name?: string } = {},
): ClipModel {
  const configPath = join(folder, "config.json");
  if (!existsSync(configPath))
    throw new WeightsError(`${folder} is no model folder: expected config.json and model.safetensors in it`);
  const config = parseClipConfig(readJsonObject(configPath), configPath);
  const store = options.store ?? "f32";
  const weights = loadWeights(openWeights(folder), clipShapes(config), { folder, store, redundant });
  return clipModel(config, weights, options.name ?? folder);
}

/** A CLIP from weights in memory; takes them over. */
export function clipModel(config: ClipConfig, weights: ReadonlyMap<string, tf.Tensor>, name = "clip"): ClipModel {
  for (const weight of weights.values()) tf.keep(weight);
  return {
    config,
    weights,
    name,
    dispose: () => {
      for (const weight of weights.values()) {
        weight.kept = false;
        weight.dispose();
      }
    },
  };
}

/** A CLIP with random weights: maps of deviation in^−½, tables of 0.02, norms of one, the published start of the scale. */
export function randomClip(config: ClipConfig, options: { readonly seed: number; readonly name?: string }): ClipModel {
  const random = hostRandom(options.seed);
  const weights = new Map<string, tf.Tensor>();
  for (const [name, shape] of clipShapes(config)) {
    const size = shape.reduce((product, n) => product * n, 1);
    const inputs = size / (shape[0] ?? 1);
    let values: Float32Array;
    if (name === "logit_scale") values = Float32Array.of(Math.log(1 / 0.07));
    else if (/norm\d?\.weight$/.test(name)) values = new Float32Array(size).fill(1);
    else if (name.endsWith(".bias")) values = new Float32Array(size);
    else values = normalValues(random, size, /position|token|class/.test(name) ? 0.02 : inputs ** -0.5);
    weights.set(name, tf.tensor(values, [...shape]));
  }
  return clipModel(config, weights, options.name ?? "random-clip");
}
