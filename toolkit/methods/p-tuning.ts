// P-tuning: the prompt is the output of a small network over trained embeddings.
//
// From the paper (Liu et al., GPT Understands, Too, 2021, section 2): the bidirectional LSTM with an MLP over it.
// From public code (PEFT): both forms and their shapes (MLP: three linear maps with two ReLUs; LSTM: bidirectional,
// then two linear maps with a ReLU between), names, and that the saved file holds the computed prompt alone. Our own:
// the network's tensors are saved beside it under `prompt_encoder.…`, which PEFT passes over, so that training can go
// on; read back without them, the prompt is trained directly.
import { hostRandom, linear, uniformValues } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Method, Parameters } from "./contract.ts";
import { normalTensor } from "./initialisers.ts";
import { defaultsOf, type Fields, promptLength } from "./options.ts";
import { required } from "./own-config.ts";
import { configInteger, expectType, peftConfig, peftSizes } from "./peft-config.ts";
import { expectTensors, shapeProblems } from "./tensors.ts";

export type PTuningOptions = {
  numVirtualTokens: number;
  /** `none`: the computed prompt itself, as files of PEFT hold it. */
  encoder: "mlp" | "lstm" | "none";
  hiddenSize: number;
  lstmLayers: number;
};

const fields: Fields<PTuningOptions> = {
  numVirtualTokens: { ...promptLength, default: 20 } as typeof promptLength,
  encoder: {
    kind: "choice",
    default: "mlp",
    values: ["mlp", "lstm", "none"],
    about: "the network that makes the prompt",
  },
  hiddenSize: { kind: "integer", default: 128, min: 1, max: 16_384, about: "width of the network" },
  lstmLayers: { kind: "integer", default: 2, min: 1, max: 8, about: "layers of the LSTM" },
};

const prefix = "prompt_encoder.";

export const pTuning: Method<PTuningOptions> = {
  name: "p-tuning",
  title: "P-tuning",
  source: "Liu et al., GPT Understands, Too (2021), section 2; shapes as in PEFT",
  peftType: "P_TUNING",
  defaults: defaultsOf(fields),
  fields,
  init(options, { backbone, seed }) {
    const width = backbone.hiddenSize;
    if (options.encoder === "none")
      return { prompt_embeddings: normalTensor(seed, [options.numVirtualTokens, width], 1) };
    const random = hostRandom(seed * 1009 + 13);
    const parameters: Record<string, tf.Tensor> = {};
    for (const [name, shape] of Object.entries(shapesOf(options, width))) {
      // torch's defaults: embeddings from N(0, 1), linear maps and LSTMs from U(±1/√fan).
      if (name === `${prefix}embedding.weight`) parameters[name] = normalTensor(seed, shape, 1);
      else {
        const fan = name.includes("lstm_head") ? options.hiddenSize : fanIn(name, options, width);
        const size = shape.reduce((product, n) => product * n, 1);
        parameters[name] = tf.tensor(uniformValues(random, size, -(fan ** -0.5), fan ** -0.5), [...shape]);
      }
    }
    return parameters;
  },
  group: () => "prompt",
  learningRates: { prompt: 0.3 },
  ports: (parameters, options) => ({ encoderPrompt: computePrompt(parameters, options) }),
  countParameters(options, backbone, tasks) {
    if (options.encoder === "none") return (options.numVirtualTokens * backbone.hiddenSize) / tasks;
    const shapes = Object.values(shapesOf(options, backbone.hiddenSize));
    return shapes.reduce((sum, shape) => sum + shape.reduce((product, n) => product * n, 1), 0) / tasks;
  },
  toFile(parameters, options, backbone) {
    const prompt =
      options.encoder === "none" ? parameters.prompt_embeddings! : tf.tidy(() => computePrompt(parameters, options));
    const config = peftConfig("P_TUNING", {
      ...peftSizes(backbone),
      encoder_dropout: 0.0,
      encoder_hidden_size: options.hiddenSize,
      encoder_num_layers: options.lstmLayers,
      encoder_reparameterization_type: options.encoder === "lstm" ? "LSTM" : "MLP",
      num_transformer_submodules: 1,
      num_virtual_tokens: options.numVirtualTokens,
      token_dim: prompt.shape[1],
    });
    return { config, tensors: { ...parameters, prompt_embeddings: prompt } };
  },
  fits: (parameters, options, backbone) =>
    shapeProblems(
      parameters,
      options.encoder === "none"
        ? { prompt_embeddings: [options.numVirtualTokens, backbone.hiddenSize] }
        : shapesOf(options, backbone.hiddenSize),
      backbone,
    ),
  // The file's prompt_embeddings is the network's output; its first layer bears the name that other prompts have.
  peftParameter: (name) => name.replace("prompt_encoder.default.", prefix),
  fromFile(config, tensors) {
    expectType(config, "P_TUNING");
    const rows = configInteger(config, "num_virtual_tokens");
    const submodules = configInteger(config, "num_transformer_submodules", 2);
    const { prompt_embeddings: computed, ...network } = tensors;
    const options: PTuningOptions = {
      ...pTuning.defaults,
      numVirtualTokens: rows,
      hiddenSize: configInteger(config, "encoder_hidden_size", pTuning.defaults.hiddenSize),
      lstmLayers: configInteger(config, "encoder_num_layers", pTuning.defaults.lstmLayers),
      encoder: config.encoder_reparameterization_type === "LSTM" ? "lstm" : "mlp",
    };
    if (Object.keys(network).length === 0) {
      const { prompt_embeddings: all } = expectTensors(tensors, { prompt_embeddings: [rows * submodules, null] });
      const prompt = submodules === 1 ? all! : tf.slice(all!, [0, 0], [rows, -1]);
      return { options: { ...options, encoder: "none" }, parameters: { prompt_embeddings: prompt } };
    }
    const width = computed?.shape[1] ?? 0;
    return { options, parameters: expectTensors(network, shapesOf(options, width)) };
  },
};

