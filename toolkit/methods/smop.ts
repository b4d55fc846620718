// SMoP: a sparse mixture of short prompts; a router sends each input to one (or k) of them.
//
// From the paper and its code (Choi et al., EMNLP 2023): n prompts of length l/n, the router and its noise (see
// routing.ts), the chosen prompt multiplied by its probability, learning rate 0.5. With k > 1 their weighted sum is
// used, so that the length stays l/n: our own reading. The best setting of the authors is 4 prompts of 5 tokens.
import { tf } from "#toolkit/tensor/index.ts";
import type { Method } from "./contract.ts";
import { initPrompt, type PromptInit, promptInitField } from "./initialisers.ts";
import { defaultsOf, type Fields } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { checkRouting, loadBalance, orthogonalRows, type RoutingOptions, route, routingFields } from "./routing.ts";
import { expectTensors, shapeProblems } from "./tensors.ts";

export type SmopOptions = RoutingOptions & {
  /** Rows of each short prompt, l/n. */
  expertLength: number;
  init: PromptInit;
};

const fields: Fields<SmopOptions> = {
  ...routingFields,
  expertLength: { kind: "integer", default: 5, min: 1, max: 1024, about: "rows of each short prompt" },
  init: promptInitField,
};

const names = { prompts: "expert_prompts", router: "router.weight" } as const;

export const smop: Method<SmopOptions> = {
  name: "smop",
  title: "SMoP",
  source:
    "Choi et al., SMoP: Towards Efficient and Effective Prompt Tuning with Sparse Mixture-of-Prompts (EMNLP 2023)",
  defaults: defaultsOf(fields),
  fields,
  check: (options) => checkRouting(options),
  init(options, context) {
    const { numExperts, expertLength } = options;
    const width = context.backbone.hiddenSize;
    const rows = initPrompt(options.init, numExperts * expertLength, context);
    return {
      [names.prompts]: tf.reshape(rows, [numExperts, expertLength, width]),
      [names.router]: orthogonalRows(context.seed * 1009 + 41, numExperts, width),
    };
  },
  group: () => "prompt",
  learningRates: { prompt: 0.5 },
  ports(parameters, options, context) {
    const prompts = required(parameters, names.prompts);
    const [count, length, width] = prompts.shape as [number, number, number];
    const { weights } = route(required(parameters, names.router), options, context);
    const mixed = tf.matMul(weights as tf.Tensor2D, tf.reshape(prompts, [count, length * width]) as tf.Tensor2D);
    return { encoderPrompt: tf.reshape(mixed, [-1, length, width]) };
  },
  regularizer(parameters, options, context) {
    if (options.loadBalance === 0) return undefined;
    return tf.mul(loadBalance(route(required(parameters, names.router), options, context)), options.loadBalance);
  },
  countParameters: (options, backbone, tasks) =>
    (options.numExperts * (options.expertLength + 1) * backbone.hiddenSize) / tasks,
  fits(parameters, { numExperts, expertLength }, backbone) {
    const width = backbone.hiddenSize;
    const expected = { [names.prompts]: [numExperts, expertLength, width], [names.router]: [numExperts, width] };
    return shapeProblems(parameters, expected, backbone);
  },
  toFile: (parameters, options) => ({ config: ownConfig("smop", options), tensors: parameters }),
  fromFile(config, tensors) {
    const options = ownOptions(config, "smop", smop.defaults);
    const width = tensors[names.router]?.shape[1] ?? null;
    const parameters = expectTensors(tensors, {
      [names.prompts]: [options.numExperts, options.expertLength, width],
      [names.router]: [options.numExperts, width],
    });
    return { options, parameters };
  },
};
