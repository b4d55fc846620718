// Multitask prompt tuning (MPT). One prompt P* is shared by all tasks; task k changes it by a matrix of rank r,
// P̂_k = P* ∘ (U_k V_k).
//
// From the paper (Wang et al., ICLR 2023, section 3): the decomposition with r = 1, source training with distillation
// from single-task teachers (methods/distillation.ts), adaptation from P* and the mean of the source u and v, MPT*.
// From public code (PEFT): rank r, the names prompt_embeddings, prefix_task_cols, prefix_task_rows, a decoder prompt.
// Our own reading: the start. The paper leaves the law open; with vocabulary rows and u = v = 1 every task begins at
// a prompt of the embeddings' scale. PEFT's law, N(0, 1) ∘ N(0, 0.02)², begins near zero and is `taskInit: "peft"`.
import type { Backbone } from "#toolkit/models/contract.ts";
import { hostRandom, normalValues } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { InitContext, Method, Parameters, SourceContext, SourceShape, SourceState } from "./contract.ts";
import { initPrompt, type PromptInit, promptInitField } from "./initialisers.ts";
import { defaultsOf, type Fields, promptLength } from "./options.ts";
import { configInteger, expectType, peftConfig, peftSizes } from "./peft-config.ts";
import { collapsePrompt, refuse } from "./sources.ts";
import { expectTensors } from "./tensors.ts";

export type MptOptions = {
  numVirtualTokens: number;
  numRanks: number;
  /** 2: a second prompt of the same length in front of the decoder's input, as PEFT has it. */
  numTransformerSubmodules: number;
  init: PromptInit;
  taskInit: "ones" | "peft" | "uniform";
  /** What a target takes from sources: mean of their u and v, one task's, or P* alone. */
  sourceInit: "average" | "exact" | "shared";
  sourceTask: number;
  /** False: P̂_k = P* for every task, the ablation without decomposition. */
  decomposition: boolean;
};

export const mptFields: Fields<MptOptions> = {
  numVirtualTokens: promptLength,
  numRanks: { kind: "integer", default: 1, min: 1, max: 256, about: "rank r of each task's matrix" },
  numTransformerSubmodules: { kind: "integer", default: 1, min: 1, max: 2, about: "2: a decoder prompt too (PEFT)" },
  init: promptInitField,
  taskInit: { kind: "choice", default: "ones", values: ["ones", "peft", "uniform"], about: "start of U and V" },
  sourceInit: {
    kind: "choice",
    default: "average",
    values: ["average", "exact", "shared"],
    about: "what a target takes over from the source stage",
  },
  sourceTask: { kind: "integer", default: 0, min: 0, max: 100_000, about: 'the source task of sourceInit "exact"' },
  decomposition: { kind: "boolean", default: true, about: "false: one prompt for all tasks (ablation)" },
};

const names = { shared: "prompt_embeddings", cols: "prefix_task_cols", rows: "prefix_task_rows" } as const;

