// From a model folder to tensors of the engine: every weight that a model names, checked before any is uploaded. Which
// names and shapes those are is the model's to say (models/<model>/weights.ts).
import { tf, type WeightStore } from "#toolkit/tensor/index.ts";
import { WeightsError } from "./errors.ts";
import type { WeightSource } from "./folder.ts";
import { uploadTensor } from "./tensors.ts";

export interface LoadOptions {
  /** For messages: where the weights lie. */
  readonly folder: string;
  /** How they are kept on the device. */
  readonly store?: WeightStore;
  /** Names in files that carry nothing. */
  readonly redundant?: RegExp;
  /** The name in the file, where another one stands for the model's own. */
  readonly nameOf?: (name: string) => string;
}

/** Every weight that is missing, unknown or of another shape, as one sentence; null where all are as named. */
export function weightProblems(
  source: WeightSource,
  shapes: ReadonlyMap<string, readonly number[]>,
  options: LoadOptions,
): string | null {
  const nameOf = options.nameOf ?? ((name: string): string => name);
  const problems: string[] = [];
  for (const [name, shape] of shapes) {
    const info = source.info(nameOf(name));
    if (!info) problems.push(`${name} [${shape}] is missing`);
    else if (info.shape.join() !== shape.join()) problems.push(`${name} is [${info.shape}], expected [${shape}]`);
  }
  for (const name of source.names)
    if (!shapes.has(name) && !options.redundant?.test(name)) problems.push(`${name} is unknown`);
  if (problems.length === 0) return null;
  const shown = problems.slice(0, 10).join("; ");
  return `the weights in ${options.folder} do not fit its config.json: ${shown}${problems.length > 10 ? `; and ${problems.length - 10} more` : ""}`;
}

/**
 * Uploads the named weights, kept until the caller frees them.
 * @throws WeightsError naming every weight that is missing, unknown or of another shape.
 */
export function loadWeights(
  source: WeightSource,
  shapes: ReadonlyMap<string, readonly number[]>,
  options: LoadOptions,
): Map<string, tf.Tensor> {
  const problem = weightProblems(source, shapes, options);
  if (problem !== null) throw new WeightsError(problem);
  const nameOf = options.nameOf ?? ((name: string): string => name);
  const weights = new Map<string, tf.Tensor>();
  for (const name of shapes.keys())
    weights.set(name, tf.keep(uploadTensor(source, nameOf(name), options.store ?? "f32")));
  return weights;
}
