// What earlier runs left behind, for methods that start from it: a run's folder (its `adapter`) or any adapter folder.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SourceState } from "#toolkit/methods/contract.ts";
import { findMethod } from "#toolkit/methods/methods.ts";
import type { Backbone } from "#toolkit/models/contract.ts";
import { openSafetensors, toTensor } from "#toolkit/weights/index.ts";
import { listCheckpoints } from "./checkpoint.ts";
import { readResult } from "./result.ts";

/**
 * Loads every run of `from`.
 * @throws Error where one is unfinished, or was trained on a backbone of another width
 */
export async function loadSources(from: readonly string[], backbone: Backbone): Promise<SourceState[]> {
  return from.map((run) => {
    if (!existsSync(join(run, "metrics.json"))) {
      const unfinished = existsSync(join(run, "config.json"));
      throw new Error(
        unfinished
          ? `${run} is a run that is not finished (last checkpoint: ${listCheckpoints(run).at(-1)?.position.step ?? "none"}); train it to its end first.`
          : `${run} is no run: expected a folder with metrics.json and adapter/; train the source stage first.`,
      );
    }
    const result = readResult(run);
    const method = findMethod(result.method);
    const folder = join(run, "adapter");
    const config = JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8")) as Record<string, unknown>;
    const file = openSafetensors(join(folder, "adapter_model.safetensors"));
    const tensors = Object.fromEntries([...file.tensors.keys()].map((name) => [name, toTensor(file.read(name))]));
    const { parameters } = method.fromFile(config, tensors);
    const width = Number(config.token_dim ?? backbone.hiddenSize);
    if (width !== backbone.hiddenSize) {
      throw new Error(
        `${run} was trained on a backbone of width ${width}; this one is ${backbone.hiddenSize} wide. Train the source stage on the same model.`,
      );
    }
    return { method: result.method, tasks: result.tasks, parameters };
  });
}