export const mpt: Method<MptOptions> = {
  name: "mpt",
  title: "MPT",
  source: "Wang et al., Multitask Prompt Tuning Enables Parameter-Efficient Transfer Learning (ICLR 2023), section 3",
  peftType: "MULTITASK_PROMPT_TUNING",
  defaults: defaultsOf(mptFields),
  fields: mptFields,
  check: ({ numRanks }, backbone) => checkRank(numRanks, backbone),
  checkSources: (options, context) => checkMptSources(options, context),
  init: initMpt,
  group: (name) => (name === names.shared ? "shared" : "task"),
  // Two speeds: the paper's values as the literature reports them; the page itself could not be re-read.
  learningRates: { shared: 0.3, task: 0.4 },
  ports: (parameters, options, context) => splitPrompt(mptPrompt(parameters, context.taskIds), options),
  countParameters(options, backbone, tasks) {
    const rows = options.numVirtualTokens * options.numTransformerSubmodules;
    const own = options.decomposition ? options.numRanks * (rows + backbone.hiddenSize) : 0;
    return (rows * backbone.hiddenSize) / tasks + own;
  },
  toFile(parameters, options, backbone) {
    const common = {
      ...peftSizes(backbone),
      num_transformer_submodules: options.numTransformerSubmodules,
      num_virtual_tokens: options.numVirtualTokens,
      prompt_tuning_init: "RANDOM",
      prompt_tuning_init_text: null,
      token_dim: parameters[names.shared]!.shape[1],
      tokenizer_kwargs: null,
      tokenizer_name_or_path: null,
    };
    if (!options.decomposition) return { config: peftConfig("PROMPT_TUNING", common), tensors: parameters };
    const config = peftConfig("MULTITASK_PROMPT_TUNING", {
      ...common,
      num_ranks: options.numRanks,
      num_tasks: parameters[names.cols]!.shape[0],
      prompt_tuning_init_state_dict_path: null,
      prompt_tuning_init_task: 0,
    });
    return { config, tensors: parameters };
  },
  fromFile(config, tensors) {
    expectType(config, "MULTITASK_PROMPT_TUNING", "PROMPT_TUNING");
    const decomposition = config.peft_type === "MULTITASK_PROMPT_TUNING";
    const options: MptOptions = {
      ...mpt.defaults,
      numVirtualTokens: configInteger(config, "num_virtual_tokens"),
      // PEFT's own default for sequence-to-sequence models is two.
      numTransformerSubmodules: configInteger(config, "num_transformer_submodules", 2),
      numRanks: decomposition ? configInteger(config, "num_ranks", 1) : 1,
      decomposition,
    };
    const rows = options.numVirtualTokens * options.numTransformerSubmodules;
    const shapes: Record<string, (number | null)[]> = { [names.shared]: [rows, null] };
    if (decomposition) {
      const tasks = configInteger(config, "num_tasks", 1);
      const width = tensors[names.shared]?.shape[1] ?? null;
      shapes[names.cols] = [tasks, rows, options.numRanks];
      shapes[names.rows] = [tasks, options.numRanks, width];
    }
    return { options, parameters: expectTensors(tensors, shapes) };
  },
};

/** A rank above the width adds nothing that a full matrix does not have. */
export function checkRank(numRanks: number, backbone: Pick<Backbone, "hiddenSize"> | null): string[] {
  return backbone === null || numRanks <= backbone.hiddenSize
    ? []
    : [`numRanks must be at most the backbone's width ${backbone.hiddenSize}, not ${numRanks}`];
}

/** P*, U and V, new or from a source stage. */
export function initMpt(options: MptOptions, context: InitContext): Parameters {
  const source = chosenSource(context.sources);
  if (source) return fromSource(options, context, source);
  const { hiddenSize } = context.backbone;
  const rows = options.numVirtualTokens * options.numTransformerSubmodules;
  const shared = initPrompt(options.init, rows, context);
  if (!options.decomposition) return { [names.shared]: shared };
  const { numRanks } = options;
  const random = hostRandom(context.seed * 1009 + 7);
  const draw = (shape: [number, number, number], one: number): tf.Tensor3D => {
    const size = shape[0] * shape[1] * shape[2];
    if (options.taskInit === "peft") return tf.tensor3d(normalValues(random, size, 0.02), shape);
    // With one rank the ones stay exact. Further ranks need noise, or all of them would get the same gradient for ever.
    const noise = options.taskInit === "uniform" ? 0.5 : numRanks > 1 ? 0.02 : 0;
    const values = Float32Array.from({ length: size }, () => one + noise * (2 * random.uniform() - 1));
    return tf.tensor3d(values, shape);
  };
  return {
    [names.shared]: shared,
    [names.cols]: draw([context.numTasks, rows, numRanks], 1),
    [names.rows]: draw([context.numTasks, numRanks, hiddenSize], 1 / numRanks),
  };
}

/** The source that a target starts from: the first with a decomposition, else the first. */
function chosenSource<S extends SourceShape>(sources: readonly S[] | undefined): S | undefined {
  return sources?.find(({ parameters }) => parameters[names.cols]) ?? sources?.[0];
}

