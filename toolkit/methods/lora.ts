// LoRA: low-rank updates of chosen linear maps, y + (α/r)·B·A·x.
//
// From the paper (Hu et al., ICLR 2022, section 4): the update, B = 0 at the start, scale α/r. From public code
// (PEFT): names, A from Kaiming-uniform (U(±1/√in)), dropout on x, targets q and v by default for T5. The MPT
// literature quotes a LoRA row of 3.8 M parameters without its configuration; rank 32 on q and v of T5-base gives
// 3.5 M, so that row is not claimed here.
import type { Backbone } from "#toolkit/models/contract.ts";
import { hostRandom, linear, uniformValues } from "#toolkit/nn/index.ts";
import { type Key, random, tf } from "#toolkit/tensor/index.ts";
import type { Method, Parameters } from "./contract.ts";
import { defaultsOf, type Fields } from "./options.ts";
import { configInteger, expectType, peftConfig } from "./peft-config.ts";
import { linearSites } from "./sites.ts";
import { shapeProblems } from "./tensors.ts";

export type LoraOptions = {
  rank: number;
  alpha: number;
  dropout: number;
  /** Last parts of the names of linear maps. */
  targetModules: readonly string[];
};

const modules = ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"] as const;

const fields: Fields<LoraOptions> = {
  rank: { kind: "integer", default: 8, min: 1, max: 1024, about: "rank r" },
  alpha: { kind: "number", default: 16, min: 0, max: 1e6, about: "scale α; the update is multiplied by α/r" },
  dropout: { kind: "number", default: 0, min: 0, max: 0.99, about: "dropout on the update's input" },
  targetModules: { kind: "list", default: ["q", "v"], values: modules, about: "linear maps that get an update" },
};

const prefix = "base_model.model.";

export const lora: Method<LoraOptions> = {
  name: "lora",
  title: "LoRA",
  source: "Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (ICLR 2022), section 4; names as in PEFT",
  peftType: "LORA",
  defaults: defaultsOf(fields),
  fields,
  check(options, backbone) {
    if (backbone === null) return [];
    const problems: string[] = [];
    if (options.rank > backbone.hiddenSize)
      problems.push(`rank must be at most the backbone's width ${backbone.hiddenSize}, not ${options.rank}`);
    const { weights } = backbone;
    if (weights !== undefined) {
      const known = new Set(linearSites({ weights }).map(({ site }) => lastPart(site)));
      const absent = [options.targetModules].flat().filter((name) => !known.has(name));
      if (absent.length > 0)
        problems.push(
          `targetModules must be linear maps of the backbone, out of ${[...known].join(", ")}; it has no ${absent.join(", ")}`,
        );
    }
    return problems;
  },
  init(options, { backbone, seed }) {
    const drawn = hostRandom(seed * 1009 + 31);
    const parameters: Record<string, tf.Tensor> = {};
    for (const { site, shape } of targets(options, backbone)) {
      const [outputs, inputs] = shape;
      const values = uniformValues(drawn, options.rank * inputs, -(inputs ** -0.5), inputs ** -0.5);
      parameters[`${prefix}${site}.lora_A.weight`] = tf.tensor2d(values, [options.rank, inputs]);
      parameters[`${prefix}${site}.lora_B.weight`] = tf.zeros([outputs, options.rank]);
    }
    if (Object.keys(parameters).length === 0)
      throw new Error(`the backbone has no linear map named ${options.targetModules.join(", ")}`);
    return parameters;
  },
  group: () => "lora",
  learningRates: { lora: 3e-4 },
  ports(parameters, options, { key }) {
    let uses = 0;
    return {
      linear(site, x, y) {
        const a = parameters[`${prefix}${site}.lora_A.weight`];
        const b = parameters[`${prefix}${site}.lora_B.weight`];
        if (!a || !b) return y;
        const input = key ? dropped(x, options.dropout, key, uses++) : x;
        return tf.add(y, tf.mul(linear(linear(input, a), b), options.alpha / options.rank));
      },
    };
  },
  countParameters(options, backbone, tasks) {
    const sizes = targets(options, backbone).map(({ shape }) => options.rank * (shape[0] + shape[1]));
    return sizes.reduce((sum, size) => sum + size, 0) / tasks;
  },
  toFile(parameters, options) {
    const config = peftConfig("LORA", {
      bias: "none",
      fan_in_fan_out: false,
      init_lora_weights: true,
      layers_pattern: null,
      layers_to_transform: null,
      lora_alpha: options.alpha,
      lora_dropout: options.dropout,
      r: options.rank,
      rank_pattern: {},
      alpha_pattern: {},
      target_modules: options.targetModules,
      use_dora: false,
      use_rslora: false,
    });
    return { config, tensors: parameters };
  },
  fits: (parameters, options, backbone) => shapeProblems(parameters, shapesOf(options, backbone), backbone),
  fromFile(config, tensors) {
    expectType(config, "LORA");
    const rank = configInteger(config, "r");
    return { options: readOptions(config, rank), parameters: checkTensors(tensors, rank) };
  },
};

