// Evaluation by generation: greedy (or beam) decoding of a split, then the task's own metrics. What a metric makes of a
// prediction is the metrics room's business; here predictions only find their examples.
import type { Dataset, Example } from "#datasets/contract.ts";
import { type Batch, type EncodedDataset, evaluationBatches } from "#toolkit/batches/index.ts";
import type { Method, Parameters } from "#toolkit/methods/contract.ts";
import { score } from "#toolkit/metrics/index.ts";
import { createGenerator, type Generator, type T5Model } from "#toolkit/models/t5/index.ts";
import { currentEngine, type Precision } from "#toolkit/tensor/index.ts";
import type { Tokenizer } from "#toolkit/tokenizers/index.ts";

export interface PredictorOptions {
  readonly maxNewTokens?: number;
  readonly numBeams?: number;
  readonly precision?: Precision;
}

/** A model with a method's parameters, ready to answer. */
export interface Predictor extends Disposable {
  /** One decoded text for each row of the batch. */
  predict(batch: {
    readonly inputIds: Int32Array;
    readonly attentionMask: Int32Array;
    readonly taskIds: Int32Array;
    readonly batchSize: number;
    readonly inputLength: number;
  }): Promise<string[]>;
}

/** Makes a predictor. `parameters` is called at each batch: a running training passes its newest ones. */
export function createPredictor(
  model: T5Model,
  tokenizer: Tokenizer,
  method: Method,
  options: Record<string, unknown>,
  parameters: () => Parameters,
  settings: PredictorOptions = {},
): Predictor {
  const generator: Generator<Parameters> = createGenerator<Parameters>(model, {
    maxNewTokens: settings.maxNewTokens ?? 20,
    numBeams: settings.numBeams ?? 1,
    ...(settings.precision === undefined ? {} : { precision: settings.precision }),
    ports: (given, inputs) =>
      method.ports(given, options, {
        backbone: model.backbone,
        taskIds: inputs.taskIds,
        inputEmbeddings: inputs.inputEmbeddings,
        attentionMask: inputs.attentionMask,
        training: false,
      }),
  });
  const limit = tokenizer.vocabularySize;
  return {
    predict: async (batch) => {
      const rows = await generator.generate(batch, parameters());
      // The embedding table may be larger than the vocabulary: ids beyond it mean nothing and print as nothing.
      return rows.map((ids) => tokenizer.decode(ids.filter((id) => id < limit)).trim());
    },
    [Symbol.dispose]: () => generator.dispose(),
  };
}

export interface Prediction {
  readonly row: number;
  readonly prediction: string;
  readonly example: Example;
}

export interface Evaluation {
  /** Every metric of the dataset, ×100 as tables print them. */
  readonly metrics: Readonly<Record<string, number>>;
  /** In the order of the split. */
  readonly predictions: readonly Prediction[];
}

/** The first examples of an encoded dataset, which is how an evaluation is kept short: always the same ones. */
export function firstExamples(encoded: EncodedDataset, count: number | null): EncodedDataset {
  if (count === null || count >= encoded.length) return encoded;
  const cut = (tokens: Int32Array, offsets: Int32Array): Int32Array => tokens.subarray(0, offsets[count]);
  return {
    ...encoded,
    length: count,
    inputTokens: cut(encoded.inputTokens, encoded.inputOffsets),
    inputOffsets: encoded.inputOffsets.subarray(0, count + 1),
    targetTokens: cut(encoded.targetTokens, encoded.targetOffsets),
    targetOffsets: encoded.targetOffsets.subarray(0, count + 1),
    example: (index) => encoded.example(index),
  };
}

/** Input lengths of an evaluation on a compiling engine: each is some executables of its own, worth it in a large model. */
const evaluationLengths = { exact: 4, merged: 1 };

/** The batch with its first row repeated until it has `size` rows, so that all batches of a length share an executable. */
function filled(batch: Batch, size: number): Batch {
  const missing = size - batch.batchSize;
  if (missing <= 0) return batch;
  const repeat = (values: Int32Array, width: number): Int32Array => {
    const out = new Int32Array(size * width);
    out.set(values);
    for (let row = batch.batchSize; row < size; row++) out.set(values.subarray(0, width), row * width);
    return out;
  };
  return {
    ...batch,
    inputIds: repeat(batch.inputIds, batch.inputLength),
    attentionMask: repeat(batch.attentionMask, batch.inputLength),
    labels: repeat(batch.labels, batch.labelLength),
    taskIds: repeat(batch.taskIds, 1),
    rows: repeat(batch.rows, 1),
    batchSize: size,
  };
}

/** Decodes every example and scores it. */
export async function evaluate(
  predictor: Predictor,
  dataset: Pick<Dataset, "metrics">,
  encoded: EncodedDataset,
  options: { readonly batchSize: number; readonly taskId: number; readonly lengths?: "exact" | "merged" },
): Promise<Evaluation> {
  const predictions: Prediction[] = [];
  // wasm computes as it goes: there, rows that only fill up would cost time and save nothing.
  const compiles = currentEngine().name !== "wasm";
  const size = Math.min(options.batchSize, encoded.length);
  const maxLengths = evaluationLengths[options.lengths ?? "exact"];
  for (const batch of evaluationBatches(encoded, compiles ? { ...options, maxLengths } : options)) {
    const texts = await predictor.predict(compiles ? filled(batch, size) : batch);
    for (const [index, prediction] of texts.slice(0, batch.batchSize).entries()) {
      const row = batch.rows[index]!;
      predictions.push({ row, prediction, example: encoded.example(row) });
    }
  }
  predictions.sort((a, b) => a.row - b.row);
  const metrics = score(
    dataset.metrics,
    predictions.map((prediction) => prediction.prediction),
    predictions.map((prediction) => prediction.example),
  );
  return { metrics, predictions };
}
