// What earlier runs left behind, for methods that start from it and for inference: a run's folder (its `adapter`), or an
// adapter folder of its own, as PEFT writes it. `inspectSources` looks at files' headers alone, before any model is there.
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import {
  type AdapterHeader,
  adapterBackboneProblems,
  loadAdapter,
  openAdapter,
} from "#toolkit/methods/adapter-files.ts";
import type { SourceShape, SourceState } from "#toolkit/methods/contract.ts";
import { type AnyMethod, findMethod } from "#toolkit/methods/methods.ts";
import type { Backbone, BackboneShape } from "#toolkit/models/contract.ts";
import { backboneRecord } from "#toolkit/models/identity.ts";
import { inspectT5 } from "#toolkit/models/t5/index.ts";
import { WeightsError } from "#toolkit/weights/index.ts";
import { listCheckpoints } from "./checkpoint.ts";
import { readResult } from "./result.ts";

/** Where an adapter lies and what trained it. */
interface Place {
  readonly folder: string;
  readonly method: AnyMethod;
  readonly tasks: readonly string[];
  readonly header: AdapterHeader;
}

/** @throws Error where there is no finished run and no adapter, or it cannot be read */
function findAdapter(run: string): Place {
  if (existsSync(join(run, "metrics.json"))) {
    const { method, tasks } = readResult(run);
    const folder = join(run, "adapter");
    return { folder, method: findMethod(method), tasks, header: openAdapter(folder) };
  }
  if (existsSync(join(run, "config.json")) && existsSync(join(run, "environment.json"))) {
    const last = listCheckpoints(run).at(-1)?.position.step ?? "none";
    throw new WeightsError(
      `${run} is a run that is not finished (last checkpoint: ${last}); train it to its end first`,
    );
  }
  if (existsSync(join(run, "adapter_config.json"))) {
    const header = openAdapter(run);
    // PEFT names no tasks: an adapter of several is told apart by their numbers.
    const count = header.source.info("prefix_task_cols")?.shape[0] ?? 1;
    const tasks = Array.from({ length: count }, (_, k) => (count === 1 ? basename(run) : `${basename(run)}-${k}`));
    return { folder: run, method: header.method, tasks, header };
  }
  throw new WeightsError(
    `${run} is no run: expected the folder of a finished run (metrics.json, adapter/) or of an adapter (adapter_config.json, adapter_model.safetensors); train the source stage first`,
  );
}

/** What says that an adapter is of another backbone, both sides named. */
function foreign({ header: { config, record } }: Place, backbone: BackboneShape): string[] {
  const base = config.base_model_name_or_path;
  if (record !== null || typeof base !== "string" || !existsSync(join(base, "config.json")))
    return adapterBackboneProblems(config, record, backbone);
  // Not saved here, or by an older version: the model that it names lies on this machine.
  try {
    return adapterBackboneProblems(config, backboneRecord(inspectT5(base).shape), backbone);
  } catch (error) {
    if (!(error instanceof WeightsError)) throw error;
    return adapterBackboneProblems(config, null, backbone); // that folder has become something else
  }
}

const trainedElsewhere = (run: string, problems: readonly string[]): string[] =>
  problems.map(
    (problem) => `${run} is of another backbone: ${problem}. Train it on this one, or name that one as the model`,
  );

/**
 * What the files of `from` tell without being read.
 * @param backbone what they must have been trained on; null: not known, and not compared
 */
export function inspectSources(
  from: readonly string[],
  backbone: BackboneShape | null,
): { readonly sources: SourceShape[]; readonly problems: string[] } {
  const sources: SourceShape[] = [];
  const problems: string[] = [];
  for (const run of from) {
    try {
      const place = findAdapter(run);
      const other = backbone === null ? [] : foreign(place, backbone);
      problems.push(...trainedElsewhere(run, other));
      const { source } = place.header;
      const parameters = Object.fromEntries(source.names.map((name) => [name, { shape: source.info(name)!.shape }]));
      // Shapes of another backbone fit nothing, which has been said.
      if (other.length === 0) sources.push({ method: place.method.name, tasks: place.tasks, parameters });
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  return { sources, problems };
}

/**
 * Loads every run of `from`.
 * @throws WeightsError where one is unfinished, unreadable, or was trained on another backbone, which is named
 */
export async function loadSources(from: readonly string[], backbone: Backbone): Promise<SourceState[]> {
  const { problems } = inspectSources(from, backbone);
  if (problems.length > 0) throw new WeightsError(`${problems.join(".\n")}.`);
  return from.map((run) => {
    const { folder, method, tasks } = findAdapter(run);
    const { parameters } = loadAdapter(folder, backbone, method);
    return { method: method.name, tasks, parameters };
  });
}
