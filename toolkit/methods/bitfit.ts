// BitFit: biases alone are trained.
//
// From the paper (Ben Zaken et al., ACL 2022): train the biases. T5 has none, so, as in public code (ATTEMPT's
// baseline), they are added, starting at zero: to the four maps of every attention, to the maps of every feed-forward
// part, to every norm inside a block (not the final ones) and to the head. Learning rate 3e-4.
import type { Backbone } from "#toolkit/models/contract.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Method } from "./contract.ts";
import type { Fields } from "./options.ts";
import { ownConfig, ownOptions } from "./own-config.ts";
import { linearSites, normNames } from "./sites.ts";
import { shapeProblems } from "./tensors.ts";

export type BitFitOptions = Record<string, never>;

const fields: Fields<BitFitOptions> = {};

export const bitfit: Method<BitFitOptions> = {
  name: "bitfit",
  title: "BitFit",
  source:
    "Ben Zaken et al., BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models (ACL 2022); added biases as in the ATTEMPT baseline",
  defaults: {},
  fields,
  init: (_options, { backbone }) =>
    Object.fromEntries(biases(backbone).map(({ site, size }) => [`${site}.bias`, tf.zeros([size])])),
  group: () => "bias",
  learningRates: { bias: 3e-4 },
  ports: (parameters) => ({
    linear(site, _x, y) {
      const bias = parameters[`${site}.bias`];
      return bias ? tf.add(y, bias) : y;
    },
  }),
  countParameters: (_options, backbone, tasks) => biases(backbone).reduce((sum, { size }) => sum + size, 0) / tasks,
  fits: (parameters, _options, backbone) =>
    shapeProblems(
      parameters,
      Object.fromEntries(biases(backbone).map(({ site, size }) => [`${site}.bias`, [size]])),
      backbone,
    ),
  toFile: (parameters, options) => ({ config: ownConfig("bitfit", options), tensors: parameters }),
  fromFile: (config, tensors) => ({ options: ownOptions(config, "bitfit", bitfit.defaults), parameters: tensors }),
};

function biases(backbone: Backbone): { readonly site: string; readonly size: number }[] {
  return [
    ...linearSites(backbone).map(({ site, shape }) => ({ site, size: shape[0] })),
    ...normNames(backbone)
      .filter((name) => name.includes(".block."))
      .map((name) => ({ site: name.replace(/\.weight$/, ""), size: backbone.hiddenSize })),
    { site: "lm_head", size: backbone.vocabSize },
  ];
}
