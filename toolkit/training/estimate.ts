// What a run will need, before it starts: memory and time from shapes alone. Rough on purpose (a factor of two), and
// said so wherever it is shown; the first steps of the run tell better.
import type { T5Model } from "#toolkit/models/t5/index.ts";
import type { Engine } from "#toolkit/tensor/index.ts";

export interface Workload {
  readonly batchSize: number;
  /** Text and prompt positions of the encoder. */
  readonly encoderLength: number;
  readonly decoderLength: number;
  readonly steps: number;
  readonly trainableValues: number;
  /** Forward passes of a frozen teacher per step. */
  readonly teacherPasses: number;
}

/** Sustained GFLOP/s of matrix products in f32, measured on two cores (wasm, cpu) and one recent card (cuda). */
const speeds: Readonly<Record<Engine["name"], number>> = { wasm: 12, cpu: 120, cuda: 20_000 };
/** Seconds of bookkeeping per step that no size explains: eager ops on wasm, launches elsewhere. */
const overheads: Readonly<Record<Engine["name"], number>> = { wasm: 0.06, cpu: 0.01, cuda: 0.004 };

/** Rows of one shape that go through the model together. */
export interface Shape {
  readonly batchSize: number;
  /** Text and prompt positions of the encoder. */
  readonly encoderLength: number;
  readonly decoderLength: number;
  readonly teacherPasses: number;
}

/**
 * Seconds that one forward and backward pass over rows of one shape takes: its matrix products at the engine's rate,
 * and the engine's overhead. A pure function, so what is decided by it is decided alike when a run goes on.
 */
export function passSeconds(model: T5Model, shape: Shape, engine: Engine["name"]): number {
  const { config } = model;
  const { hiddenSize: h, vocabSize } = config;
  const inner = config.numHeads * config.headSize;
  const feedForward = h * config.feedForwardSize * (config.gated ? 3 : 2);
  const attention = 4 * h * inner;
  const encoderWeights = config.numEncoderLayers * (attention + feedForward);
  const decoderWeights = config.numDecoderLayers * (2 * attention + feedForward);
  const encoderTokens = shape.batchSize * shape.encoderLength;
  const decoderTokens = shape.batchSize * shape.decoderLength;
  const scores = (queries: number, keys: number): number => 2 * shape.batchSize * queries * keys * inner;
  const forward =
    encoderTokens * encoderWeights +
    decoderTokens * (decoderWeights + h * vocabSize) +
    config.numDecoderLayers * encoderTokens * 2 * h * inner +
    config.numEncoderLayers * scores(shape.encoderLength, shape.encoderLength) +
    config.numDecoderLayers * scores(shape.decoderLength, shape.encoderLength);
  // Two operations a multiplication; the backward pass of frozen weights costs one more forward pass.
  const operations = 2 * forward * (2 + shape.teacherPasses);
  return operations / (speeds[engine] * 1e9) + overheads[engine];
}

export function estimate(
  model: T5Model,
  work: Workload,
  engine: Engine["name"],
): { memoryMiB: number; seconds: number } {
  const { config } = model;
  const { hiddenSize: h, feedForwardSize: f, vocabSize } = config;
  const encoderTokens = work.batchSize * work.encoderLength;
  const decoderTokens = work.batchSize * work.decoderLength;
  const seconds = work.steps * passSeconds(model, work, engine);
  const kept =
    encoderTokens * config.numEncoderLayers * (8 * h + 2 * f + config.numHeads * work.encoderLength * 2) +
    decoderTokens *
      (config.numDecoderLayers * (14 * h + 2 * f + config.numHeads * work.encoderLength * 2) + 3 * vocabSize);
  const values = model.backbone.numParameters + kept + 4 * work.trainableValues;
  return { memoryMiB: (4 * values) / 2 ** 20, seconds };
}
