// Adapters: a small bottleneck on the output of self-attention and of the feed-forward part, in every layer.
//
// From the paper (Houlsby et al., ICML 2019): the bottleneck with its inner residual, trained norms. From public code
// (compacter, ATTEMPT's baseline): for T5 after self-attention and feed-forward, none after cross-attention; on the
// sublayer's output, before dropout and the outer residual; reduction 32, tanh-GELU, no norm of its own; all of T5's
// norms trained; learning rate 3e-4. From our own reading: the up-projection starts near zero (N(0, 0.01)), so that
// training begins at the frozen model.
import type { Backbone, Ports } from "#toolkit/models/contract.ts";
import { geluNew, hostRandom, linear, normalValues } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { InitContext, Method, Parameters } from "./contract.ts";
import { defaultsOf, type Fields } from "./options.ts";
import { ownConfig, ownOptions } from "./own-config.ts";
import { normNames, sublayers } from "./sites.ts";
import { shapeProblems } from "./tensors.ts";

export type AdapterOptions = {
  /** Bottleneck = width / reduction, rounded down, at least 1. */
  reduction: number;
  /** Layers of both stacks below this one have no adapters (AdapterDrop). */
  firstLayer: number;
  trainNorms: boolean;
};

export const adapterFields: Fields<AdapterOptions> = {
  reduction: { kind: "integer", default: 32, min: 1, max: 1024, about: "width divided by the bottleneck" },
  firstLayer: { kind: "integer", default: 0, min: 0, max: 1000, about: "the first layer with adapters" },
  trainNorms: { kind: "boolean", default: true, about: "train the backbone's norms too" },
};

/** The adapter methods differ in name and defaults alone. */
export function adapterMethod(
  name: string,
  title: string,
  source: string,
  defaults: AdapterOptions,
): Method<AdapterOptions> {
  return {
    name,
    title,
    source,
    defaults,
    fields: adapterFields,
    check: ({ firstLayer }, backbone) => checkFirstLayer(firstLayer, backbone),
    init: initAdapter,
    group: () => "adapter",
    learningRates: { adapter: 3e-4 },
    ports: (parameters) => adapterPorts(parameters),
    countParameters: (options, backbone, tasks) => countAdapter(options, backbone) / tasks,
    fits: (parameters, options, backbone) => shapeProblems(parameters, adapterShapes(options, backbone), backbone),
    toFile: (parameters, options) => ({ config: ownConfig(name, options), tensors: parameters }),
    fromFile: (config, tensors) => ({ options: ownOptions(config, name, defaults), parameters: tensors }),
  };
}

export const adapter: Method<AdapterOptions> = adapterMethod(
  "adapter",
  "Adapter",
  "Houlsby et al., Parameter-Efficient Transfer Learning for NLP (ICML 2019); for T5 as in the compacter code",
  defaultsOf(adapterFields),
);

export function checkFirstLayer(
  firstLayer: number,
  backbone: Pick<Backbone, "numEncoderLayers" | "numDecoderLayers"> | null,
): string[] {
  if (backbone === null) return [];
  const layers = Math.max(backbone.numEncoderLayers, backbone.numDecoderLayers);
  return firstLayer < layers ? [] : [`firstLayer must be below the backbone's ${layers} layers, not ${firstLayer}`];
}

const part = ".adapter.";

function adaptedSites(options: AdapterOptions, backbone: Backbone): string[] {
  return sublayers(backbone)
    .filter(({ kind, layer }) => kind !== "cross-attention" && layer >= options.firstLayer)
    .map(({ site }) => site);
}

function bottleneck(options: AdapterOptions, backbone: Backbone): number {
  return Math.max(1, Math.floor(backbone.hiddenSize / options.reduction));
}

/** Names and shapes of all parameters. */
export function adapterShapes(options: AdapterOptions, backbone: Backbone): Record<string, readonly number[]> {
  const width = backbone.hiddenSize;
  const narrow = bottleneck(options, backbone);
  const shapes: Record<string, readonly number[]> = {};
  for (const site of adaptedSites(options, backbone)) {
    shapes[`${site}${part}down.weight`] = [narrow, width];
    shapes[`${site}${part}down.bias`] = [narrow];
    shapes[`${site}${part}up.weight`] = [width, narrow];
    shapes[`${site}${part}up.bias`] = [width];
  }
  if (options.trainNorms) for (const name of normNames(backbone)) shapes[name] = [width];
  return shapes;
}

export function initAdapter(options: AdapterOptions, { backbone, seed }: InitContext): Parameters {
  const width = backbone.hiddenSize;
  const narrow = bottleneck(options, backbone);
  const random = hostRandom(seed * 1009 + 23);
  const draw = (shape: [number, number], deviation: number): tf.Tensor =>
    tf.tensor2d(normalValues(random, shape[0] * shape[1], deviation), shape);
  const parameters: Record<string, tf.Tensor> = {};
  for (const site of adaptedSites(options, backbone)) {
    parameters[`${site}${part}down.weight`] = draw([narrow, width], width ** -0.5);
    parameters[`${site}${part}down.bias`] = tf.zeros([narrow]);
    parameters[`${site}${part}up.weight`] = draw([width, narrow], 0.01);
    parameters[`${site}${part}up.bias`] = tf.zeros([width]);
  }
  if (options.trainNorms)
    for (const name of normNames(backbone)) parameters[name] = tf.clone(backbone.weights.get(name)!);
  return parameters;
}

export function adapterPorts(parameters: Parameters): Ports {
  return {
    sublayer(site, y) {
      const down = parameters[`${site}${part}down.weight`];
      if (!down) return y;
      const hidden = geluNew(tf.add(linear(y, down), parameters[`${site}${part}down.bias`]!));
      return tf.add(
        y,
        tf.add(linear(hidden, parameters[`${site}${part}up.weight`]!), parameters[`${site}${part}up.bias`]!),
      );
    },
    weight: (name, frozen) => parameters[name] ?? frozen,
  };
}

export function countAdapter(options: AdapterOptions, backbone: Backbone): number {
  const width = backbone.hiddenSize;
  const narrow = bottleneck(options, backbone);
  const norms = options.trainNorms ? normNames(backbone).length * width : 0;
  return adaptedSites(options, backbone).length * (2 * width * narrow + narrow + width) + norms;
}
