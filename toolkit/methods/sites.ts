// Where in an encoder–decoder something may be put: the names of its sublayers, linear maps and norms, read off the
// backbone's own weights, so that no method repeats a model's structure.
import type { BackboneShape } from "#toolkit/models/contract.ts";

type Weights = Pick<BackboneShape, "weights">;

const sublayer = /^(encoder|decoder)\.block\.(\d+)\.layer\.\d+$/;

export interface Sublayer {
  /** `encoder.block.3.layer.0` */
  readonly site: string;
  readonly stack: "encoder" | "decoder";
  readonly layer: number;
  readonly kind: "self-attention" | "cross-attention" | "feed-forward";
}

/** All sublayers, encoder first, in order. */
export function sublayers(backbone: Weights): Sublayer[] {
  const found = new Map<string, Sublayer>();
  for (const name of backbone.weights.keys()) {
    const [, site, part] = /^(.+\.layer\.\d+)\.(SelfAttention|EncDecAttention|DenseReluDense)\./.exec(name) ?? [];
    if (!site || found.has(site)) continue;
    const [, stack, layer] = sublayer.exec(site)!;
    const kind =
      part === "SelfAttention" ? "self-attention" : part === "EncDecAttention" ? "cross-attention" : "feed-forward";
    found.set(site, { site, stack: stack as "encoder" | "decoder", layer: Number(layer), kind });
  }
  return [...found.values()];
}

/** Sites of all linear maps with a 2-D weight inside blocks (`….SelfAttention.q`), with [out, in]. */
export function linearSites(backbone: Weights): { readonly site: string; readonly shape: readonly [number, number] }[] {
  return [...backbone.weights].flatMap(([name, weight]) =>
    weight.shape.length === 2 && name.includes(".block.") && !name.includes("relative_attention_bias")
      ? [{ site: name.replace(/\.weight$/, ""), shape: weight.shape as readonly [number, number] }]
      : [],
  );
}

/** Names of all norms' weights, final norms included. */
export function normNames(backbone: Weights): string[] {
  return [...backbone.weights.keys()].filter((name) => name.endsWith("layer_norm.weight"));
}
