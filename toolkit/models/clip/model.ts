// CLIP forward (Radford et al. 2021): the text tower, the image tower, cosine logits and the contrastive loss. Methods
// act through ports alone. Not here: preparing pixels, tokenising, weights (weights.ts).
import type { TwoTowerPorts } from "#toolkit/models/contract.ts";
import { causalMask, crossEntropy, expandBatch, l2Normalize, positions } from "#toolkit/nn/index.ts";
import { tf } from "#toolkit/tensor/index.ts";
import { patchCount } from "./config.ts";
import { createPass, type Pass, tower } from "./tower.ts";
import type { ClipModel } from "./weights.ts";

export interface ClipInputs {
  /**
   * [N, T] int32, each row with its end token, the vocabulary's highest id. What follows the first one is never seen:
   * attention is causal and the text is read off there, so padding needs no mask.
   */
  readonly inputIds: tf.Tensor;
  /** [B, C, S, S] float32, channels first as in files, normalised */
  readonly pixelValues: tf.Tensor;
  readonly ports?: TwoTowerPorts;
}

export interface ClipForward {
  /** [N, J], of length one */
  readonly textEmbeds: tf.Tensor;
  /** [B, J], of length one */
  readonly imageEmbeds: tf.Tensor;
  /** [B, N]: exp(logit_scale) · cosine */
  readonly logitsPerImage: tf.Tensor;
}

/** Texts [N, T] → directions in the joint space, [N, J]. @throws RangeError for more positions than the model has. */
export function encodeText(model: ClipModel, inputIds: tf.Tensor, ports: TwoTowerPorts = {}): tf.Tensor {
  const { text } = model.config;
  const [batch, length] = inputIds.shape as [number, number];
  if (length > text.maxPositions)
    throw new RangeError(`texts of ${length} tokens, but the model has ${text.maxPositions} positions; truncate them`);
  const pass = createPass(model, ports);
  const table = pass.weight("text_model.embeddings.token_embedding.weight");
  let x: tf.Tensor = tf.gather(table, inputIds as tf.Tensor2D);
  if (ports.textEmbeddings) x = ports.textEmbeddings(x);
  const places = pass.weight("text_model.embeddings.position_embedding.weight");
  x = tf.add(x, length < text.maxPositions ? tf.slice(places, [0, 0], [length, -1]) : places);
  const h = tower(pass, "text_model", text, x, { bias: causalMask(length, length) });
  // The first place of the highest id. Configurations name other end ids than their checkpoints were trained with.
  const end = tf.cast(tf.argMax(inputIds, 1), "int32");
  const row = tf.add(end, tf.mul(positions(batch), tf.scalar(length, "int32")));
  const pooled = tf.gather(tf.reshape(h, [batch * length, text.hiddenSize]), row as tf.Tensor1D);
  const normed = pass.norm("text_model.final_layer_norm", pooled, text.layerNormEpsilon);
  return l2Normalize(pass.linear("text_projection", normed));
}

/**
 * Images [B, C, S, S] → directions in the joint space, [B, J].
 * @throws RangeError for images of another size than the model's, or deep prompts that do not fit its layers.
 */
export function encodeImage(model: ClipModel, pixelValues: tf.Tensor, ports: TwoTowerPorts = {}): tf.Tensor {
  const { vision } = model.config;
  const { hiddenSize, imageSize, numChannels } = vision;
  const wanted = [numChannels, imageSize, imageSize];
  if (pixelValues.rank !== 4 || pixelValues.shape.slice(1).join() !== wanted.join())
    throw new RangeError(`images of shape [${pixelValues.shape}], expected [batch, ${wanted.join(", ")}]`);
  const batch = pixelValues.shape[0]!;
  const pass = createPass(model, ports);
  const classRow = expandBatch(
    tf.reshape(pass.weight("vision_model.embeddings.class_embedding"), [1, hiddenSize]),
    batch,
  );
  const rows = tf.concat([classRow, patches(pass, model, pixelValues)], 1);
  const placed = tf.add(rows, pass.weight("vision_model.embeddings.position_embedding.weight"));
  const x = pass.norm("vision_model.pre_layrnorm", placed, vision.layerNormEpsilon);
  const h = tower(pass, "vision_model", vision, ...withPrompts(ports, x, vision.numLayers));
  const first = tf.reshape(tf.slice(h, [0, 0, 0], [-1, 1, -1]), [batch, hiddenSize]);
  const normed = pass.norm("vision_model.post_layernorm", first, vision.layerNormEpsilon);
  return l2Normalize(pass.linear("visual_projection", normed));
}

