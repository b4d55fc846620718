// T5 forward: encoder, teacher-forced decoder, loss, hidden states on request. Methods act through ports alone.
// Not here: generation (generate/), weights (weights.ts).
import type { Ports } from "#toolkit/models/contract.ts";
import { additiveMask, causalMask, crossEntropy, expandBatch } from "#toolkit/nn/index.ts";
import { type Key, tf } from "#toolkit/tensor/index.ts";
import { attendsDirectly } from "./cross.ts";
import { relativeBias } from "./relative-bias.ts";
import {
  createPass,
  crossKeysAndValues,
  decoderStack,
  embed,
  encoderStack,
  head,
  type Pass,
  withPrefix,
} from "./stack.ts";
import type { T5Model } from "./weights.ts";

/** Ports, or what makes them of the input's token embeddings [B, T, H] (methods that look at the input). */
export type PortsSource = Ports | ((inputEmbeddings: tf.Tensor) => Ports);

export interface EncodeInputs {
  /** [B, T] int32 */
  readonly inputIds: tf.Tensor;
  /** [B, T] 1 for tokens, 0 for padding */
  readonly attentionMask: tf.Tensor;
  readonly ports?: PortsSource;
  /** Randomness of this step, [2] int32; given: dropout is on. */
  readonly key?: Key;
}

export interface ForwardInputs extends EncodeInputs {
  /** [B, L] int32, −100 where ignored */
  readonly labels: tf.Tensor;
}

export interface Encoded {
  /** [B, P + T, H] after the final norm */
  readonly last: tf.Tensor;
  /** The embeddings and each layer's output, [B, P + T, H] each; the last one is `last`. */
  readonly hiddenStates: readonly tf.Tensor[];
  /** [B, P + T], float32: prompt rows count as tokens */
  readonly mask: tf.Tensor;
  readonly pass: Pass;
}

export interface Forward {
  /** Mean cross-entropy over the labels that count. */
  readonly loss: tf.Scalar;
  /** [B, L, V] */
  readonly logits: tf.Tensor;
  readonly encoder: Encoded;
  /** [B, D + L, H] each, D rows of a decoder prompt in front; the last one is after the final norm */
  readonly decoderHiddenStates: readonly tf.Tensor[];
}

/** Encodes a batch. Prompt rows stand in front of the text and take part in relative positions. */
export function encode(model: T5Model, inputs: EncodeInputs): Encoded {
  const { inputIds, attentionMask, key } = inputs;
  let ports: Ports;
  if (typeof inputs.ports === "function")
    ports = inputs.ports(tf.gather(model.weights.get("shared.weight")!, inputIds as tf.Tensor2D));
  else ports = inputs.ports ?? {};
  const pass = createPass(model, ports, key);
  const batch = inputIds.shape[0]!;
  let x = embed(pass, inputIds);
  if (ports.encoderEmbeddings) x = ports.encoderEmbeddings(x);
  let mask = tf.cast(attentionMask, "float32");
  if (ports.encoderPrompt) {
    const prompt = expandBatch(ports.encoderPrompt, batch);
    x = tf.concat([prompt, x], 1);
    mask = tf.concat([tf.ones([batch, prompt.shape[1]!]), mask], 1);
  }
  const prefix = ports.prefix?.encoder?.[0]?.key.shape[2] ?? 0;
  const keyMask = prefix > 0 ? tf.concat([tf.ones([batch, prefix]), mask], 1) : mask;
  const length = x.shape[1]!;
  const bias = relativeBias(
    pass.weight("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
    length,
    prefix + length,
    encoderBuckets(model),
    prefix,
  );
  const hiddenStates = encoderStack(pass, x, tf.add(bias, additiveMask(keyMask)));
  return { last: hiddenStates.at(-1)!, hiddenStates, mask, pass };
}

/** Encodes, decodes under teacher forcing (labels shifted right) and takes the loss. */
export function forward(model: T5Model, inputs: ForwardInputs): Forward {
  const encoder = encode(model, inputs);
  const { pass } = encoder;
  const { labels } = inputs;
  const length = labels.shape[1]!;
  let x = embed(pass, shiftRight(labels, model.config.decoderStartTokenId));
  const prompt = pass.ports.decoderPrompt ? expandBatch(pass.ports.decoderPrompt, labels.shape[0]!) : undefined;
  const promptLength = prompt?.shape[1] ?? 0;
  if (prompt) x = tf.concat([prompt, x], 1);
  const prefix = pass.ports.prefix?.decoder;
  const prefixLength = prefix?.[0]?.key.shape[2] ?? 0;
  const queries = promptLength + length;
  const selfBias = tf.add(
    relativeBias(
      pass.weight("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
      queries,
      prefixLength + queries,
      decoderBuckets(model),
      prefixLength,
    ),
    causalMask(queries, prefixLength + queries, prefixLength),
  );
  const direct = attendsDirectly(pass, queries, encoder.last.shape[1]!);
  const decoderHiddenStates = decoderStack(
    pass,
    x,
    (i, own) => withPrefix(own, prefix?.[i]),
    selfBias,
    (i) => (direct ? { states: encoder.last } : crossKeysAndValues(pass, encoder.last, i)),
    crossMask(encoder),
  );
  let last = decoderHiddenStates.at(-1)!;
  if (promptLength > 0) last = tf.slice(last, [0, promptLength, 0], [-1, length, -1]);
  const logits = head(pass, last, model.weights.has("lm_head.weight"));
  return { loss: crossEntropy(logits, labels), logits, encoder, decoderHiddenStates };
}

/** The additive mask of cross-attention, with room for a prefix in front: [B, 1, 1, prefix + P + T]. */
export function crossMask(encoder: Pick<Encoded, "mask" | "pass">): tf.Tensor {
  const prefix = encoder.pass.ports.prefix?.cross?.[0]?.key.shape[2] ?? 0;
  const batch = encoder.mask.shape[0]!;
  return additiveMask(prefix > 0 ? tf.concat([tf.ones([batch, prefix]), encoder.mask], 1) : encoder.mask);
}

/** Decoder input of labels [B, L]: the start token, then all labels but the last; −100 becomes padding (0). */
export function shiftRight(labels: tf.Tensor, start: number): tf.Tensor {
  const [batch, length] = labels.shape as [number, number];
  const first = tf.fill([batch, 1], start, "int32");
  const rest = tf.slice(labels, [0, 0], [batch, length - 1]);
  return tf.concat([first, tf.maximum(rest, tf.scalar(0, "int32"))], 1);
}

export function encoderBuckets(model: T5Model): Parameters<typeof relativeBias>[3] {
  const { relativeAttentionNumBuckets: count, relativeAttentionMaxDistance: maxDistance } = model.config;
  return { bidirectional: true, count, maxDistance };
}

export function decoderBuckets(model: T5Model): Parameters<typeof relativeBias>[3] {
  return { ...encoderBuckets(model), bidirectional: false };
}
