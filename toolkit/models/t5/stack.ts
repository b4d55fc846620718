// The two stacks of T5, as functions of tensors: every place where a method may change something is a port. Used
// whole in training (model.ts) and piece by piece in generation (generate/). No values are read, all shapes are static.
import type { Ports, PrefixKeyValue } from "#toolkit/models/contract.ts";
import { attend, geluNew, linear, relu, rmsNorm, splitHeads } from "#toolkit/nn/index.ts";
import { type Key, random, tf } from "#toolkit/tensor/index.ts";
import type { T5Config } from "./config.ts";
import { attendStates, type StatesSource } from "./cross.ts";
import type { T5Model } from "./weights.ts";

/** One pass through the model: its weights, what fills its ports, and whether dropout is on. */
export interface Pass {
  readonly config: T5Config;
  readonly ports: Ports;
  weight(name: string): tf.Tensor;
  /** A linear map without a bias and whatever the method does after it. `site` is the weight's name without `.weight`. */
  linear(site: string, x: tf.Tensor): tf.Tensor;
  norm(site: string, x: tf.Tensor): tf.Tensor;
  /** The identity in evaluation. */
  dropout(x: tf.Tensor): tf.Tensor;
}

export function createPass(model: T5Model, ports: Ports, key?: Key): Pass {
  const { config } = model;
  const weight = (name: string): tf.Tensor => {
    const frozen = model.weights.get(name);
    if (!frozen) throw new Error(`the model has no weight ${name}`);
    return ports.weight ? ports.weight(name, frozen) : frozen;
  };
  const after = (site: string, x: tf.Tensor, y: tf.Tensor): tf.Tensor => (ports.linear ? ports.linear(site, x, y) : y);
  // Each use of dropout draws from a key of its own; the order of uses is the model's and never changes.
  let uses = 0;
  return {
    config,
    ports,
    weight,
    linear: (site, x) => after(site, x, linear(x, weight(`${site}.weight`))),
    norm: (site, x) => after(site, x, rmsNorm(x, weight(`${site}.weight`), config.layerNormEpsilon)),
    dropout: (x) =>
      key && config.dropoutRate > 0 ? random.dropout(random.foldIn(key, uses++), x, config.dropoutRate) : x,
  };
}

/** Keys and values of one attention, each [B, K, S, D]. */
export type KeyValue = {
  readonly key: tf.Tensor;
  readonly value: tf.Tensor;
};

/** Keys and values that an attention at `site` makes of `x` [B, S, H]. */
export function keysAndValues(pass: Pass, site: string, x: tf.Tensor): KeyValue {
  const heads = pass.config.numHeads;
  return {
    key: splitHeads(pass.linear(`${site}.k`, x), heads),
    value: splitHeads(pass.linear(`${site}.v`, x), heads),
  };
}

/** Puts a method's prefix in front of keys and values. */
export function withPrefix(own: KeyValue, prefix: PrefixKeyValue | undefined): KeyValue {
  if (!prefix) return own;
  const join = (front: tf.Tensor, back: tf.Tensor): tf.Tensor => {
    const batch = back.shape[0]!;
    const rows = front.shape[0] === batch ? front : tf.add(front, tf.zeros([batch, 1, 1, 1]));
    return tf.concat([rows, back], 2);
  };
  return { key: join(prefix.key, own.key), value: join(prefix.value, own.value) };
}

/** One attention sublayer's inner part: queries of `x` on given keys and values, then the output map. */
export function attention(
  pass: Pass,
  site: string,
  x: tf.Tensor,
  source: KeyValue | StatesSource,
  bias: tf.Tensor | undefined,
): tf.Tensor {
  const query = splitHeads(pass.linear(`${site}.q`, x), pass.config.numHeads);
  // T5 does not divide by √D; its initialisation makes up for it.
  const mixed =
    "states" in source
      ? attendStates(pass, site, query, source.states, bias)
      : attend(query, source.key, source.value, bias, pass.dropout);
  return pass.linear(`${site}.o`, mixed);
}

/** The inner part of a feed-forward sublayer at `site` (`….layer.N`). */
export function feedForward(pass: Pass, site: string, x: tf.Tensor): tf.Tensor {
  const dense = `${site}.DenseReluDense`;
  const inner = pass.config.gated
    ? tf.mul(geluNew(pass.linear(`${dense}.wi_0`, x)), pass.linear(`${dense}.wi_1`, x))
    : relu(pass.linear(`${dense}.wi`, x));
  return pass.linear(`${dense}.wo`, pass.dropout(inner));
}

