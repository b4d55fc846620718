// The three compiled pieces of generation: `encode` runs the encoder, `prepare` makes everything that stays the same
// over the steps and an empty cache, `step` decodes one token of each row. The cache has a fixed shape, so that one
// executable serves every step. Choosing tokens is not here: index.ts, beams.ts.
//
// Cross-attention has two forms. For long answers keys and values of the encoder's output are made once. For short
// ones (`attendsDirectly`: at T5-base and 256 positions up to some fifty tokens) the steps attend to the output itself
// (cross.ts): the maps that would make keys and values, a seventh of the encoder's work, act on the queries instead.
import type { Ports } from "#toolkit/models/contract.ts";
import { additiveMask, causalMask, expandBatch, positions } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import { attendsDirectly, type StatesSource } from "../cross.ts";
import { crossMask, decoderBuckets, encode } from "../model.ts";
import { relativeBias, relativeBiasAt } from "../relative-bias.ts";
import {
  createPass,
  crossKeysAndValues,
  decoderStack,
  embed,
  head,
  type KeyValue,
  type Pass,
  withPrefix,
} from "../stack.ts";
import type { T5Model } from "../weights.ts";

/** The input of one generation, as tensors. */
export type GenerationInputs = {
  /** [B, T] int32 */
  readonly inputIds: tf.Tensor;
  /** [B, T] */
  readonly attentionMask: tf.Tensor;
  /** [B] int32: which task each row belongs to */
  readonly taskIds: tf.Tensor;
};

/** Makes the ports of a batch; called while tracing, so everything it closes over must be a constant. */
export type MakePorts<P> = (parameters: P, inputs: GenerationInputs & { readonly inputEmbeddings: tf.Tensor }) => Ports;

/** What stays the same over the steps; N = B · beams rows. */
export type Fixed = {
  readonly inputs: GenerationInputs;
  /** What each decoder layer attends to: keys and values [N, K, S, D], or for all of them one output [N, S, H]. */
  readonly cross: readonly KeyValue[] | { readonly states: tf.Tensor };
  /** [N, 1, 1, S] */
  readonly crossBias: tf.Tensor;
};

/** Keys and values of each decoder layer's own past, [N, K, front + maxNewTokens, D]. */
export type Cache = readonly KeyValue[];

/** The encoder's result: rows of different calls may be put together. */
export type EncodedRows = {
  /** [B, P + T, H] */
  readonly last: tf.Tensor;
  /** [B, P + T] */
  readonly mask: tf.Tensor;
};

export interface Decoding<P> {
  encode(parameters: P, inputs: GenerationInputs): EncodedRows;
  prepare(
    parameters: P,
    inputs: GenerationInputs,
    encoded: EncodedRows,
  ): { readonly fixed: Fixed; readonly cache: Cache };
  /** Logits [N, V] of the next token after `tokens` [N], which stand at `position` (int32 scalar, 0 for the start). */
  step(
    parameters: P,
    fixed: Fixed,
    cache: Cache,
    tokens: tf.Tensor,
    position: tf.Tensor,
  ): { readonly logits: tf.Tensor; readonly cache: Cache };
}

