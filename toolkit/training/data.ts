// The data of a run: its tasks loaded, rendered and encoded, and their mixture. What a dataset is and how it is fetched
// is the batches room's; here only which splits and how many. How a step's rows are cut into sub-batches is parts.ts.
import { type Dataset, findDataset, type Split } from "#datasets/index.ts";
import {
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

interface LoadedSplit {
  readonly encoded: EncodedDataset;
  readonly warnings: readonly DataWarning[];
}

const encodedSplits = new Map<string, Promise<LoadedSplit>>();

/** One split of a task, encoded once per process however many runs use it; each of them is told of its warnings. */
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
  const told = async (promise: Promise<LoadedSplit>): Promise<EncodedDataset> => {
    const { encoded, warnings } = await promise;
    for (const warning of warnings) onWarning(warning);
    return encoded;
  };
  if (known !== undefined) return told(known);
  const load = async (): Promise<LoadedSplit> => {
    const table = await loadDataset(name, {
      split,
      variant: config.variant,
      prefix: config.prefix,
      ...(shots === null ? {} : { shots, seed: config.seed }),
      ...(signal === undefined ? {} : { signal }),
    });
    const encoded = await encodeDataset(table, tokenizer, {
      prefix: config.prefix,
      ...(config.maxInputLength === null ? {} : { maxInputLength: config.maxInputLength }),
    });
    return { encoded, warnings: table.warnings };
  };
  const promise = load();
  encodedSplits.set(key, promise);
  promise.catch(() => encodedSplits.delete(key));
  return told(promise);
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

/**
 * Under a tenth of a step's input positions shall be padding; by the whole split, so with a margin for the steps. Each
 * length is some executables of a compiling engine, so there are no more of them than that needs.
 */
const paddingGoal = 0.09;

/** The mixture of the tasks' training splits, as the configuration samples it. */
export function mixtureOf(config: RunConfig, tasks: readonly TaskData[]): Mixture {
  const sampling = config.stage === "source" ? config.sampling : undefined;
  return createMixture(
    tasks.map((task) => ({ encoded: task.splits.get("train")! })),
    {
      batchSize: config.batchSize * config.accumulate,
      seed: config.seed,
      paddingGoal,
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
