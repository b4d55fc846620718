// MPT inside SMoP: the routed short prompts are shared by all tasks, and each task changes them by MPT's low-rank
// matrix before the router picks. The MPT article names the combination as future work and leaves its form open, so
// this is our own reading: P* [n·l', H] holds n short prompts one after the other; task k uses P* ∘ (U_k V_k), U_k
// over all rows, V_k shared by the experts; routing as in SMoP. With one expert it is MPT times a constant 1.
import { tf } from "#toolkit/tensor/index.ts";
import type { Method } from "./contract.ts";
import { type PromptInit, promptInitField } from "./initialisers.ts";
import { checkMptSources, checkRank, initMpt, mpt, mptFields, mptPrompt } from "./mpt.ts";
import { defaultsOf, type Fields } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { checkRouting, loadBalance, orthogonalRows, type RoutingOptions, route, routingFields } from "./routing.ts";
import { expectTensors } from "./tensors.ts";

export type SmopMptOptions = RoutingOptions & {
  expertLength: number;
  numRanks: number;
  init: PromptInit;
  taskInit: "ones" | "peft" | "uniform";
  sourceInit: "average" | "exact" | "shared";
  sourceTask: number;
};

const fields: Fields<SmopMptOptions> = {
  ...routingFields,
  expertLength: { kind: "integer", default: 5, min: 1, max: 1024, about: "rows of each short prompt" },
  numRanks: mptFields.numRanks,
  init: promptInitField,
  taskInit: mptFields.taskInit,
  sourceInit: mptFields.sourceInit,
  sourceTask: mptFields.sourceTask,
};

const router = "router.weight";

const asMpt = (options: SmopMptOptions): typeof mpt.defaults => ({
  ...mpt.defaults,
  numVirtualTokens: options.numExperts * options.expertLength,
  numRanks: options.numRanks,
  init: options.init,
  taskInit: options.taskInit,
  sourceInit: options.sourceInit,
  sourceTask: options.sourceTask,
});

export const smopMpt: Method<SmopMptOptions> = {
  name: "smop-mpt",
  title: "MPT inside SMoP",
  source: "this project's own reading of a combination that the MPT article proposes",
  defaults: defaultsOf(fields),
  fields,
  check: (options, backbone) => [...checkRouting(options), ...checkRank(options.numRanks, backbone)],
  checkSources: (options, context) => checkMptSources(asMpt(options), context),
  init(options, context) {
    const source = context.sources?.find(({ parameters }) => parameters[router]);
    return {
      ...initMpt(asMpt(options), context),
      [router]: source
        ? tf.clone(source.parameters[router]!)
        : orthogonalRows(context.seed * 1009 + 43, options.numExperts, context.backbone.hiddenSize),
    };
  },
  group: (name) => (name === router ? "router" : name === "prompt_embeddings" ? "shared" : "task"),
  learningRates: { shared: 0.3, task: 0.4, router: 0.3 },
  ports(parameters, options, context) {
    const { numExperts, expertLength } = options;
    const width = context.backbone.hiddenSize;
    const { weights } = route(required(parameters, router), options, context);
    const prompts = tf.reshape(mptPrompt(parameters, context.taskIds), [-1, numExperts, expertLength, width]);
    const weighted = tf.mul(prompts, tf.reshape(weights, [-1, numExperts, 1, 1]));
    return { encoderPrompt: tf.sum(weighted, 1) };
  },
  regularizer(parameters, options, context) {
    if (options.loadBalance === 0) return undefined;
    return tf.mul(loadBalance(route(required(parameters, router), options, context)), options.loadBalance);
  },
  countParameters: (options, backbone, tasks) =>
    mpt.countParameters(asMpt(options), backbone, tasks) + (options.numExperts * backbone.hiddenSize) / tasks,
  toFile: (parameters, options) => ({ config: ownConfig("smop-mpt", options), tensors: parameters }),
  fromFile(config, tensors) {
    const options = ownOptions(config, "smop-mpt", smopMpt.defaults);
    const rows = options.numExperts * options.expertLength;
    const tasks = tensors.prefix_task_cols?.shape[0] ?? null;
    const width = tensors.prompt_embeddings?.shape[1] ?? null;
    const parameters = expectTensors(tensors, {
      prompt_embeddings: [rows, width],
      prefix_task_cols: [tasks, rows, options.numRanks],
      prefix_task_rows: [tasks, options.numRanks, width],
      [router]: [options.numExperts, width],
    });
    return { options, parameters };
  },
};