function targets(options: LoraOptions, backbone: Backbone): ReturnType<typeof linearSites> {
  return linearSites(backbone).filter(({ site }) => options.targetModules.includes(lastPart(site)));
}

const lastPart = (site: string): string => site.split(".").at(-1)!;

function shapesOf(options: LoraOptions, backbone: Backbone): Record<string, readonly [number, number]> {
  return Object.fromEntries(
    targets(options, backbone).flatMap(({ site, shape: [outputs, inputs] }) => [
      [`${prefix}${site}.lora_A.weight`, [options.rank, inputs]],
      [`${prefix}${site}.lora_B.weight`, [outputs, options.rank]],
    ]),
  );
}

/** Dropout with a key of its own for each use: the model's uses are folded in as small numbers, these far above. */
function dropped(x: tf.Tensor, rate: number, key: Key, use: number): tf.Tensor {
  return rate > 0 ? random.dropout(random.foldIn(key, 1_000_000 + use), x, rate) : x;
}

function readOptions(config: Readonly<Record<string, unknown>>, rank: number): LoraOptions {
  const { lora_alpha: alpha, lora_dropout: dropout = 0, target_modules: targetModules } = config;
  const problems: string[] = [];
  if (typeof alpha !== "number") problems.push(`lora_alpha must be a number, not ${JSON.stringify(alpha)}`);
  if (typeof dropout !== "number") problems.push(`lora_dropout must be a number, not ${JSON.stringify(dropout)}`);
  if (!Array.isArray(targetModules)) problems.push("target_modules must be a list of names");
  // Features that change the function: reading past them would compute something else.
  for (const name of ["use_dora", "use_rslora", "lora_bias", "use_qalora", "fan_in_fan_out"])
    if (config[name] === true) problems.push(`${name} is not supported`);
  for (const name of ["rank_pattern", "alpha_pattern"])
    if (Object.keys((config[name] as object | null) ?? {}).length > 0) problems.push(`${name} is not supported`);
  if (typeof config.bias === "string" && config.bias !== "none") problems.push('bias must be "none"');
  if (problems.length > 0) throw new Error(`adapter_config.json: ${problems.join("; ")}`);
  return {
    rank,
    alpha: alpha as number,
    dropout: dropout as number,
    targetModules: [...(targetModules as string[])].sort(),
  };
}

function checkTensors(tensors: Parameters, rank: number): Parameters {
  const problems: string[] = [];
  for (const [name, tensor] of Object.entries(tensors)) {
    const match = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(name);
    if (!match) problems.push(`unknown tensor ${name}`);
    else if (tensor.rank !== 2 || tensor.shape[match[2] === "A" ? 0 : 1] !== rank)
      problems.push(`${name} is [${tensor.shape}], expected rank ${rank}`);
    else if (!tensors[name.replace(/lora_[AB]/, match[2] === "A" ? "lora_B" : "lora_A")])
      problems.push(`${name} has no partner`);
  }
  if (problems.length > 0)
    throw new Error(`the adapter's tensors do not fit its config: ${problems.slice(0, 8).join("; ")}`);
  return tensors;
}