export function createDecoding<P>(
  model: T5Model,
  makePorts: MakePorts<P> | undefined,
  maxNewTokens: number,
  beams: number,
): Decoding<P> {
  const bias = "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
  // Set while `prepare` is traced, which is always before `step` is.
  let front = 0;
  let stepNeedsPorts = false;

  const portsOf = (parameters: P, inputs: GenerationInputs) => (inputEmbeddings: tf.Tensor) =>
    makePorts ? makePorts(parameters, { ...inputs, inputEmbeddings }) : {};

  const repeat = (x: tf.Tensor): tf.Tensor => {
    if (beams === 1) return x;
    const rows = Int32Array.from({ length: x.shape[0]! * beams }, (_, i) => Math.floor(i / beams));
    return tf.gather(x, tf.tensor1d(rows, "int32"));
  };

  /** Keys and values of what stands before the start token: a prefix, a decoder prompt, both or nothing. */
  const frontOf = (
    pass: Pass,
    batch: number,
    cross: (layer: number) => KeyValue | StatesSource,
    crossBias: tf.Tensor,
  ): KeyValue[] | undefined => {
    const { prefix, decoderPrompt } = pass.ports;
    const prefixes = prefix?.decoder;
    const prefixLength = prefixes?.[0]?.key.shape[2] ?? 0;
    if (decoderPrompt) {
      const x = expandBatch(decoderPrompt, batch);
      const length = x.shape[1]!;
      const found: KeyValue[] = [];
      const all = prefixLength + length;
      const selfBias = tf.add(
        relativeBias(pass.weight(bias), length, all, decoderBuckets(model), prefixLength),
        causalMask(length, all, prefixLength),
      );
      const remember = (i: number, own: KeyValue): KeyValue => {
        found[i] = withPrefix(own, prefixes?.[i]);
        return found[i];
      };
      decoderStack(pass, x, remember, selfBias, cross, crossBias);
      return found;
    }
    return prefixes?.map(({ key, value }) => {
      const rows = (x: tf.Tensor): tf.Tensor => (x.shape[0] === batch ? x : tf.add(x, tf.zeros([batch, 1, 1, 1])));
      return { key: rows(key), value: rows(value) };
    });
  };

  return {
    encode(parameters, inputs) {
      const { last, mask } = encode(model, { ...inputs, ports: portsOf(parameters, inputs) });
      return { last, mask };
    },

    prepare(parameters, inputs, encoded) {
      const { last, mask } = encoded;
      const embeddings = tf.gather(model.weights.get("shared.weight")!, inputs.inputIds as tf.Tensor2D);
      const pass = createPass(model, portsOf(parameters, inputs)(embeddings));
      const batch = last.shape[0]!;
      const layers = Array.from({ length: model.config.numDecoderLayers }, (_, i) => i);
      const direct = attendsDirectly(pass, maxNewTokens, last.shape[1]!);
      const pairs = direct ? [] : layers.map((i) => crossKeysAndValues(pass, last, i));
      const crossBias = crossMask({ pass, mask });
      const fronts = frontOf(pass, batch, (i) => pairs[i] ?? { states: last }, crossBias);
      front = fronts?.[0]?.key.shape[2] ?? 0;
      const { linear, sublayer, weight } = pass.ports;
      stepNeedsPorts = Boolean(linear || sublayer || weight);
      const room = (): tf.Tensor =>
        tf.zeros([batch * beams, model.config.numHeads, maxNewTokens, model.config.headSize]);
      const cache = layers.map((i) => {
        const before = fronts?.[i];
        if (!before) return { key: room(), value: room() };
        return {
          key: tf.concat([repeat(before.key), room()], 2),
          value: tf.concat([repeat(before.value), room()], 2),
        };
      });
      const fixed: Fixed = {
        inputs: {
          inputIds: repeat(inputs.inputIds),
          attentionMask: repeat(inputs.attentionMask),
          taskIds: repeat(inputs.taskIds),
        },
        cross: direct
          ? { states: repeat(last) }
          : pairs.map(({ key, value }) => ({ key: repeat(key), value: repeat(value) })),
        crossBias: repeat(crossBias),
      };
      return { fixed, cache };
    },

    step(parameters, fixed, cache, tokens, position) {
      const { inputs } = fixed;
      let ports: Ports = {};
      if (stepNeedsPorts)
        ports = portsOf(
          parameters,
          inputs,
        )(tf.gather(model.weights.get("shared.weight")!, inputs.inputIds as tf.Tensor2D));
      const pass = createPass(model, ports);
      const length = front + maxNewTokens;
      const slots = positions(length);
      const here = tf.add(position, tf.scalar(front, "int32"));
      // Keys that are not there yet are masked; the query sees itself.
      const visible = tf.reshape(tf.cast(tf.lessEqual(slots, here), "float32"), [1, length]);
      const selfBias = tf.add(
        relativeBiasAt(pass.weight(bias), here, length, decoderBuckets(model)),
        additiveMask(visible),
      );
      const mine = tf.reshape(tf.cast(tf.equal(slots, here), "float32"), [1, 1, length, 1]);
      const others = tf.sub(1, mine);
      const put = (before: tf.Tensor, now: tf.Tensor): tf.Tensor => tf.add(tf.mul(before, others), tf.mul(now, mine));
      const next: KeyValue[] = [];
      const remember = (i: number, own: KeyValue): KeyValue => {
        const past = cache[i]!;
        next[i] = { key: put(past.key, own.key), value: put(past.value, own.value) };
        return next[i];
      };
      const x = embed(pass, tf.reshape(tokens, [-1, 1]));
      const { cross } = fixed;
      const source = "states" in cross ? () => cross : (i: number) => cross[i]!;
      const states = decoderStack(pass, x, remember, selfBias, source, fixed.crossBias);
      const logits = head(pass, states.at(-1)!, model.weights.has("lm_head.weight"));
      return { logits: tf.reshape(logits, [-1, model.config.vocabSize]), cache: next };
    },
  };
}
