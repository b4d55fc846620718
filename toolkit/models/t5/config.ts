// The shape of a T5 model: v1.0 (relu, tied head) and v1.1 / LM-adapted (gated GELU, head of its own). Parsed from the
// hub's config.json, every problem of it at once. Not here: weights (weights.ts) and the computation (model.ts).
import { WeightsError } from "#toolkit/weights/index.ts";

export interface T5Config {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly headSize: number;
  readonly numHeads: number;
  readonly feedForwardSize: number;
  readonly numEncoderLayers: number;
  readonly numDecoderLayers: number;
  readonly relativeAttentionNumBuckets: number;
  readonly relativeAttentionMaxDistance: number;
  readonly dropoutRate: number;
  readonly layerNormEpsilon: number;
  /** v1.1: gelu(wi_0 x) ∘ (wi_1 x); v1.0: relu(wi x). */
  readonly gated: boolean;
  readonly activation: "relu" | "gelu_new";
  /** v1.0 scales the decoder's output by H^−½ before the head. */
  readonly scaleDecoderOutputs: boolean;
  readonly padTokenId: number;
  readonly eosTokenId: number;
  readonly decoderStartTokenId: number;
}

/** What every T5 v1.0 has in common beside its sizes. A model of one's own is these and seven sizes. */
export const t5v10: Omit<
  T5Config,
  "vocabSize" | "hiddenSize" | "headSize" | "numHeads" | "feedForwardSize" | "numEncoderLayers" | "numDecoderLayers"
> = {
  relativeAttentionNumBuckets: 32,
  relativeAttentionMaxDistance: 128,
  dropoutRate: 0.1,
  layerNormEpsilon: 1e-6,
  gated: false,
  activation: "relu",
  scaleDecoderOutputs: true,
  padTokenId: 0,
  eosTokenId: 1,
  decoderStartTokenId: 0,
};

/** T5's defaults, of t5-small, as config.json files leave them out. */
const defaults = {
  vocab_size: 32128,
  d_model: 512,
  d_kv: 64,
  num_heads: 8,
  d_ff: 2048,
  num_layers: 6,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
};

/**
 * Parses config.json of a T5 model.
 * @throws WeightsError listing every field that does not fit.
 */
export function parseT5Config(json: Record<string, unknown>, path = "config.json"): T5Config {
  const problems: string[] = [];
  const expect = (name: string, wanted: string): void => {
    problems.push(`${name} must be ${wanted}, not ${JSON.stringify(json[name]) ?? "missing"}`);
  };
  if (json.model_type !== "t5") expect("model_type", '"t5"');
  const whole = (name: string, fallback?: number, least = 1): number => {
    const value = json[name] ?? fallback;
    if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
    expect(name, `a whole number of at least ${least}`);
    return least;
  };
  const real = (name: string, fallback: number, below: number): number => {
    const value = json[name] ?? fallback;
    if (typeof value === "number" && value >= 0 && value < below) return value;
    expect(name, `a number from 0 to below ${below}`);
    return fallback;
  };
  const projection = json.feed_forward_proj ?? "relu";
  if (projection !== "relu" && projection !== "gated-gelu") expect("feed_forward_proj", '"relu" or "gated-gelu"');
  const numEncoderLayers = whole("num_layers", defaults.num_layers);
  const config: T5Config = {
    vocabSize: whole("vocab_size", defaults.vocab_size, 2),
    hiddenSize: whole("d_model", defaults.d_model),
    headSize: whole("d_kv", defaults.d_kv),
    numHeads: whole("num_heads", defaults.num_heads),
    feedForwardSize: whole("d_ff", defaults.d_ff),
    numEncoderLayers,
    numDecoderLayers: whole("num_decoder_layers", numEncoderLayers),
    relativeAttentionNumBuckets: whole("relative_attention_num_buckets", defaults.relative_attention_num_buckets, 4),
    relativeAttentionMaxDistance: whole("relative_attention_max_distance", defaults.relative_attention_max_distance, 2),
    dropoutRate: real("dropout_rate", 0.1, 1),
    layerNormEpsilon: real("layer_norm_epsilon", 1e-6, 1),
    gated: projection === "gated-gelu",
    activation: projection === "gated-gelu" ? "gelu_new" : "relu",
    // Newer files say it in so many words; older ones through the tie alone.
    scaleDecoderOutputs:
      typeof json.scale_decoder_outputs === "boolean" ? json.scale_decoder_outputs : json.tie_word_embeddings !== false,
    padTokenId: whole("pad_token_id", 0, 0),
    eosTokenId: whole("eos_token_id", 1, 0),
    decoderStartTokenId: whole("decoder_start_token_id", 0, 0),
  };
  if (config.relativeAttentionNumBuckets % 4 !== 0) expect("relative_attention_num_buckets", "a multiple of 4");
  for (const [name, id] of Object.entries({
    pad_token_id: config.padTokenId,
    eos_token_id: config.eosTokenId,
    decoder_start_token_id: config.decoderStartTokenId,
  }))
    if (id >= config.vocabSize) expect(name, `below vocab_size (${config.vocabSize})`);
  if (problems.length > 0) throw new WeightsError(`${path} does not describe a T5 model: ${problems.join("; ")}`);
  return config;
}

/** config.json of a T5 model, in the hub's names; `tied`: the head is the embedding table. */
export function formatT5Config(config: T5Config, tied: boolean): Record<string, unknown> {
  return {
    architectures: ["T5ForConditionalGeneration"],
    d_ff: config.feedForwardSize,
    d_kv: config.headSize,
    d_model: config.hiddenSize,
    decoder_start_token_id: config.decoderStartTokenId,
    dense_act_fn: config.activation,
    dropout_rate: config.dropoutRate,
    dtype: "float32",
    eos_token_id: config.eosTokenId,
    feed_forward_proj: config.gated ? "gated-gelu" : "relu",
    is_encoder_decoder: true,
    is_gated_act: config.gated,
    layer_norm_epsilon: config.layerNormEpsilon,
    model_type: "t5",
    num_decoder_layers: config.numDecoderLayers,
    num_heads: config.numHeads,
    num_layers: config.numEncoderLayers,
    pad_token_id: config.padTokenId,
    relative_attention_max_distance: config.relativeAttentionMaxDistance,
    relative_attention_num_buckets: config.relativeAttentionNumBuckets,
    scale_decoder_outputs: config.scaleDecoderOutputs,
    tie_word_embeddings: tied,
    use_cache: true,
    vocab_size: config.vocabSize,
  };
}
