// The data of a run: its tasks loaded, rendered and encoded, and the rows of a step as batches of one shape. What a
// dataset is and how it is fetched is the batches room's; here only which splits, how many, and how they are merged.
import { type Dataset, findDataset, type Split } from "#datasets/index.ts";
import {
  type Batch,
  createMixture,
  type DataWarning,
  type EncodedDataset,
  encodeDataset,
  loadDataset,
  type Mixture,
} from "#toolkit/batches/index.ts";
import type { Tokenizer } from "#toolkit/tokenizers/index.ts";
import type { RunConfig } from "./config.ts";
import { firstExamples } from "./evaluate.ts";

export interface TaskData {
  readonly dataset: Dataset;
  readonly splits: ReadonlyMap<Split, EncodedDataset>;
}

const encodedSplits = new Map<string, Promise<EncodedDataset>>();

/** One split of a task, encoded once per process however many runs use it. */
async function encodedSplit(
  name: string,
  split: Split,
  config: RunConfig,
  tokenizer: Tokenizer,
  onWarning: (warning: DataWarning) => void,
  signal: AbortSignal | undefined,
): Promise<EncodedDataset> {
  const shots = split === "train" ? config.shots : null;
  const key = JSON.stringify([
    name,
    split,
    shots,
    shots === null ? 0 : config.seed,
    config.prefix,
    config.variant,
    config.maxInputLength,
    tokenizer.fingerprint,
    process.env.BUNSEN_HUB ?? process.env.HF_ENDPOINT ?? "",
  ]);
  const known = encodedSplits.get(key);
  if (known !== undefined) return known;
  const load = async (): Promise<EncodedDataset> => {
    const table = await loadDataset(name, {
      split,
      variant: config.variant,
      prefix: config.prefix,
      ...(shots === null ? {} : { shots, seed: config.seed }),
      ...(signal === undefined ? {} : { signal }),
      onWarning,
    });
    return encodeDataset(table, tokenizer, {
      prefix: config.prefix,
      ...(config.maxInputLength === null ? {} : { maxInputLength: config.maxInputLength }),
    });
  };
  const promise = load();
  encodedSplits.set(key, promise);
  promise.catch(() => encodedSplits.delete(key));
  return promise;
}

/** Every split that the run reads, of every task. Evaluated splits are cut to `evaluationExamples`. */
export async function loadTasks(
  config: RunConfig,
  tokenizer: Tokenizer,
  onWarning: (warning: DataWarning) => void,
  signal?: AbortSignal,
): Promise<TaskData[]> {
  const evaluated = new Set<Split>(config.finalSplits);
  if (config.evaluateEvery > 0) evaluated.add("validation");
  const tasks: TaskData[] = [];
  for (const name of config.tasks) {
    const splits = new Map<Split, EncodedDataset>();
    splits.set("train", await encodedSplit(name, "train", config, tokenizer, onWarning, signal));
    for (const split of evaluated) {
      const encoded = await encodedSplit(name, split, config, tokenizer, onWarning, signal);
      splits.set(split, split === "train" ? encoded : firstExamples(encoded, config.evaluationExamples));
    }
    tasks.push({ dataset: findDataset(name), splits });
  }
  return tasks;
}

/** Distinct input lengths per task: each is one executable of a compiling engine, and padding of the others. */
const lengthsPerTask = 4;

/** The mixture of the tasks' training splits, as the configuration samples it. */
export function mixtureOf(config: RunConfig, tasks: readonly TaskData[]): Mixture {
  const sampling = config.stage === "source" ? config.sampling : undefined;
  return createMixture(
    tasks.map((task) => ({ encoded: task.splits.get("train")! })),
    {
      batchSize: config.batchSize * config.accumulate,
      seed: config.seed,
      maxLengths: lengthsPerTask,
      ...(sampling === undefined
        ? {}
        : {
            sampling:
              sampling.kind === "temperature"
                ? { kind: sampling.kind, temperature: sampling.temperature, cap: sampling.cap }
                : sampling.kind === "proportional"
                  ? { kind: sampling.kind, cap: sampling.cap }
                  : { kind: sampling.kind },
            ...(sampling.slots === null ? {} : { stochasticTasks: sampling.slots }),
          }),
    },
  );
}

/** All rows of a step in one batch, padded to the longest input and label, so that shapes repeat over steps. */
export function mergeParts(parts: readonly Batch[]): Batch {
  if (parts.length === 1) return parts[0]!;
  const batchSize = parts.reduce((sum, part) => sum + part.batchSize, 0);
  const inputLength = Math.max(...parts.map((part) => part.inputLength));
  const labelLength = Math.max(...parts.map((part) => part.labelLength));
  const inputIds = new Int32Array(batchSize * inputLength);
  const attentionMask = new Int32Array(batchSize * inputLength);
  const labels = new Int32Array(batchSize * labelLength).fill(-100);
  const taskIds = new Int32Array(batchSize);
  const rows = new Int32Array(batchSize);
  let at = 0;
  for (const part of parts) {
    for (let row = 0; row < part.batchSize; row++, at++) {
      const input = row * part.inputLength;
      inputIds.set(part.inputIds.subarray(input, input + part.inputLength), at * inputLength);
      attentionMask.set(part.attentionMask.subarray(input, input + part.inputLength), at * inputLength);
      labels.set(part.labels.subarray(row * part.labelLength, (row + 1) * part.labelLength), at * labelLength);
      taskIds[at] = part.taskIds[row]!;
      rows[at] = part.rows[row]!;
    }
  }
  return { inputIds, attentionMask, labels, taskIds, rows, batchSize, inputLength, labelLength };
}

/** A batch as `count` batches of equal size, for accumulation. */
export function splitBatch(batch: Batch, count: number): Batch[] {
  if (count === 1) return [batch];
  const size = Math.ceil(batch.batchSize / count);
  return Array.from({ length: Math.ceil(batch.batchSize / size) }, (_, index) => {
    const [from, to] = [index * size, Math.min(batch.batchSize, (index + 1) * size)];
    const cut = (values: Int32Array, width: number): Int32Array => values.subarray(from * width, to * width);
    return {
      inputIds: cut(batch.inputIds, batch.inputLength),
      attentionMask: cut(batch.attentionMask, batch.inputLength),
      labels: cut(batch.labels, batch.labelLength),
      taskIds: cut(batch.taskIds, 1),
      rows: cut(batch.rows, 1),
      batchSize: to - from,
      inputLength: batch.inputLength,
      labelLength: batch.labelLength,
    };
  });
}
