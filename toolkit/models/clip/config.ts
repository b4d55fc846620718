// The shape of a CLIP model: two towers and the width they meet in. Parsed from the hub's config.json, whose files leave
// defaults out, every problem of it at once. Not here: weights (weights.ts), the computation (model.ts), images and text.
import { WeightsError } from "#toolkit/weights/index.ts";

/** What both towers have. */
export interface ClipTowerConfig {
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly layerNormEpsilon: number;
  /** OpenAI's checkpoints have `quick_gelu`, LAION's mostly `gelu`. */
  readonly activation: "quick_gelu" | "gelu";
}

export interface ClipTextConfig extends ClipTowerConfig {
  readonly vocabSize: number;
  readonly maxPositions: number;
}

export interface ClipVisionConfig extends ClipTowerConfig {
  readonly imageSize: number;
  readonly patchSize: number;
  readonly numChannels: number;
}

export interface ClipConfig {
  readonly text: ClipTextConfig;
  readonly vision: ClipVisionConfig;
  /** Width of the joint space, J. */
  readonly projectionSize: number;
}

/** CLIP's defaults, of ViT-B/32, as config.json files leave them out. */
const defaults = {
  text: {
    hidden_size: 512,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 8,
    vocab_size: 49408,
    max_position_embeddings: 77,
  },
  vision: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    image_size: 224,
    patch_size: 32,
    num_channels: 3,
  },
  projection_dim: 512,
} as const;

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Parses config.json of a CLIP model.
 * @throws WeightsError listing every field that does not fit.
 */
export function parseClipConfig(json: Json, path = "config.json"): ClipConfig {
  const problems: string[] = [];
  const expect = (name: string, wanted: string, value: unknown): void => {
    problems.push(`${name} must be ${wanted}, not ${JSON.stringify(value) ?? "missing"}`);
  };
  const whole = (name: string, value: unknown): number => {
    if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
    expect(name, "a whole number of at least 1", value);
    return 1;
  };
  if (json.model_type !== "clip") expect("model_type", '"clip"', json.model_type);

  const part = (name: "text" | "vision"): { read: (field: string) => number; tower: ClipTowerConfig } => {
    // Old files hold a second copy of the fields that differ from the defaults; the reference lets it win.
    const own: Record<string, unknown> = {};
    for (const key of [`${name}_config`, `${name}_config_dict`]) {
      const given = json[key] ?? {};
      if (isObject(given)) Object.assign(own, given);
      else expect(key, "an object", given);
    }
    const fallback: Readonly<Record<string, number>> = defaults[name];
    const read = (field: string): number => whole(`${name}_config.${field}`, own[field] ?? fallback[field]);
    const epsilon = own.layer_norm_eps ?? 1e-5;
    if (!(typeof epsilon === "number" && epsilon >= 0 && epsilon < 1))
      expect(`${name}_config.layer_norm_eps`, "a number from 0 to below 1", epsilon);
    const activation = own.hidden_act ?? "quick_gelu";
    if (activation !== "quick_gelu" && activation !== "gelu")
      expect(`${name}_config.hidden_act`, '"quick_gelu" or "gelu"', activation);
    const tower: ClipTowerConfig = {
      hiddenSize: read("hidden_size"),
      feedForwardSize: read("intermediate_size"),
      numLayers: read("num_hidden_layers"),
      numHeads: read("num_attention_heads"),
      layerNormEpsilon: epsilon as number,
      activation: activation === "gelu" ? "gelu" : "quick_gelu",
    };
    if (tower.hiddenSize % tower.numHeads !== 0)
      expect(`${name}_config.hidden_size`, `a multiple of num_attention_heads (${tower.numHeads})`, tower.hiddenSize);
    return { read, tower };
  };

  const text = part("text");
  const vision = part("vision");
  const config: ClipConfig = {
    text: { ...text.tower, vocabSize: text.read("vocab_size"), maxPositions: text.read("max_position_embeddings") },
    vision: {
      ...vision.tower,
      imageSize: vision.read("image_size"),
      patchSize: vision.read("patch_size"),
      numChannels: vision.read("num_channels"),
    },
    projectionSize: whole("projection_dim", json.projection_dim ?? defaults.projection_dim),
  };
  const { imageSize, patchSize } = config.vision;
  if (imageSize % patchSize !== 0)
    expect("vision_config.image_size", `a multiple of patch_size (${patchSize})`, imageSize);
  if (problems.length > 0) throw new WeightsError(`${path} does not describe a CLIP model: ${problems.join("; ")}`);
  return config;
}

/** Patches of an image, without the class row. */
export const patchCount = ({ imageSize, patchSize }: ClipVisionConfig): number => (imageSize / patchSize) ** 2;
