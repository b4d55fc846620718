// Checkpoints: a folder each, complete or absent (it is written under another name and renamed). Beside the adapter in
// PEFT's format it holds the exact training state: every parameter, the optimiser's slots, and where the run stands.
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { saveAdapter } from "#toolkit/methods/adapter-files.ts";
import type { Method, Parameters } from "#toolkit/methods/contract.ts";
import type { Backbone } from "#toolkit/models/contract.ts";
import type { Named, OptimizerState } from "#toolkit/nn/index.ts";
import { treeMap } from "#toolkit/tensor/index.ts";
import {
  fromTensors,
  makeFolder,
  openSafetensors,
  toTensor,
  WriteError,
  writeJson,
  writeSafetensors,
} from "#toolkit/weights/index.ts";
import { writeRefused } from "./errors.ts";
import type { TrainState } from "./step.ts";

/** Where a run stands: plain numbers beside the tensors. */
export interface Position {
  readonly step: number;
  readonly best: { readonly step: number; readonly score: number } | null;
  /** Evaluations since the best one. */
  readonly waited: number;
  /** True once the run has nothing left to train (all steps done, or stopped early). */
  readonly finished: boolean;
  readonly seconds: number;
}

export interface CheckpointPaths {
  readonly folder: string;
  readonly position: Position;
}

const folderOf = (run: string): string => join(run, "checkpoints");
const nameOf = (step: number): string => `step-${String(step).padStart(8, "0")}`;

/** Slots of an optimiser as flat names: `first.prompt_embeddings`, `step`. */
function flatten(state: OptimizerState): Record<string, Named[string]> {
  const out: Record<string, Named[string]> = {};
  treeMap(state as never, (leaf, path) => {
    // Parameter names may hold dots themselves; only the first one separates slot and name.
    out[path] = leaf;
    return leaf;
  });
  return out;
}

/**
 * Writes a checkpoint and returns its folder.
 * @throws TrainingError naming the file where the disk refuses; what was there before stays.
 */
export async function saveCheckpoint(
  run: string,
  state: TrainState,
  frozen: Parameters,
  position: Position,
  adapter: {
    readonly method: Method;
    readonly options: Record<string, unknown>;
    readonly backbone: Backbone;
    readonly baseModel: string;
  },
): Promise<string> {
  const folder = join(folderOf(run), nameOf(position.step));
  const part = join(folderOf(run), `.${nameOf(position.step)}.part`);
  try {
    rmSync(part, { recursive: true, force: true });
    makeFolder(part);
    const all = { ...frozen, ...state.parameters };
    const { method, options, backbone, baseModel } = adapter;
    await saveAdapter(part, method, options, all, { backbone, baseModel });
    const tensors: Record<string, Named[string]> = {};
    for (const [name, tensor] of Object.entries(all)) tensors[`parameters.${name}`] = tensor;
    for (const [name, tensor] of Object.entries(flatten(state.optimizer))) tensors[`optimizer.${name}`] = tensor;
    writeSafetensors(join(part, "training_state.safetensors"), await fromTensors(tensors));
    writeJson(join(part, "position.json"), position);
    rmSync(folder, { recursive: true, force: true });
    renameSync(part, folder);
  } catch (cause) {
    try {
      rmSync(part, { recursive: true, force: true });
    } catch {
      // The disk that refused the checkpoint may refuse this too; the first refusal is the one to tell.
    }
    if (!(cause instanceof Error && (cause instanceof WriteError || "code" in cause))) throw cause;
    const refused = cause instanceof WriteError ? cause : new WriteError(folder, null, cause);
    throw writeRefused(`the checkpoint of step ${position.step}`, refused);
  }
  return folder;
}

/** Writes a tree of tensors under the dotted paths of its leaves, atomically. */
export async function saveState(path: string, tree: object, metadata: Readonly<Record<string, string>>): Promise<void> {
  const tensors: Record<string, Named[string]> = {};
  treeMap(tree as never, (leaf, name) => {
    tensors[name] = leaf;
    return leaf;
  });
  writeSafetensors(path, await fromTensors(tensors), metadata);
}

/** What `saveState` wrote, in the structure of `like`. @throws Error naming what is missing or of another shape */
export function loadState<T extends object>(
  path: string,
  like: T,
): { readonly tree: T; readonly metadata: Readonly<Record<string, string>> } {
  const file = openSafetensors(path);
  const tree = treeMap(like as never, (leaf: Named[string], name: string) => {
    const info = file.tensors.get(name);
    if (info === undefined || info.shape.join() !== leaf.shape.join()) {
      throw new Error(
        `${path}: expected ${name} of shape [${leaf.shape}], got ${info === undefined ? "none" : `[${info.shape}]`}; remove the file to start anew.`,
      );
    }
    return toTensor(file.read(name));
  });
  return { tree: tree as T, metadata: file.metadata };
}

/** Complete checkpoints of a run, oldest first. Folders that cannot be read are no checkpoints. */
export function listCheckpoints(run: string): CheckpointPaths[] {
  const root = folderOf(run);
  if (!existsSync(root)) return [];
  const found: CheckpointPaths[] = [];
  for (const entry of readdirSync(root)) {
    if (!/^step-\d+$/.test(entry)) continue;
    const file = join(root, entry, "position.json");
    if (!existsSync(file)) continue;
    try {
      const position = JSON.parse(readFileSync(file, "utf8")) as Position;
      if (nameOf(position.step) === basename(entry)) found.push({ folder: join(root, entry), position });
    } catch {
      // Half-written JSON cannot be under this name (the folder is renamed when whole); a damaged disk can: skip it.
    }
  }
  return found.sort((a, b) => a.position.step - b.position.step);
}

/** Keeps the newest checkpoint and the best one; removes all others. */
export function pruneCheckpoints(run: string): void {
  const all = listCheckpoints(run);
  const newest = all.at(-1);
  for (const checkpoint of all) {
    const { step } = checkpoint.position;
    if (checkpoint === newest || step === newest?.position.best?.step) continue;
    rmSync(checkpoint.folder, { recursive: true, force: true });
  }
}

/**
 * The tensors of a checkpoint, put back into the structure of a fresh state.
 * @throws Error naming what is missing or of another shape.
 */
export function loadCheckpoint(
  folder: string,
  fresh: TrainState,
): { readonly state: TrainState; readonly parameters: Record<string, Named[string]> } {
  const file = openSafetensors(join(folder, "training_state.safetensors"));
  const read = (name: string, like?: Named[string]): Named[string] => {
    const info = file.tensors.get(name);
    if (info === undefined) throw new Error(`${file.path} lacks ${name}; it belongs to another run or is damaged.`);
    if (like !== undefined && info.shape.join() !== like.shape.join()) {
      throw new Error(
        `${file.path}: ${name} has shape [${info.shape}], the run's configuration needs [${like.shape}]; start a new run folder.`,
      );
    }
    return toTensor(file.read(name));
  };
  const restored = <T>(tree: T, prefix: string): T =>
    treeMap(tree as never, (leaf, path) => read(`${prefix}.${path}`, leaf)) as T;
  const parameters: Record<string, Named[string]> = {};
  for (const name of file.tensors.keys()) {
    const prefix = "parameters.";
    if (name.startsWith(prefix) && !(name.slice(prefix.length) in fresh.parameters)) {
      parameters[name.slice(prefix.length)] = read(name);
    }
  }
  return {
    state: {
      parameters: restored(fresh.parameters, "parameters"),
      optimizer: restored(fresh.optimizer, "optimizer"),
    },
    parameters,
  };
}
