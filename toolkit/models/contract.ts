// What a model publishes and a method fills: ports. Types only. A model knows no method, a method knows no model;
// both know this file. Shapes: B batch, T text positions, P prompt rows, H model width, K heads, D width of a head.
import type { Tensor } from "@tensorflow/tfjs-core";

/** Where a hook is called: stack, layer and sublayer, e.g. `encoder.block.3.layer.0.SelfAttention.q` (the checkpoint's own names). */
export type Site = string;

/** Keys and values put in front of a layer's own, each [B or 1, K, P, D]. */
export interface PrefixKeyValue {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** What a method may change inside the layers of any model. */
export interface LayerPorts {
  /**
   * After a linear map: y [.., out] from x [.., in] (LoRA adds x·A·B, BitFit adds a bias). Called after norms too, whose
   * site is the norm's name in the checkpoint (T5: ends in `layer_norm`), and after the head or projection (`lm_head`,
   * `visual_projection`).
   */
  readonly linear?: (site: Site, x: Tensor, y: Tensor) => Tensor;
  /** On a sublayer's output before dropout and the residual (adapters). `site` is the sublayer's name in the checkpoint (T5: ends in `.layer.N`). */
  readonly sublayer?: (site: Site, y: Tensor) => Tensor;
  /** Replaces a weight by name (full fine-tuning, trainable norms). Returns the given one for all others. */
  readonly weight?: (name: string, frozen: Tensor) => Tensor;
}

/** Everything a parameter-efficient method may change about a frozen encoder–decoder. All optional; none: the plain model. */
export interface Ports extends LayerPorts {
  /** Rows in front of the encoder's input embeddings, [P, H] or [B, P, H]; their mask is all ones. */
  readonly encoderPrompt?: Tensor;
  /** Rows in front of the decoder's input embeddings, [P, H] or [B, P, H]; their labels are ignored. */
  readonly decoderPrompt?: Tensor;
  /** Changes the encoder's input embeddings [B, T, H] (DePT's low-rank update). */
  readonly encoderEmbeddings?: (embeddings: Tensor) => Tensor;
  /** Prefix of every attention of a kind, one entry a layer. */
  readonly prefix?: {
    readonly encoder?: readonly PrefixKeyValue[];
    readonly decoder?: readonly PrefixKeyValue[];
    readonly cross?: readonly PrefixKeyValue[];
  };
}

/**
 * What a method may change about a frozen pair of towers, one for text and one for images. All optional.
 * N texts of T positions, B images, P prompt rows, H the width of the tower in question.
 */
export interface TwoTowerPorts extends LayerPorts {
  /** Changes the embeddings of the texts [N, T, H] before positions are added: context rows go where placeholders stand. */
  readonly textEmbeddings?: (embeddings: Tensor) => Tensor;
  /** Rows behind the class row of each image, [P, H] or [B, P, H]; they have no positions. */
  readonly imagePrompt?: Tensor;
  /** Deep prompts: entry i takes the place of the prompt rows before layer i + 1, [P, H] or [B, P, H]. */
  readonly imageLayerPrompts?: readonly Tensor[];
}

/** A backbone's sizes and the shapes of its weights: what its config.json and the headers of its files tell. */
export interface BackboneShape {
  /** Where it came from: folder or hub id, as it was asked for. Absent for a model made in memory. */
  readonly name?: string;
  readonly modelType: string;
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly numHeads: number;
  readonly headSize: number;
  readonly numEncoderLayers: number;
  readonly numDecoderLayers: number;
  readonly vocabSize: number;
  readonly numParameters: number;
  /** Shapes of all weights by checkpoint name. */
  readonly weights: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** A few values out of its weights: they tell backbones of equal sizes apart. Absent for a model made in memory. */
  readonly sample?: readonly number[];
}

/** What a method must know of a backbone to make its parameters. */
export interface Backbone extends BackboneShape {
  /** Token embeddings [V, H], for initialising prompts. */
  readonly embeddings: Tensor;
  /** Every weight by checkpoint name. */
  readonly weights: ReadonlyMap<string, Tensor>;
}
