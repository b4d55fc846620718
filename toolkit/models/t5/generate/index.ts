// Generation with a T5: greedy and beam search over compiled steps. A generator is made once for a model and a way of
// filling its ports, and is called for many batches; each (batch, input length) has one executable of each piece. The
// encoder runs once per batch, on a processor over a few rows at a time.
import {
  type CompileOptions,
  compile,
  currentEngine,
  disposeTree,
  type TensorTree,
  tf,
} from "#toolkit/tensor/index.ts";
import type { T5Model } from "../weights.ts";
import { advanceBeams, type BeamRules, type BeamState, bestHypothesis, startBeams } from "./beams.ts";
import {
  type Cache,
  createDecoding,
  type EncodedRows,
  type Fixed,
  type GenerationInputs,
  type MakePorts,
} from "./cache.ts";

export type { GenerationInputs, MakePorts } from "./cache.ts";

export interface GeneratorOptions<P> {
  /** Tokens after the start token, the end of sequence included. Default 20. */
  readonly maxNewTokens?: number;
  /** 1 (default): greedy. */
  readonly numBeams?: number;
  /** Scores of finished beams are divided by length^penalty. Default 1. */
  readonly lengthPenalty?: number;
  /** Fills the model's ports from the parameters given to `generate`. */
  readonly ports?: MakePorts<P>;
  readonly precision?: NonNullable<CompileOptions["precision"]>;
}

/** Raw batch: typed arrays, row-major. */
export interface GenerateBatch {
  /** [B, T] */
  readonly inputIds: Int32Array;
  /** [B, T] */
  readonly attentionMask: Int32Array;
  /** [B]; all 0 where absent */
  readonly taskIds?: Int32Array;
  readonly batchSize: number;
  readonly inputLength: number;
}

export interface Generator<P> {
  /** New token ids of each row, without the start token; the end of sequence is kept where it was reached. */
  generate(batch: GenerateBatch, parameters: P): Promise<number[][]>;
  dispose(): void;
}

