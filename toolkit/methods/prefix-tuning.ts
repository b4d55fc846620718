// Prefix tuning: trained keys and values in front of those of every layer.
//
// From the paper (Li and Liang, ACL 2021, section 4): a prefix in all layers, the reparameterisation by an MLP
// (`projection`). From public code (PEFT): one tensor [P, L·2·K·D], and for a sequence-to-sequence model the prefix
// stands before the decoder's own past alone; its cross-attention cache is emptied. There layer i takes its key from
// slot 4i and its value from slot 4i + 1 of the 2L slots, counted around: PEFT lays the table out twice and splits it
// by four. We keep that (`stack: "decoder"`), or files would not mean the same on both sides.
// Our own reading: `stack: "encoder"` puts slots 2i and 2i + 1 before encoder layer i; PEFT has no such form for T5.
import type { Backbone, PrefixKeyValue } from "#toolkit/models/contract.ts";
import { hostRandom, linear, uniformValues } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Method, Parameters } from "./contract.ts";
import { normalTensor } from "./initialisers.ts";
import { defaultsOf, type Fields, layerLength } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { configInteger, expectType, peftConfig } from "./peft-config.ts";
import { expectTensors, shapeProblems } from "./tensors.ts";

export type PrefixTuningOptions = {
  numVirtualTokens: number;
  stack: "decoder" | "encoder";
  /** Make the table by an MLP over smaller embeddings; the saved file holds its result. */
  projection: boolean;
  projectionSize: number;
  initDeviation: number;
};

const fields: Fields<PrefixTuningOptions> = {
  numVirtualTokens: layerLength,
  stack: { kind: "choice", default: "decoder", values: ["decoder", "encoder"], about: "decoder: as PEFT has it" },
  projection: { kind: "boolean", default: false, about: "reparameterise by an MLP" },
  projectionSize: { kind: "integer", default: 512, min: 1, max: 16_384, about: "width of that MLP" },
  initDeviation: { kind: "number", default: 1, min: 0, max: 100, about: "of the table's start; PEFT's N(0, 1)" },
};

const table = "prompt_embeddings";

