// BMTPT: Bayesian multi-task transfer. Particles approximate the posterior of a prompt given all source tasks; a
// target prompt starts from their mean and is trained with that posterior as its prior.
//
// From the paper (Lee et al., EMNLP 2023), at the level that could be read: Stein variational gradient descent (SVGD,
// Liu and Wang 2016) over source prompts, aggregation of the particles, MAP on the target with the posterior as prior.
// No code or hyperparameter of it was ever published. Our own reading: five particles; the rows of a batch are dealt
// out to the particles in turn, so that a step costs what one prompt costs; RBF kernel with the median heuristic's
// bandwidth replaced by its mean (no sorting inside a step); the posterior as a diagonal Gaussian of the particles;
// the weights of repulsion and prior as options. SVGD is a change of the gradient, not of the loss: it is done where
// the particles enter the forward pass, by an identity whose gradient is Stein's direction.
import { tf } from "#toolkit/tensor/index.ts";
import type { Method, Parameters, SourceContext } from "./contract.ts";
import { initPrompt, type PromptInit, promptInitField } from "./initialisers.ts";
import { defaultsOf, type Fields, promptLength } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { refuse } from "./sources.ts";
import { expectTensors, shapeProblems } from "./tensors.ts";

export type BmtptOptions = {
  numVirtualTokens: number;
  particles: number;
  /** Weight of the term that keeps particles apart. */
  repulsion: number;
  /** Weight of −log prior on a target. */
  priorWeight: number;
  /** Least standard deviation of the prior, relative to the prompt's own. */
  priorFloor: number;
  init: PromptInit;
};

const fields: Fields<BmtptOptions> = {
  numVirtualTokens: promptLength,
  particles: { kind: "integer", default: 5, min: 2, max: 64, about: "SVGD particles of the source stage" },
  repulsion: { kind: "number", default: 1e-3, min: 0, max: 1e6, about: "weight of the kernel's gradient" },
  priorWeight: { kind: "number", default: 1e-4, min: 0, max: 1e6, about: "weight of the prior on a target" },
  priorFloor: { kind: "number", default: 0.1, min: 1e-6, max: 100, about: "least deviation, relative to the mean one" },
  init: promptInitField,
};

const names = {
  particles: "particles",
  prompt: "prompt_embeddings",
  mean: "prior_mean",
  precision: "prior_precision",
} as const;

export const bmtpt: Method<BmtptOptions> = {
  name: "bmtpt",
  title: "BMTPT",
  source:
    "Lee et al., Bayesian Multi-Task Transfer Learning for Soft Prompt Tuning (Findings of EMNLP 2023); details our own",
  defaults: defaultsOf(fields),
  fields,
  checkSources,
  init(options, context) {
    refuse(checkSources(options, context));
    const source = context.sources?.find(({ parameters }) => parameters[names.particles]);
    if (source) return fromParticles(options, source.parameters[names.particles]!);
    const prompts = Array.from({ length: options.particles }, (_, i) =>
      initPrompt(options.init, options.numVirtualTokens, context, 100 + i),
    );
    return { [names.particles]: tf.stack(prompts) };
  },
  group: (name) => (name === names.mean || name === names.precision ? null : "prompt"),
  learningRates: { prompt: 0.3 },
  ports(parameters, options, context) {
    const particles = parameters[names.particles];
    if (!particles) return { encoderPrompt: required(parameters, names.prompt) };
    // In evaluation of the source stage the particles' mean speaks for them.
    if (!context.training) return { encoderPrompt: tf.mean(particles, 0) };
    const batch = context.taskIds.shape[0]!;
    const turn = Int32Array.from({ length: batch }, (_, i) => i % particles.shape[0]!);
    return { encoderPrompt: tf.gather(steinIdentity(particles, options.repulsion), tf.tensor1d(turn, "int32")) };
  },
  regularizer(parameters, options) {
    const mean = parameters[names.mean];
    if (!mean || options.priorWeight === 0) return undefined;
    const away = tf.sub(required(parameters, names.prompt), mean);
    return tf.mul(tf.sum(tf.mul(tf.square(away), required(parameters, names.precision))), options.priorWeight / 2);
  },
  countParameters: (options, backbone, tasks) => (options.numVirtualTokens * backbone.hiddenSize) / tasks,
  fits(parameters, { numVirtualTokens: rows, particles }, backbone) {
    const width = backbone.hiddenSize;
    const target = { [names.prompt]: [rows, width], [names.mean]: [rows, width], [names.precision]: [rows, width] };
    const expected = parameters[names.particles] ? { [names.particles]: [particles, rows, width] } : target;
    return shapeProblems(parameters, expected, backbone);
  },
  toFile: (parameters, options) => ({ config: ownConfig("bmtpt", options), tensors: parameters }),
  fromFile(config, tensors) {
    const options = ownOptions(config, "bmtpt", bmtpt.defaults);
    const { numVirtualTokens: rows, particles } = options;
    const width = (tensors[names.particles] ?? tensors[names.prompt])?.shape.at(-1) ?? null;
    const parameters = tensors[names.particles]
      ? expectTensors(tensors, { [names.particles]: [particles, rows, width] })
      : expectTensors(tensors, {
          [names.prompt]: [rows, width],
          [names.mean]: [rows, width],
          [names.precision]: [rows, width],
        });
    return { options, parameters };
  },
};

