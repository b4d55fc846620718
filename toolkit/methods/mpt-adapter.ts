// MPT with adapters: the decomposed prompt and bottleneck adapters, trained together. The MPT article names the
// combination as future work; its form is our own reading: the prompt as in mpt.ts (own u, v per task), one set of
// adapters and norms for all tasks as in adapter.ts, each at its own learning rate. A target starts its prompt from the
// source stage as MPT does, and its adapters from those of the source where it has them.
import { tf } from "#toolkit/tensor/index.ts";
import {
  type AdapterOptions,
  adapter,
  adapterFields,
  adapterPorts,
  adapterShapes,
  checkFirstLayer,
  countAdapter,
  initAdapter,
} from "./adapter.ts";
import type { Method, Parameters } from "./contract.ts";
import { checkMptSources, checkRank, initMpt, type MptOptions, mpt, mptFields, mptPrompt, splitPrompt } from "./mpt.ts";
import { defaultsOf, type Fields } from "./options.ts";
import { ownConfig, ownOptions } from "./own-config.ts";
import { shapeProblems } from "./tensors.ts";

export type MptAdapterOptions = MptOptions & AdapterOptions;

const fields: Fields<MptAdapterOptions> = { ...mptFields, ...adapterFields };

const isPrompt = (name: string): boolean => name.startsWith("prompt_") || name.startsWith("prefix_task_");

export const mptAdapter: Method<MptAdapterOptions> = {
  name: "mpt-adapter",
  title: "MPT + adapters",
  source: "this project's own reading of a combination that the MPT article proposes",
  defaults: { ...defaultsOf(fields), trainNorms: false },
  fields,
  check: (options, backbone) => [
    ...checkRank(options.numRanks, backbone),
    ...checkFirstLayer(options.firstLayer, backbone),
  ],
  checkSources: (options, context) => checkMptSources(options, context),
  init(options, context) {
    const fresh = initAdapter(options, context);
    const source = context.sources?.find(({ parameters }) => Object.keys(parameters).some((name) => !isPrompt(name)));
    const started = Object.entries(fresh).map(([name, tensor]) => {
      const before = source?.parameters[name];
      if (!before || before.shape.join() !== tensor.shape.join()) return [name, tensor] as const;
      tensor.dispose();
      return [name, tf.clone(before)] as const;
    });
    return { ...initMpt(options, context), ...Object.fromEntries(started) };
  },
  group: (name, options) => (isPrompt(name) ? mpt.group(name, options) : "adapter"),
  learningRates: { ...mpt.learningRates, ...adapter.learningRates },
  ports: (parameters, options, context) => ({
    ...splitPrompt(mptPrompt(parameters, context.taskIds), options),
    ...adapterPorts(parameters),
  }),
  countParameters: (options, backbone, tasks) =>
    mpt.countParameters(options, backbone, tasks) + countAdapter(options, backbone) / tasks,
  fits(parameters, options, backbone) {
    const rows = options.numVirtualTokens * options.numTransformerSubmodules;
    const width = backbone.hiddenSize;
    const tasks = {
      prefix_task_cols: [null, rows, options.numRanks],
      prefix_task_rows: [null, options.numRanks, width],
    };
    const expected = {
      prompt_embeddings: [rows, width],
      ...(options.decomposition ? tasks : {}),
      ...adapterShapes(options, backbone),
    };
    return shapeProblems(parameters, expected, backbone);
  },
  toFile: (parameters, options) => ({ config: ownConfig("mpt-adapter", options), tensors: parameters }),
  fromFile(config, tensors): { options: MptAdapterOptions; parameters: Parameters } {
    return { options: ownOptions(config, "mpt-adapter", mptAdapter.defaults), parameters: tensors };
  },
};