/**
 * The embedding of each patch, [B, patches, H]. A convolution whose stride is its width reads each pixel once, so it is
 * a product of pixels in another order with the filters.
 */
function patches(pass: Pass, model: ClipModel, pixelValues: tf.Tensor): tf.Tensor {
  const { vision } = model.config;
  const { imageSize, patchSize: p, numChannels: c, hiddenSize } = vision;
  const [batch, side] = [pixelValues.shape[0]!, imageSize / p];
  const split = tf.reshape(pixelValues, [batch * c, side, p, side * p]);
  // Two moves of at most four axes each: not every engine has transpositions of six.
  const byRow = tf.transpose(tf.reshape(split, [batch, c, side, p * side * p]), [0, 2, 1, 3]);
  const cells = tf.transpose(tf.reshape(byRow, [batch * side, c * p, side, p]), [0, 2, 1, 3]);
  const flat = tf.reshape(cells, [batch * patchCount(vision), c * p * p]);
  const filters = tf.reshape(pass.weight("vision_model.embeddings.patch_embedding.weight"), [hiddenSize, c * p * p]);
  const y = tf.matMul(flat as tf.Tensor2D, filters as tf.Tensor2D, false, true);
  return tf.reshape(y, [batch, patchCount(vision), hiddenSize]);
}

/** Visual prompts (Jia et al. 2022): rows behind the class row, and their replacements before later layers. */
function withPrompts(
  ports: TwoTowerPorts,
  x: tf.Tensor,
  layers: number,
): [tf.Tensor, { before?: (layer: number, h: tf.Tensor) => tf.Tensor }] {
  const { imagePrompt, imageLayerPrompts } = ports;
  if (!imagePrompt) {
    if (imageLayerPrompts)
      throw new RangeError("imageLayerPrompts replace the rows of imagePrompt, which is not given");
    return [x, {}];
  }
  if (imageLayerPrompts && imageLayerPrompts.length >= layers)
    throw new RangeError(
      `${imageLayerPrompts.length} deep prompts for ${layers} layers; expected at most ${layers - 1}, the first layer has imagePrompt`,
    );
  const batch = x.shape[0]!;
  const count = imagePrompt.shape.at(-2)!;
  const other = imageLayerPrompts?.find((prompt) => prompt.shape.at(-2) !== count);
  if (other) throw new RangeError(`a deep prompt of shape [${other.shape}], expected ${count} rows as imagePrompt has`);
  const put = (h: tf.Tensor, prompt: tf.Tensor, from: number): tf.Tensor =>
    tf.concat(
      [tf.slice(h, [0, 0, 0], [-1, 1, -1]), expandBatch(prompt, batch), tf.slice(h, [0, from, 0], [-1, -1, -1])],
      1,
    );
  return [
    put(x, imagePrompt, 1),
    {
      before: (layer, h) => {
        const prompt = imageLayerPrompts?.[layer - 1];
        return prompt ? put(h, prompt, 1 + count) : h;
      },
    },
  ];
}

/** Both towers and their logits: every image against every text. */
export function forward(model: ClipModel, { inputIds, pixelValues, ports = {} }: ClipInputs): ClipForward {
  const textEmbeds = encodeText(model, inputIds, ports);
  const imageEmbeds = encodeImage(model, pixelValues, ports);
  const pass = createPass(model, ports);
  const cosines = tf.matMul(imageEmbeds as tf.Tensor2D, textEmbeds as tf.Tensor2D, false, true);
  return { textEmbeds, imageEmbeds, logitsPerImage: tf.mul(cosines, tf.exp(pass.weight("logit_scale"))) };
}

/**
 * The contrastive loss of pairs: image i belongs to text i. The mean of the cross-entropies over rows and columns.
 * @param logitsPerImage [B, B]
 */
export function contrastiveLoss(logitsPerImage: tf.Tensor): tf.Scalar {
  const [images, texts] = logitsPerImage.shape as [number, number];
  if (images !== texts) throw new RangeError(`${images} images and ${texts} texts are not pairs`);
  const own = positions(images);
  const sum = tf.add(crossEntropy(logitsPerImage, own), crossEntropy(tf.transpose(logitsPerImage), own));
  return tf.mul(sum, 0.5) as tf.Scalar;
}
