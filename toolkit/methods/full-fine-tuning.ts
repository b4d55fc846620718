// Full fine-tuning: every weight of the backbone is trained. The measure that parameter-efficient methods are held
// against. From public code (ATTEMPT's baseline): learning rate 3e-4. What is saved is all weights, by their own names.
import { tf } from "#toolkit/tensor/index.ts";
import type { Method } from "./contract.ts";
import { ownConfig, ownOptions } from "./own-config.ts";
import { shapeProblems } from "./tensors.ts";

export type FullFineTuningOptions = Record<string, never>;

export const fullFineTuning: Method<FullFineTuningOptions> = {
  name: "full-fine-tuning",
  title: "Full fine-tuning",
  source: "no paper of its own; learning rate as in the ATTEMPT baseline",
  defaults: {},
  fields: {},
  init: (_options, { backbone }) =>
    Object.fromEntries([...backbone.weights].map(([name, weight]) => [name, tf.clone(weight)])),
  group: () => "all",
  learningRates: { all: 3e-4 },
  ports: (parameters) => ({ weight: (name, frozen) => parameters[name] ?? frozen }),
  countParameters: (_options, backbone, tasks) => backbone.numParameters / tasks,
  fits: (parameters, _options, backbone) =>
    shapeProblems(
      parameters,
      Object.fromEntries([...backbone.weights].map(([name, weight]) => [name, weight.shape])),
      backbone,
    ),
  toFile: (parameters, options) => ({ config: ownConfig("full-fine-tuning", options), tensors: parameters }),
  fromFile: (config, tensors) => ({
    options: ownOptions(config, "full-fine-tuning", fullFineTuning.defaults),
    parameters: tensors,
  }),
};
