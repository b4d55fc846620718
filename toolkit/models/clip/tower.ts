// The transformer that both towers of CLIP share: pre-norm blocks with biases, as functions of tensors. Every place
// where a method may change something is a port. No values are read, all shapes are static. CLIP has no dropout.
import type { TwoTowerPorts } from "#toolkit/models/contract.ts";
import { attend, gelu, layerNorm, linear, quickGelu, splitHeads } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import type { ClipTowerConfig } from "./config.ts";
import type { ClipModel } from "./weights.ts";

/** One pass through the model: its weights and what fills its ports. */
export interface Pass {
  readonly ports: TwoTowerPorts;
  weight(name: string): tf.Tensor;
  /** A linear map with its bias, where it has one, and whatever the method does after it. */
  linear(site: string, x: tf.Tensor): tf.Tensor;
  norm(site: string, x: tf.Tensor, epsilon: number): tf.Tensor;
}

export function createPass(model: ClipModel, ports: TwoTowerPorts): Pass {
  const weight = (name: string): tf.Tensor => {
    const frozen = model.weights.get(name);
    if (!frozen) throw new Error(`the model has no weight ${name}`);
    return ports.weight ? ports.weight(name, frozen) : frozen;
  };
  const after = (site: string, x: tf.Tensor, y: tf.Tensor): tf.Tensor => (ports.linear ? ports.linear(site, x, y) : y);
  return {
    ports,
    weight,
    linear: (site, x) => {
      const y = linear(x, weight(`${site}.weight`));
      return after(site, x, model.weights.has(`${site}.bias`) ? tf.add(y, weight(`${site}.bias`)) : y);
    },
    norm: (site, x, epsilon) => after(site, x, layerNorm(x, weight(`${site}.weight`), weight(`${site}.bias`), epsilon)),
  };
}

function attention(pass: Pass, site: string, x: tf.Tensor, config: ClipTowerConfig, bias?: tf.Tensor): tf.Tensor {
  const part = (name: string): tf.Tensor => splitHeads(pass.linear(`${site}.${name}`, x), config.numHeads);
  const scale = (config.hiddenSize / config.numHeads) ** -0.5;
  const mixed = attend(part("q_proj"), part("k_proj"), part("v_proj"), bias, undefined, scale);
  return pass.linear(`${site}.out_proj`, mixed);
}

const activations: Readonly<Record<ClipTowerConfig["activation"], (x: tf.Tensor) => tf.Tensor>> = {
  quick_gelu: quickGelu,
  gelu,
};

export interface TowerOptions {
  /** Additive, broadcastable to [B, K, S, S]: the causal mask of text. */
  readonly bias?: tf.Tensor;
  /** What stands before a layer in place of the states so far: deep prompts. */
  readonly before?: (layer: number, h: tf.Tensor) => tf.Tensor;
}

/**
 * The blocks of a tower.
 * @param stack `text_model` or `vision_model`
 * @param x [B, S, H]
 * @returns [B, S, H], before the tower's last norm
 */
export function tower(
  pass: Pass,
  stack: string,
  config: ClipTowerConfig,
  x: tf.Tensor,
  options: TowerOptions = {},
): tf.Tensor {
  const residual = (h: tf.Tensor, norm: string, site: string, inner: (y: tf.Tensor) => tf.Tensor): tf.Tensor => {
    const y = inner(pass.norm(norm, h, config.layerNormEpsilon));
    return tf.add(h, pass.ports.sublayer ? pass.ports.sublayer(site, y) : y);
  };
  let h = x;
  for (let i = 0; i < config.numLayers; i++) {
    const layer = `${stack}.encoder.layers.${i}`;
    if (options.before) h = options.before(i, h);
    h = residual(h, `${layer}.layer_norm1`, `${layer}.self_attn`, (y) =>
      attention(pass, `${layer}.self_attn`, y, config, options.bias),
    );
    h = residual(h, `${layer}.layer_norm2`, `${layer}.mlp`, (y) =>
      pass.linear(`${layer}.mlp.fc2`, activations[config.activation](pass.linear(`${layer}.mlp.fc1`, y))),
    );
  }
  return h;
}