export const prefixTuning: Method<PrefixTuningOptions> = {
  name: "prefix-tuning",
  title: "Prefix tuning",
  source:
    "Li and Liang, Prefix-Tuning: Optimizing Continuous Prompts for Generation (ACL 2021), section 4; layout as in PEFT",
  peftType: "PREFIX_TUNING",
  defaults: defaultsOf(fields),
  fields,
  init(options, { backbone, seed }) {
    const size = tableSize(options, backbone);
    const { numVirtualTokens, projection, projectionSize, initDeviation } = options;
    if (!projection) return { [table]: normalTensor(seed, [numVirtualTokens, size], initDeviation) };
    const width = backbone.hiddenSize;
    const random = hostRandom(seed * 1009 + 17);
    const draw = (shape: number[], fan: number): tf.Tensor => {
      const count = shape.reduce((product, n) => product * n, 1);
      return tf.tensor(uniformValues(random, count, -(fan ** -0.5), fan ** -0.5), shape);
    };
    return {
      "projection.embedding.weight": normalTensor(seed, [numVirtualTokens, width], 1),
      "projection.0.weight": draw([projectionSize, width], width),
      "projection.0.bias": draw([projectionSize], width),
      "projection.2.weight": draw([size, projectionSize], projectionSize),
      "projection.2.bias": draw([size], projectionSize),
    };
  },
  group: () => "prompt",
  // Neither value is from a T5 paper: the MPT literature has no prefix-tuning row; 5e-3 is P-tuning v2's lower bound.
  learningRates: { prompt: 5e-3 },
  ports(parameters, options, { backbone }) {
    const slots = splitSlots(computeTable(parameters, options), backbone);
    const layers = options.stack === "decoder" ? backbone.numDecoderLayers : backbone.numEncoderLayers;
    const step = options.stack === "decoder" ? 4 : 2;
    const prefix = Array.from({ length: layers }, (_, i): PrefixKeyValue => {
      const at = (slot: number): tf.Tensor => slots[slot % slots.length]!;
      return { key: at(step * i), value: at(step * i + 1) };
    });
    return { prefix: { [options.stack]: prefix } };
  },
  countParameters(options, backbone, tasks) {
    const { numVirtualTokens, projection, projectionSize } = options;
    const size = tableSize(options, backbone);
    if (!projection) return (numVirtualTokens * size) / tasks;
    const width = backbone.hiddenSize;
    return (numVirtualTokens * width + (width + 1) * projectionSize + (projectionSize + 1) * size) / tasks;
  },
  toFile(parameters, options, backbone) {
    const computed = options.projection ? tf.tidy(() => computeTable(parameters, options)) : parameters[table]!;
    const tensors = { ...parameters, [table]: computed };
    if (options.stack === "encoder") return { config: ownConfig("prefix-tuning", options), tensors };
    if (!backbone) throw new Error("prefix tuning's adapter_config.json repeats sizes of the backbone; pass it");
    const config = peftConfig("PREFIX_TUNING", {
      encoder_hidden_size: options.projectionSize,
      num_attention_heads: backbone.numHeads,
      num_layers: computed.shape[1]! / (2 * backbone.numHeads * backbone.headSize),
      num_transformer_submodules: 2,
      num_virtual_tokens: options.numVirtualTokens,
      prefix_projection: false,
      token_dim: backbone.numHeads * backbone.headSize,
    });
    // PEFT loads the table alone: a saved projection would ask for a network that its file never holds.
    return {
      config: options.projection ? { ...config, bunsen: { method: "prefix-tuning", options } } : config,
      tensors,
    };
  },
  fits(parameters, options, backbone) {
    const size = tableSize(options, backbone);
    const { numVirtualTokens, projection, projectionSize } = options;
    if (!projection) return shapeProblems(parameters, { [table]: [numVirtualTokens, size] }, backbone);
    const expected = {
      "projection.embedding.weight": [numVirtualTokens, backbone.hiddenSize],
      "projection.0.weight": [projectionSize, backbone.hiddenSize],
      "projection.0.bias": [projectionSize],
      "projection.2.weight": [size, projectionSize],
      "projection.2.bias": [size],
    };
    return shapeProblems(parameters, expected, backbone);
  },
  fromFile(config, tensors) {
    if (config.bunsen !== undefined) {
      const options = ownOptions(config, "prefix-tuning", prefixTuning.defaults);
      if (!options.projection)
        return { options, parameters: expectTensors(tensors, { [table]: [options.numVirtualTokens, null] }) };
      const { [table]: _, ...network } = tensors;
      const width = network["projection.embedding.weight"]?.shape[1] ?? null;
      const parameters = expectTensors(network, {
        "projection.embedding.weight": [options.numVirtualTokens, width],
        "projection.0.weight": [options.projectionSize, width],
        "projection.0.bias": [options.projectionSize],
        "projection.2.weight": [null, options.projectionSize],
        "projection.2.bias": [null],
      });
      return { options, parameters };
    }
    expectType(config, "PREFIX_TUNING");
    const numVirtualTokens = configInteger(config, "num_virtual_tokens");
    const size = configInteger(config, "num_layers") * 2 * configInteger(config, "token_dim");
    const parameters = expectTensors(tensors, { [table]: [numVirtualTokens, size] });
    return { options: { ...prefixTuning.defaults, numVirtualTokens }, parameters };
  },
};

function tableSize(options: PrefixTuningOptions, backbone: Backbone): number {
  const layers = options.stack === "decoder" ? backbone.numDecoderLayers : backbone.numEncoderLayers;
  return layers * 2 * backbone.numHeads * backbone.headSize;
}

function computeTable(parameters: Parameters, options: PrefixTuningOptions): tf.Tensor {
  if (!options.projection) return required(parameters, table);
  const get = (name: string): tf.Tensor => required(parameters, `projection.${name}`);
  const hidden = tf.tanh(tf.add(linear(get("embedding.weight"), get("0.weight")), get("0.bias")));
  return tf.add(linear(hidden, get("2.weight")), get("2.bias"));
}

/** A table [P, slots·K·D] → one [1, K, P, D] a slot. */
export function splitSlots(
  table: tf.Tensor,
  { numHeads, headSize }: Pick<Backbone, "numHeads" | "headSize">,
): tf.Tensor[] {
  const [length, size] = table.shape as [number, number];
  const slots = size / (numHeads * headSize);
  if (!Number.isSafeInteger(slots))
    throw new Error(`the prefix has ${size} values a row; this backbone needs a multiple of ${numHeads * headSize}`);
  const laid = tf.transpose(tf.reshape(table, [length, slots, numHeads, headSize]), [1, 2, 0, 3]);
  return tf.split(laid, slots, 0);
}