/** @throws RangeError for lengths, beams or penalties out of range, all at once */
export function createGenerator<P extends TensorTree = Record<string, never>>(
  model: T5Model,
  options: GeneratorOptions<P> = {},
): Generator<P> {
  const { maxNewTokens = 20, numBeams = 1, lengthPenalty = 1 } = options;
  const problems = [
    Number.isSafeInteger(maxNewTokens) && maxNewTokens > 0
      ? ""
      : `maxNewTokens must be at least 1, not ${maxNewTokens}`,
    Number.isSafeInteger(numBeams) && numBeams > 0 && numBeams <= 64 ? "" : `numBeams must be 1 to 64, not ${numBeams}`,
    Number.isFinite(lengthPenalty) ? "" : `lengthPenalty must be a number, not ${lengthPenalty}`,
  ].filter((problem) => problem !== "");
  if (problems.length > 0) throw new RangeError(problems.join("; "));

  const { eosTokenId, decoderStartTokenId } = model.config;
  const decoding = createDecoding(model, options.ports, maxNewTokens, numBeams);
  const precision = options.precision ? { precision: options.precision } : {};
  type Prepared = { readonly fixed: Fixed; readonly cache: Cache };
  const encodeRows = compile(
    (parameters: P, inputs: GenerationInputs): EncodedRows => decoding.encode(parameters, inputs),
    { name: "t5 encode", ...precision },
  );
  const prepare = compile(
    (parameters: P, inputs: GenerationInputs, encoded: EncodedRows): Prepared =>
      decoding.prepare(parameters, inputs, encoded),
    { name: "t5 prepare", ...precision },
  );

  /** The encoder over all rows of a batch, a few at a time where that keeps them in the processor's cache. */
  async function encodeBatch(parameters: P, inputs: GenerationInputs, length: number): Promise<EncodedRows> {
    const batch = inputs.inputIds.shape[0]!;
    const rows = currentEngine().name === "cpu" ? rowsAtOnce(batch, length) : batch;
    if (rows === batch) return encodeRows(parameters, inputs);
    const parts: EncodedRows[] = [];
    for (let from = 0; from < batch; from += rows) {
      const some = tf.tidy(() => ({
        inputIds: tf.slice(inputs.inputIds, [from, 0], [rows, -1]),
        attentionMask: tf.slice(inputs.attentionMask, [from, 0], [rows, -1]),
        taskIds: tf.slice(inputs.taskIds, [from], [rows]),
      }));
      parts.push(await encodeRows(parameters, some));
      disposeTree(some);
    }
    const whole = tf.tidy(() => ({
      last: tf.concat(
        parts.map((part) => part.last),
        0,
      ),
      mask: tf.concat(
        parts.map((part) => part.mask),
        0,
      ),
    }));
    disposeTree(parts);
    return whole;
  }

  const greedyStep = compile(
    (parameters: P, fixed: Fixed, cache: Cache, tokens: tf.Tensor, position: tf.Tensor) => {
      const out = decoding.step(parameters, fixed, cache, tokens, position);
      return { next: tf.cast(tf.argMax(out.logits, -1), "int32"), cache: out.cache };
    },
    { name: "t5 greedy step", donate: [2], ...precision },
  );
  const beamStep = compile(
    (
      parameters: P,
      fixed: Fixed,
      cache: Cache,
      tokens: tf.Tensor,
      position: tf.Tensor,
      parents: tf.Tensor,
      scores: tf.Tensor,
    ) => {
      const rows = parents as tf.Tensor1D;
      const reordered = cache.map(({ key, value }) => ({ key: tf.gather(key, rows), value: tf.gather(value, rows) }));
      const out = decoding.step(parameters, fixed, reordered, tokens, position);
      const logits = tf.sub(out.logits, tf.max(out.logits, -1, true));
      const logProbabilities = tf.sub(logits, tf.log(tf.sum(tf.exp(logits), -1, true)));
      const total = tf.reshape(tf.add(logProbabilities, tf.expandDims(scores, 1)), [
        -1,
        numBeams * model.config.vocabSize,
      ]);
      const best = tf.topk(total, 2 * numBeams, true);
      return { values: best.values, indices: tf.cast(best.indices, "int32"), cache: out.cache };
    },
    { name: "t5 beam step", donate: [2], ...precision },
  );

  async function greedy(parameters: P, fixed: Fixed, first: Cache, rows: number): Promise<number[][]> {
    const out: number[][] = Array.from({ length: rows }, () => []);
    const done = new Array<boolean>(rows).fill(false);
    let cache = first;
    let tokens = tf.fill([rows], decoderStartTokenId, "int32") as tf.Tensor;
    for (let position = 0; position < maxNewTokens; position++) {
      const at = tf.scalar(position, "int32");
      const result = await greedyStep(parameters, fixed, cache, tokens, at);
      disposeTree([tokens, at]);
      cache = result.cache;
      tokens = result.next;
      const ids = await tokens.data();
      for (let row = 0; row < rows; row++) {
        if (done[row]) continue;
        out[row]!.push(ids[row]!);
        done[row] = ids[row] === eosTokenId;
      }
      if (done.every(Boolean)) break;
    }
    disposeTree([tokens, cache]);
    return out;
  }

  async function beams(parameters: P, fixed: Fixed, first: Cache, rows: number): Promise<number[][]> {
    const rules: BeamRules = { numBeams, maxNewTokens, eosTokenId, lengthPenalty };
    const vocab = model.config.vocabSize;
    let states: BeamState[] = Array.from({ length: rows }, () => startBeams(numBeams));
    let cache = first;
    let parents = Int32Array.from({ length: rows * numBeams }, (_, i) => i);
    for (let position = 0; position < maxNewTokens && states.some(({ open }) => open); position++) {
      const running = states.flatMap((state) => state.running);
      const tokens = running.map((hypothesis) => hypothesis.tokens.at(-1) ?? decoderStartTokenId);
      const args = [
        tf.tensor1d(tokens, "int32"),
        tf.scalar(position, "int32"),
        tf.tensor1d(parents, "int32"),
        tf.tensor1d(Float32Array.from(running, ({ score }) => score)),
      ] as const;
      const result = await beamStep(parameters, fixed, cache, ...args);
      disposeTree(args);
      cache = result.cache;
      const [values, indices] = await Promise.all([result.values.data(), result.indices.data()]);
      disposeTree([result.values, result.indices]);
      parents = new Int32Array(rows * numBeams);
      states = states.map((state, row) => {
        const candidates = Array.from({ length: 2 * numBeams }, (_, i) => {
          const at = row * 2 * numBeams + i;
          return { beam: Math.floor(indices[at]! / vocab), token: indices[at]! % vocab, score: values[at]! };
        });
        const advanced = advanceBeams(state, candidates, rules);
        for (const [i, parent] of advanced.parents.entries()) parents[row * numBeams + i] = row * numBeams + parent;
        return advanced.state;
      });
    }
    disposeTree(cache);
    return states.map((state) => [...bestHypothesis(state)]);
  }

  return {
    async generate(batch, parameters) {
      const { batchSize, inputLength } = batch;
      const inputs: GenerationInputs = {
        inputIds: tf.tensor2d(batch.inputIds, [batchSize, inputLength], "int32"),
        attentionMask: tf.tensor2d(batch.attentionMask, [batchSize, inputLength], "int32"),
        taskIds: tf.tensor1d(batch.taskIds ?? new Int32Array(batchSize), "int32"),
      };
      const encoded = await encodeBatch(parameters, inputs, inputLength);
      const { fixed, cache } = await prepare(parameters, inputs, encoded);
      disposeTree(encoded);
      const rows = await (numBeams === 1 ? greedy : beams)(parameters, fixed, cache, batchSize);
      disposeTree([inputs, fixed]);
      return rows;
    },
    dispose() {
      for (const compiled of [encodeRows, prepare, greedyStep, beamStep]) compiled.dispose();
    },
  };
}

/** Positions whose inner activations (T5-base: 12 MB) still fit a processor's cache; more made a batch a tenth slower. */
const positionsAtOnce = 1024;

/** A divisor of the batch, so that one executable serves all parts; all rows where none comes near. */
function rowsAtOnce(batch: number, length: number): number {
  const most = Math.max(1, Math.floor(positionsAtOnce / length));
  for (let rows = Math.min(batch, most); rows * 2 > most; rows--) if (batch % rows === 0) return rows;
  return batch;
}
