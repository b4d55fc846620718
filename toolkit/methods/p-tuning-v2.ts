// P-tuning v2: deep prompts, i.e. trained keys and values in front of every layer's.
//
// From the paper (Liu et al., ACL 2022, section 3): prompts in all layers, optional MLP, dropout on them. From public
// code (THUDM): a table [P, 2·L·H], and the MLP H → 512 → 2LH with tanh; models there are encoders with a
// classification head. Our own reading for T5: a table before every encoder layer and one before every decoder
// layer's self-attention (`stacks`), the text-to-text form instead of a head, its prefix dropout left to the model's.
import type { Backbone, PrefixKeyValue } from "#toolkit/models/contract.ts";
import { hostRandom, linear, uniformValues } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Method, Parameters } from "./contract.ts";
import { normalTensor } from "./initialisers.ts";
import { defaultsOf, type Fields, layerLength } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { splitSlots } from "./prefix-tuning.ts";
import { expectTensors, shapeProblems } from "./tensors.ts";

type Stack = "encoder" | "decoder";

export type PTuningV2Options = {
  numVirtualTokens: number;
  stacks: readonly Stack[];
  projection: boolean;
  projectionSize: number;
  initDeviation: number;
};

const fields: Fields<PTuningV2Options> = {
  numVirtualTokens: { ...layerLength, default: 20 } as typeof layerLength,
  stacks: {
    kind: "list",
    default: ["encoder", "decoder"],
    values: ["encoder", "decoder"],
    about: "where prompts stand",
  },
  projection: { kind: "boolean", default: false, about: "make the tables by an MLP" },
  projectionSize: { kind: "integer", default: 512, min: 1, max: 16_384, about: "width of that MLP" },
  initDeviation: { kind: "number", default: 1, min: 0, max: 100, about: "of the table's start" },
};

export const pTuningV2: Method<PTuningV2Options> = {
  name: "p-tuning-v2",
  title: "P-tuning v2",
  source: "Liu et al., P-Tuning v2 (ACL 2022), section 3; for T5 our own reading",
  defaults: defaultsOf(fields),
  fields,
  init(options, { backbone, seed }) {
    const random = hostRandom(seed * 1009 + 19);
    const parameters: Record<string, tf.Tensor> = {};
    for (const [name, shape] of Object.entries(shapesOf(options, backbone))) {
      const size = shape.reduce((product, n) => product * n, 1);
      const deviation = name.endsWith("embedding.weight") ? 1 : options.initDeviation;
      if (!name.includes("projection.") || name.endsWith("embedding.weight"))
        parameters[name] = normalTensor(seed + name.length, shape, deviation);
      else {
        const limit = (name.includes(".0.") ? backbone.hiddenSize : options.projectionSize) ** -0.5;
        parameters[name] = tf.tensor(uniformValues(random, size, -limit, limit), [...shape]);
      }
    }
    return parameters;
  },
  group: () => "prompt",
  learningRates: { prompt: 5e-3 },
  ports(parameters, options, { backbone }) {
    const prefix: Partial<Record<Stack, PrefixKeyValue[]>> = {};
    for (const stack of options.stacks) {
      const slots = splitSlots(computeTable(parameters, options, stack), backbone);
      prefix[stack] = Array.from({ length: slots.length / 2 }, (_, i) => ({
        key: slots[2 * i]!,
        value: slots[2 * i + 1]!,
      }));
    }
    return { prefix };
  },
  countParameters(options, backbone, tasks) {
    const shapes = Object.values(shapesOf(options, backbone));
    return shapes.reduce((sum, shape) => sum + shape.reduce((product, n) => product * n, 1), 0) / tasks;
  },
  toFile: (parameters, options) => ({ config: ownConfig("p-tuning-v2", options), tensors: parameters }),
  fits: (parameters, options, backbone) => shapeProblems(parameters, shapesOf(options, backbone), backbone),
  fromFile(config, tensors) {
    const options = ownOptions(config, "p-tuning-v2", pTuningV2.defaults);
    const shapes: Record<string, (number | null)[]> = {};
    for (const stack of options.stacks)
      if (options.projection) {
        shapes[`${stack}.projection.embedding.weight`] = [options.numVirtualTokens, null];
        shapes[`${stack}.projection.0.weight`] = [options.projectionSize, null];
        shapes[`${stack}.projection.0.bias`] = [options.projectionSize];
        shapes[`${stack}.projection.2.weight`] = [null, options.projectionSize];
        shapes[`${stack}.projection.2.bias`] = [null];
      } else shapes[`${stack}.prefix`] = [options.numVirtualTokens, null];
    return { options, parameters: expectTensors(tensors, shapes) };
  },
};

function shapesOf(options: PTuningV2Options, backbone: Backbone): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {};
  const { numVirtualTokens: rows, projection, projectionSize } = options;
  for (const stack of options.stacks) {
    const layers = stack === "encoder" ? backbone.numEncoderLayers : backbone.numDecoderLayers;
    const size = layers * 2 * backbone.numHeads * backbone.headSize;
    if (!projection) {
      shapes[`${stack}.prefix`] = [rows, size];
      continue;
    }
    shapes[`${stack}.projection.embedding.weight`] = [rows, backbone.hiddenSize];
    shapes[`${stack}.projection.0.weight`] = [projectionSize, backbone.hiddenSize];
    shapes[`${stack}.projection.0.bias`] = [projectionSize];
    shapes[`${stack}.projection.2.weight`] = [size, projectionSize];
    shapes[`${stack}.projection.2.bias`] = [size];
  }
  return shapes;
}

function computeTable(parameters: Parameters, options: PTuningV2Options, stack: Stack): tf.Tensor {
  if (!options.projection) return required(parameters, `${stack}.prefix`);
  const get = (name: string): tf.Tensor => required(parameters, `${stack}.projection.${name}`);
  const hidden = tf.tanh(tf.add(linear(get("embedding.weight"), get("0.weight")), get("0.bias")));
  return tf.add(linear(hidden, get("2.weight")), get("2.bias"));
}
