// The smallest T5 v1.0 that the tests of training use: one layer a side, width 8. No weights, no vocabulary.
import { type T5Config, t5v10 } from "#toolkit/models/t5/index.ts";

export const tinyT5: Omit<T5Config, "vocabSize"> = {
  ...t5v10,
  hiddenSize: 8,
  headSize: 4,
  numHeads: 2,
  feedForwardSize: 16,
  numEncoderLayers: 1,
  numDecoderLayers: 1,
  relativeAttentionNumBuckets: 8,
  relativeAttentionMaxDistance: 32,
  dropoutRate: 0,
};