function checkSources(options: BmtptOptions, { backbone, sources = [] }: SourceContext): string[] {
  if (sources.length === 0) return [];
  const particles = sources.find(({ parameters }) => parameters[names.particles])?.parameters[names.particles];
  if (!particles) return ["bmtpt starts a target from its own source stage: a source state that holds particles"];
  const wanted = [options.numVirtualTokens, backbone.hiddenSize].join(" × ");
  const shape = particles.shape.slice(1).join(" × ");
  return shape === wanted ? [] : [`source particles are ${shape}; numVirtualTokens and the backbone ask for ${wanted}`];
}

/** The target's start: the particles' mean as prompt and prior mean, one over their floored variance as precision. */
function fromParticles(options: BmtptOptions, particles: tf.Tensor): Parameters {
  return tf.tidy(() => {
    const mean = tf.mean(particles, 0);
    const variance = tf.mean(tf.square(tf.sub(particles, mean)), 0);
    const floor = tf.add(tf.mul(tf.mean(variance), options.priorFloor ** 2), 1e-8);
    return {
      [names.prompt]: tf.clone(mean),
      [names.mean]: mean,
      [names.precision]: tf.reciprocal(tf.add(variance, floor)),
    };
  });
}

/**
 * The particles [N, P, H] unchanged; going back, particle i receives
 * Σ_j k(x_j, x_i) g_j − repulsion · Σ_j ∇_{x_j} k(x_j, x_i), g_j being the gradient of the loss (−log p) at x_j:
 * minus Stein's direction, to be descended. Rows of a batch are dealt out, so g_j carries a 1/N; that stands for the
 * mean over particles.
 */
export function steinIdentity(particles: tf.Tensor, repulsion: number): tf.Tensor {
  const count = particles.shape[0]!;
  const size = particles.size / count;
  const op = tf.customGrad((input, save) => {
    const x = input as tf.Tensor;
    (save as tf.GradSaveFunc)([x]);
    return {
      value: tf.clone(x),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const flat = tf.reshape(saved[0]!, [count, size]) as tf.Tensor2D;
        const gradient = tf.reshape(dy, [count, size]) as tf.Tensor2D;
        const norms = tf.sum(tf.square(flat), 1, true);
        const products = tf.matMul(flat, flat, false, true);
        const distances = tf.maximum(tf.sub(tf.add(norms, tf.transpose(norms)), tf.mul(products, 2)), 0);
        const bandwidth = tf.add(tf.div(tf.mean(distances), Math.log(count + 1)), 1e-8);
        const kernel = tf.exp(tf.neg(tf.div(distances, bandwidth))) as tf.Tensor2D;
        const drive = tf.matMul(kernel, gradient);
        // Σ_j ∇_{x_j} k(x_j, x_i) = (2/h) Σ_j k_ij (x_i − x_j): it points away from the others.
        const apart = tf.sub(tf.mul(flat, tf.sum(kernel, 1, true)), tf.matMul(kernel, flat));
        const push = tf.div(tf.mul(apart, (2 * repulsion) / count), bandwidth);
        return tf.reshape(tf.sub(drive, push), particles.shape);
      },
    };
  });
  return op(particles);
}