/** Whether the chosen source's tensors have the sizes that the options ask for. */
export function checkMptSources(options: MptOptions, context: SourceContext): string[] {
  const source = chosenSource(context.sources);
  if (!source) return [];
  const { [names.shared]: shared, [names.cols]: cols, [names.rows]: rows } = source.parameters;
  const wanted = [options.numVirtualTokens * options.numTransformerSubmodules, context.backbone.hiddenSize];
  if (!shared || shared.shape.join() !== wanted.join())
    return [
      `the source (${source.method}) must hold a prompt of ${wanted.join(" × ")}; it has ${shared?.shape.join(" × ") ?? "none"}`,
    ];
  if (!options.decomposition || !cols || !rows || options.sourceInit === "shared") return [];
  const [tasks, , rank] = cols.shape;
  if (rank !== options.numRanks)
    return [`the source has rank ${rank}, numRanks is ${options.numRanks}; they must be equal`];
  if (options.sourceInit === "exact" && options.sourceTask >= tasks!)
    return [`sourceTask must be below the source's ${tasks} tasks, not ${options.sourceTask}`];
  return [];
}

function fromSource(options: MptOptions, context: InitContext, source: SourceState): Parameters {
  refuse(checkMptSources(options, context));
  const shared = source.parameters[names.shared]!;
  const cols = source.parameters[names.cols];
  const rows = source.parameters[names.rows];
  if (!options.decomposition) return { [names.shared]: tf.clone(shared) };
  if (!cols || !rows || options.sourceInit === "shared") {
    const { decomposition: _, ...rest } = options;
    const { sources: __, ...fresh } = context;
    return { ...initMpt({ ...rest, decomposition: true }, fresh), [names.shared]: tf.clone(shared) };
  }
  const pick = (all: tf.Tensor): tf.Tensor => {
    const one =
      options.sourceInit === "average" ? tf.mean(all, 0, true) : tf.slice(all, [options.sourceTask, 0, 0], [1, -1, -1]);
    return context.numTasks === 1 ? one : tf.concat(new Array<tf.Tensor>(context.numTasks).fill(one), 0);
  };
  return tf.tidy(() => ({ [names.shared]: tf.clone(shared), [names.cols]: pick(cols), [names.rows]: pick(rows) }));
}

/**
 * The prompt of each row of a batch, [B, P, H], or [P, H] where all rows share it.
 * @param taskIds [B] int32
 */
export function mptPrompt(parameters: Parameters, taskIds: tf.Tensor): tf.Tensor {
  const shared = parameters[names.shared]!;
  const { [names.cols]: cols, [names.rows]: rows } = parameters;
  if (!cols || !rows) return shared;
  return tf.mul(shared, taskMatrix(cols, rows, taskIds));
}

/** U_k V_k of each row's task: [B, P, H], or [1, P, H] for a single task. */
export function taskMatrix(cols: tf.Tensor, rows: tf.Tensor, taskIds: tf.Tensor): tf.Tensor {
  const single = cols.shape[0] === 1;
  const u = single ? cols : tf.gather(cols, taskIds as tf.Tensor1D);
  const v = single ? rows : tf.gather(rows, taskIds as tf.Tensor1D);
  // An outer product by broadcasting; a batched matMul of inner size 1 is slower everywhere.
  return u.shape[2] === 1 ? tf.mul(u, v) : tf.matMul(u, v);
}

/** A prompt as ports: its first rows for the encoder and, with two submodules, the rest for the decoder. */
export function splitPrompt(
  prompt: tf.Tensor,
  options: Pick<MptOptions, "numVirtualTokens" | "numTransformerSubmodules">,
): { encoderPrompt: tf.Tensor; decoderPrompt?: tf.Tensor } {
  const rows3 = prompt.rank === 3 && prompt.shape[0] === 1 ? tf.squeeze(prompt, [0]) : prompt;
  if (options.numTransformerSubmodules === 1) return { encoderPrompt: rows3 };
  const length = options.numVirtualTokens;
  const axis = rows3.rank - 2;
  const [encoderPrompt, decoderPrompt] = tf.split(rows3, [length, rows3.shape[axis]! - length], axis);
  return { encoderPrompt: encoderPrompt!, decoderPrompt: decoderPrompt! };
}

/**
 * One task's prompt as a single matrix, which any prompt-tuning implementation can use: inference then costs what
 * vanilla prompt tuning costs.
 * @returns parameters of `prompt-tuning`
 */
export function collapseMpt(parameters: Parameters, task: number): Parameters {
  const tasks = parameters[names.cols]?.shape[0] ?? 1;
  if (!Number.isSafeInteger(task) || task < 0 || task >= tasks)
    throw new Error(`task must be from 0 to ${tasks - 1}, not ${task}`);
  return { [names.shared]: tf.clone(collapsePrompt(parameters, task)) };
}
