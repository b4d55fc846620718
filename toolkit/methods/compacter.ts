// Compacter: adapters whose matrices are sums of Kronecker products, W = Σ_i A_i ⊗ (s_i t_iᵀ).
//
// From the paper (Karimi Mahabadi et al., NeurIPS 2021, section 4): the product, A shared by all layers, rank 1.
// From public code: n = 4, reduction 32, tanh-GELU, glorot-uniform start, both adapters of a layer (Compacter++ drops
// the one after attention: `afterAttention: false`), norms trained, learning rate 3e-3. Our own reading: none.
import type { Backbone } from "#toolkit/models/contract.ts";
import { geluNew } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { Method } from "./contract.ts";
import { glorotTensor } from "./initialisers.ts";
import { defaultsOf, type Fields } from "./options.ts";
import { ownConfig, ownOptions, required } from "./own-config.ts";
import { normNames, sublayers } from "./sites.ts";
import { shapeProblems } from "./tensors.ts";

export type CompacterOptions = {
  /** n: number of Kronecker terms; it must divide the width and the bottleneck. */
  terms: number;
  reduction: number;
  afterAttention: boolean;
  trainNorms: boolean;
};

const fields: Fields<CompacterOptions> = {
  terms: { kind: "integer", default: 4, min: 1, max: 64, about: "Kronecker terms n" },
  reduction: { kind: "integer", default: 32, min: 1, max: 1024, about: "width divided by the bottleneck" },
  afterAttention: { kind: "boolean", default: true, about: "false: Compacter++" },
  trainNorms: { kind: "boolean", default: true, about: "train the backbone's norms too" },
};

const shared = "phm_rule";
const part = ".compacter.";

export const compacter: Method<CompacterOptions> = {
  name: "compacter",
  title: "Compacter",
  source: "Karimi Mahabadi et al., Compacter: Efficient Low-Rank Hypercomplex Adapter Layers (NeurIPS 2021), section 4",
  defaults: defaultsOf(fields),
  fields,
  check(options, backbone) {
    if (backbone === null) return [];
    const problems: string[] = [];
    const narrow = Math.floor(backbone.hiddenSize / options.reduction);
    if (narrow < 1)
      problems.push(`reduction must be at most the backbone's width ${backbone.hiddenSize}, not ${options.reduction}`);
    else if (backbone.hiddenSize % options.terms !== 0 || narrow % options.terms !== 0)
      problems.push(
        `terms must divide the width ${backbone.hiddenSize} and the bottleneck ${narrow} (width / reduction), not ${options.terms}`,
      );
    return problems;
  },
  init(options, { backbone, seed }) {
    const n = options.terms;
    const width = backbone.hiddenSize;
    const narrow = Math.floor(width / options.reduction);
    let salt = seed * 1009 + 29;
    const parameters: Record<string, tf.Tensor> = { [shared]: glorotTensor(salt++, [n, n, n], n, n) };
    for (const site of sites(options, backbone)) {
      for (const [name, inputs, outputs] of [
        ["down", width, narrow],
        ["up", narrow, width],
      ] as const) {
        parameters[`${site}${part}${name}.left`] = glorotTensor(salt++, [n, inputs / n, 1], inputs / n, 1);
        parameters[`${site}${part}${name}.right`] = glorotTensor(salt++, [n, 1, outputs / n], 1, outputs / n);
        parameters[`${site}${part}${name}.bias`] = tf.zeros([outputs]);
      }
    }
    if (options.trainNorms)
      for (const name of normNames(backbone)) parameters[name] = tf.clone(backbone.weights.get(name)!);
    return parameters;
  },
  group: () => "adapter",
  learningRates: { adapter: 3e-3 },
  ports(parameters) {
    return {
      sublayer(site, y) {
        if (!parameters[`${site}${part}down.left`]) return y;
        const hidden = geluNew(kroneckerLinear(parameters, `${site}${part}down`, y));
        return tf.add(y, kroneckerLinear(parameters, `${site}${part}up`, hidden));
      },
      weight: (name, frozen) => parameters[name] ?? frozen,
    };
  },
  countParameters(options, backbone, tasks) {
    const width = backbone.hiddenSize;
    const narrow = Math.floor(width / options.reduction);
    // Per map: left and right vectors of all terms, inputs + outputs together, and its bias.
    const one = 2 * (width + narrow) + width + narrow;
    const norms = options.trainNorms ? normNames(backbone).length * width : 0;
    return (options.terms ** 3 + sites(options, backbone).length * one + norms) / tasks;
  },
  fits(parameters, options, backbone) {
    const n = options.terms;
    const width = backbone.hiddenSize;
    const narrow = Math.floor(width / options.reduction);
    const expected: Record<string, readonly number[]> = { [shared]: [n, n, n] };
    for (const site of sites(options, backbone))
      for (const [name, inputs, outputs] of [
        ["down", width, narrow],
        ["up", narrow, width],
      ] as const) {
        expected[`${site}${part}${name}.left`] = [n, inputs / n, 1];
        expected[`${site}${part}${name}.right`] = [n, 1, outputs / n];
        expected[`${site}${part}${name}.bias`] = [outputs];
      }
    if (options.trainNorms) for (const name of normNames(backbone)) expected[name] = [width];
    return shapeProblems(parameters, expected, backbone);
  },
  toFile: (parameters, options) => ({ config: ownConfig("compacter", options), tensors: parameters }),
  fromFile(config, tensors) {
    required(tensors, shared);
    return { options: ownOptions(config, "compacter", compacter.defaults), parameters: tensors };
  },
};

function sites(options: CompacterOptions, backbone: Backbone): string[] {
  return sublayers(backbone)
    .filter(({ kind }) => kind === "feed-forward" || (kind === "self-attention" && options.afterAttention))
    .map(({ site }) => site);
}

/** x [.., in] · Σ_i A_i ⊗ (s_i t_i) + b, the matrix built once: it is small, [in, out]. */
function kroneckerLinear(parameters: Parameters<Method["ports"]>[0], name: string, x: tf.Tensor): tf.Tensor {
  const rule = required(parameters, shared);
  const left = required(parameters, `${name}.left`);
  const right = required(parameters, `${name}.right`);
  const n = rule.shape[0]!;
  const [inputs, outputs] = [left.shape[1]! * n, right.shape[2]! * n];
  const low = tf.matMul(left, right);
  // Σ_i A_i[a, b] · low_i[c, d] → W[a·in/n + c, b·out/n + d]
  const flat = tf.matMul(tf.reshape(rule, [n, n * n]) as tf.Tensor2D, tf.reshape(low, [n, -1]) as tf.Tensor2D, true);
  const laid = tf.transpose(tf.reshape(flat, [n, n, inputs / n, outputs / n]), [0, 2, 1, 3]);
  const matrix = tf.reshape(laid, [inputs, outputs]) as tf.Tensor2D;
  const y = tf.matMul(tf.reshape(x, [-1, inputs]) as tf.Tensor2D, matrix);
  return tf.add(tf.reshape(y, [...x.shape.slice(0, -1), outputs]), required(parameters, `${name}.bias`));
}
