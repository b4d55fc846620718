// Distillation from single-task teachers, used in MPT's source stage: L = L_LM + λ (L_logits + L_hidden).
//
// From the paper (section 3.2): the sum and its two terms, KL of logits with a temperature and squared distance of
// hidden states, teachers being the same frozen model with each task's own prompt. Our own reading, since neither the
// values nor the indexing could be verified: λ = 0.9 and T = 1 by default (both are options of a run), hidden states
// of both stacks, the last ones or all of them, means over counted positions instead of sums, so that λ does not
// depend on lengths.
import type { Ports } from "#toolkit/models/contract.ts";
import { klDivergence, meanSquaredError } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Parameters } from "./contract.ts";
import { collapsePrompt } from "./sources.ts";

/** What distillation compares: the parts of a forward pass. */
export interface Outputs {
  /** [B, L, V] */
  readonly logits: tf.Tensor;
  readonly encoder: {
    /** [B, P + T, H] each */
    readonly hiddenStates: readonly tf.Tensor[];
    /** [B, P + T] */
    readonly mask: tf.Tensor;
  };
  /** [B, D + L, H] each */
  readonly decoderHiddenStates: readonly tf.Tensor[];
}

export interface DistillationOptions {
  /** T of the KL term. */
  readonly temperature?: number;
  /** Multiply the KL term by T² (Hinton et al.). */
  readonly scaleByTemperature?: boolean;
  /** Which hidden states are compared. */
  readonly layers?: "last" | "all";
}

export const distillationDefaults: { readonly weight: number } & Required<DistillationOptions> = {
  weight: 0.9,
  temperature: 1,
  scaleByTemperature: false,
  layers: "last",
};

/**
 * The two distillation terms, scalars. No gradient reaches the teacher.
 *
 * Encoder states are compared on text and, where both prompts have one length, on prompt rows too; else on the text
 * alone. Decoder states and logits are compared where labels count.
 * @param labels [B, L] int32, −100 ignored
 */
export function distillationLosses(
  teacher: Outputs,
  student: Outputs,
  labels: tf.Tensor,
  options: DistillationOptions = {},
): {
  readonly logits: tf.Scalar;
  /** `encoder` + `decoder`. */
  readonly hidden: tf.Scalar;
  /** Mean over encoder positions. */
  readonly encoder: tf.Scalar;
  /** Mean over counted labels. */
  readonly decoder: tf.Scalar;
} {
  const { temperature, scaleByTemperature, layers } = { ...distillationDefaults, ...options };
  const counted = tf.cast(tf.greaterEqual(labels, tf.scalar(0, "int32")), "float32");
  const length = labels.shape[1]!;
  const chosen = (states: readonly tf.Tensor[]): readonly tf.Tensor[] =>
    layers === "last" ? states.slice(-1) : states;
  const encoder = meanOver(
    chosen(teacher.encoder.hiddenStates),
    chosen(student.encoder.hiddenStates),
    student.encoder.mask,
  );
  const decoder = meanOver(
    chosen(teacher.decoderHiddenStates).map((states) => lastRows(states, length)),
    chosen(student.decoderHiddenStates).map((states) => lastRows(states, length)),
    counted,
  );
  return {
    logits: klDivergence(teacher.logits, student.logits, counted, temperature, scaleByTemperature),
    hidden: tf.add(encoder, decoder) as tf.Scalar,
    encoder: encoder as tf.Scalar,
    decoder: decoder as tf.Scalar,
  };
}

function meanOver(teacher: readonly tf.Tensor[], student: readonly tf.Tensor[], mask: tf.Tensor): tf.Tensor {
  if (teacher.length !== student.length)
    throw new Error(
      `teacher and student must have equally many layers; they have ${teacher.length} and ${student.length}`,
    );
  const terms = student.map((states, i) => {
    const other = teacher[i]!;
    const length = Math.min(states.shape[1]!, other.shape[1]!);
    return meanSquaredError(lastRows(other, length), lastRows(states, length), lastColumns(mask, length));
  });
  return tf.div(tf.addN(terms), terms.length);
}

function lastRows(states: tf.Tensor, length: number): tf.Tensor {
  const all = states.shape[1]!;
  return all === length ? states : tf.slice(states, [0, all - length, 0], [-1, length, -1]);
}

function lastColumns(mask: tf.Tensor, length: number): tf.Tensor {
  const all = mask.shape[1]!;
  return all === length ? mask : tf.slice(mask, [0, all - length], [-1, length]);
}

/**
 * The teachers of several tasks as one tensor [K, P, H], so that a mixed batch runs through one forward pass.
 * @param teachers parameters of each task's prompt, in order of task id
 * @throws Error where their shapes differ
 */
export function stackTeachers(teachers: readonly Parameters[]): tf.Tensor {
  const prompts = teachers.map((teacher) => collapsePrompt(teacher, 0));
  const shapes = new Set(prompts.map((prompt) => prompt.shape.join(" × ")));
  if (shapes.size !== 1)
    throw new Error(`teacher prompts must have one shape; they have ${[...shapes].join(", ") || "none"}`);
  return tf.stack(prompts);
}

/** Ports of the teacher of each row's task. teachers [K, P, H], taskIds [B]. */
export function teacherPorts(teachers: tf.Tensor, taskIds: tf.Tensor): Ports {
  return { encoderPrompt: tf.gather(teachers, taskIds as tf.Tensor1D) };
}
