// One row a method: options small enough for the tiny model, and what is special about it. Every suite that runs all
// methods takes them from here; a method without a row does not compile.
import { type MethodName, methods, type Parameters, resolveMethod, type SourceState } from "#toolkit/methods/index.ts";
import type { T5Model } from "#toolkit/models/t5/index.ts";
import { random, tf } from "#toolkit/tensor/index.ts";
import { tinyContext } from "./tiny.ts";

interface Row {
  /** Options small enough for the tiny model. */
  readonly options: Record<string, unknown>;
  /** Needs prompts of other tasks to start from. */
  readonly sources?: "prompts";
  /** Counted by the paper though frozen in this variant, or trained though counted otherwise. */
  readonly countsDiffer?: true;
}

export const methodRows: Readonly<Record<MethodName, Row>> = {
  mpt: { options: { numVirtualTokens: 4 } },
  "mpt-adapter": { options: { numVirtualTokens: 4, reduction: 4 } },
  "smop-mpt": { options: { numExperts: 3, expertLength: 2 } },
  "prompt-tuning": { options: { numVirtualTokens: 4 } },
  spot: { options: { numVirtualTokens: 4 }, sources: "prompts" },
  attempt: { options: { numVirtualTokens: 4, bottleneck: 6, variant: "paper" }, sources: "prompts" },
  "p-tuning": { options: { numVirtualTokens: 4, hiddenSize: 6 } },
  "p-tuning-v2": { options: { numVirtualTokens: 4 } },
  "prefix-tuning": { options: { numVirtualTokens: 4 } },
  dept: { options: { numVirtualTokens: 3, rank: 2, maxLength: 4 } },
  smop: { options: { numExperts: 3, expertLength: 2 } },
  bmtpt: { options: { numVirtualTokens: 4, particles: 3 }, countsDiffer: true },
  adapter: { options: { reduction: 4 } },
  "adapter-drop": { options: { reduction: 4, firstLayer: 1 } },
  compacter: { options: { reduction: 4, terms: 2 } },
  bitfit: { options: {} },
  lora: { options: { rank: 2 } },
  "full-fine-tuning": { options: {} },
};

export const names: readonly MethodName[] = Object.keys(methodRows) as MethodName[];

export interface Started {
  readonly options: Record<string, unknown>;
  readonly parameters: Parameters;
}

/** A method's options and first parameters on a tiny model. @throws Error where its row does not fit the model */
export function startMethod(name: MethodName, model: T5Model, numTasks = 1, seed = 1): Started {
  const { method, options, problems } = resolveMethod(name, methodRows[name].options, model.backbone);
  if (problems.length > 0) throw new Error(problems.join("; "));
  const context = tinyContext(model, numTasks, seed);
  const prompts: SourceState[] = ["a", "b", "c"].map((task, i) => ({
    method: "prompt-tuning",
    tasks: [task],
    parameters: methods["prompt-tuning"].init({ numVirtualTokens: 4, init: "random" }, { ...context, seed: 50 + i }),
  }));
  const parameters = method.init(options, methodRows[name].sources ? { ...context, sources: prompts } : context);
  return { options, parameters };
}

/** Every parameter moved a little, so that no gradient is zero only because a start is. */
export function disturb(parameters: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, tensor], i) => [
      name,
      tf.add(tensor, random.normal(random.key(i + 1), tensor.shape, 0, 0.1)),
    ]),
  );
}