/** x + dropout(sublayer(norm(x))), with the method's change of the sublayer's output before both. */
export function residual(
  pass: Pass,
  site: string,
  x: tf.Tensor,
  sublayer: (normed: tf.Tensor) => tf.Tensor,
): tf.Tensor {
  const y = sublayer(pass.norm(`${site}.layer_norm`, x));
  return tf.add(x, pass.dropout(pass.ports.sublayer ? pass.ports.sublayer(site, y) : y));
}

/**
 * The encoder's blocks. The prompt is already in front of `x`.
 * @param x [B, S, H]
 * @param bias [1 or B, K, S, prefix + S]
 * @returns hidden states: the input after dropout, each block's output but the last, and the normed last; L + 1 in all
 */
export function encoderStack(pass: Pass, x: tf.Tensor, bias: tf.Tensor): tf.Tensor[] {
  let h = pass.dropout(x);
  const states = [h];
  for (let i = 0; i < pass.config.numEncoderLayers; i++) {
    const block = `encoder.block.${i}`;
    h = residual(pass, `${block}.layer.0`, h, (y) => {
      const site = `${block}.layer.0.SelfAttention`;
      return attention(pass, site, y, withPrefix(keysAndValues(pass, site, y), pass.ports.prefix?.encoder?.[i]), bias);
    });
    h = residual(pass, `${block}.layer.1`, h, (y) => feedForward(pass, `${block}.layer.1`, y));
    states.push(h);
  }
  states[states.length - 1] = pass.dropout(pass.norm("encoder.final_layer_norm", h));
  return states;
}

/** What a decoder layer attends to besides the encoder. Called with its own new keys and values. */
export type SelfSource = (layer: number, own: KeyValue) => KeyValue;

/**
 * The decoder's blocks.
 * @param x [B, Q, H]
 * @param self what self-attention sees, given the layer's new keys and values
 * @param selfBias [1, K, Q, S]
 * @param cross keys and values of the encoder's output, a pair a layer, or the output itself
 * @param crossBias [B, 1, 1, S] additive mask
 * @returns hidden states as in `encoderStack`
 */
export function decoderStack(
  pass: Pass,
  x: tf.Tensor,
  self: SelfSource,
  selfBias: tf.Tensor,
  cross: (layer: number) => KeyValue | StatesSource,
  crossBias: tf.Tensor,
): tf.Tensor[] {
  let h = pass.dropout(x);
  const states = [h];
  for (let i = 0; i < pass.config.numDecoderLayers; i++) {
    const block = `decoder.block.${i}`;
    h = residual(pass, `${block}.layer.0`, h, (y) => {
      const site = `${block}.layer.0.SelfAttention`;
      return attention(pass, site, y, self(i, keysAndValues(pass, site, y)), selfBias);
    });
    h = residual(pass, `${block}.layer.1`, h, (y) =>
      attention(pass, `${block}.layer.1.EncDecAttention`, y, cross(i), crossBias),
    );
    h = residual(pass, `${block}.layer.2`, h, (y) => feedForward(pass, `${block}.layer.2`, y));
    states.push(h);
  }
  states[states.length - 1] = pass.dropout(pass.norm("decoder.final_layer_norm", h));
  return states;
}

/** Keys and values of the encoder's output for decoder layer `i`, prefix included. */
export function crossKeysAndValues(pass: Pass, encoded: tf.Tensor, i: number): KeyValue {
  const site = `decoder.block.${i}.layer.1.EncDecAttention`;
  return withPrefix(keysAndValues(pass, site, encoded), pass.ports.prefix?.cross?.[i]);
}

/** Logits of decoder states [B, Q, H] → [B, Q, V]. */
export function head(pass: Pass, states: tf.Tensor, untied: boolean): tf.Tensor {
  const { hiddenSize, scaleDecoderOutputs } = pass.config;
  const x = scaleDecoderOutputs ? tf.mul(states, hiddenSize ** -0.5) : states;
  const y = linear(x, pass.weight(untied ? "lm_head.weight" : "shared.weight"));
  return pass.ports.linear ? pass.ports.linear("lm_head", x, y) : y;
}

/** Token embeddings, [B, T] → [B, T, H]; no scaling in T5. */
export function embed(pass: Pass, ids: tf.Tensor): tf.Tensor {
  return tf.gather(pass.weight("shared.weight"), ids as tf.Tensor2D);
}