function shapesOf(options: PTuningOptions, width: number): Record<string, readonly number[]> {
  const { hiddenSize: hidden, numVirtualTokens, encoder, lstmLayers } = options;
  const shapes: Record<string, readonly number[]> = { [`${prefix}embedding.weight`]: [numVirtualTokens, width] };
  const add = (name: string, outputs: number, inputs: number): void => {
    shapes[`${prefix}mlp_head.${name}.weight`] = [outputs, inputs];
    shapes[`${prefix}mlp_head.${name}.bias`] = [outputs];
  };
  if (encoder === "mlp") {
    add("0", hidden, width);
    add("2", hidden, hidden);
    add("4", width, hidden);
    return shapes;
  }
  for (let layer = 0; layer < lstmLayers; layer++)
    for (const direction of ["", "_reverse"]) {
      const suffix = `_l${layer}${direction}`;
      shapes[`${prefix}lstm_head.weight_ih${suffix}`] = [4 * hidden, layer === 0 ? width : 2 * hidden];
      shapes[`${prefix}lstm_head.weight_hh${suffix}`] = [4 * hidden, hidden];
      shapes[`${prefix}lstm_head.bias_ih${suffix}`] = [4 * hidden];
      shapes[`${prefix}lstm_head.bias_hh${suffix}`] = [4 * hidden];
    }
  add("0", 2 * hidden, 2 * hidden);
  add("2", width, 2 * hidden);
  return shapes;
}

function fanIn(name: string, options: PTuningOptions, width: number): number {
  if (options.encoder === "lstm") return 2 * options.hiddenSize;
  return name.includes("mlp_head.0") ? width : options.hiddenSize;
}

/** The prompt [P, H] that the network makes. */
export function computePrompt(parameters: Parameters, options: PTuningOptions): tf.Tensor {
  if (options.encoder === "none") return required(parameters, "prompt_embeddings");
  const get = (name: string): tf.Tensor => required(parameters, prefix + name);
  const map = (name: string, x: tf.Tensor): tf.Tensor =>
    tf.add(linear(x, get(`mlp_head.${name}.weight`)), get(`mlp_head.${name}.bias`));
  let x = get("embedding.weight");
  if (options.encoder === "mlp") return map("4", tf.relu(map("2", tf.relu(map("0", x)))));
  for (let layer = 0; layer < options.lstmLayers; layer++)
    x = tf.concat([lstm(get, `_l${layer}`, x, false), lstm(get, `_l${layer}_reverse`, x, true)], 1);
  return map("2", tf.relu(map("0", x)));
}

/** One direction of an LSTM layer over the rows of x [P, I] → [P, hidden]; torch's gate order i, f, g, o. */
function lstm(get: (name: string) => tf.Tensor, suffix: string, x: tf.Tensor, reverse: boolean): tf.Tensor {
  const recurrent = get(`lstm_head.weight_hh${suffix}`);
  const hidden = recurrent.shape[1]!;
  const bias = tf.add(get(`lstm_head.bias_ih${suffix}`), get(`lstm_head.bias_hh${suffix}`));
  const driven = tf.add(linear(x, get(`lstm_head.weight_ih${suffix}`)), bias);
  const length = x.shape[0]!;
  let h: tf.Tensor = tf.zeros([1, hidden]);
  let c: tf.Tensor = tf.zeros([1, hidden]);
  const outputs = new Array<tf.Tensor>(length);
  for (let step = 0; step < length; step++) {
    const row = reverse ? length - 1 - step : step;
    const gates = tf.add(tf.slice(driven, [row, 0], [1, -1]), linear(h, recurrent));
    const [i, f, g, o] = tf.split(gates, 4, 1) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
    c = tf.add(tf.mul(tf.sigmoid(f), c), tf.mul(tf.sigmoid(i), tf.tanh(g)));
    h = tf.mul(tf.sigmoid(o), tf.tanh(c));
    outputs[row] = h;
  }
  return tf.concat(outputs, 0);
}
