// What a run ran on, written beside it: versions, engine, cores, git. Two of these decide whether a resumed run can be
// bit-identical (engine and cores), so they are compared on resume.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { Engine } from "#toolkit/tensor/index.ts";
import { batchPlan } from "./parts.ts";

export interface EnvironmentRecord {
  readonly bunsen: string;
  readonly bun: string;
  readonly platform: string;
  readonly processor: string;
  /** Cores that this process may use: the engine's thread count. */
  readonly cores: number;
  readonly memoryMiB: number;
  readonly engine: Engine;
  /** Version of what the steps hold (parts.ts); absent in records of the first. */
  readonly batchPlan?: number;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly git: { readonly commit: string; readonly changed: boolean } | null;
}

function gitState(): EnvironmentRecord["git"] {
  const git = (...args: string[]): string =>
    execFileSync("git", args, {
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    return { commit: git("rev-parse", "HEAD"), changed: git("status", "--porcelain") !== "" };
  } catch {
    return null; // no git, or no checkout: a released package
  }
}

export function recordEnvironment(engine: Engine): EnvironmentRecord {
  const packageJson = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    readonly version: string;
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return {
    bunsen: packageJson.version,
    bun: Bun.version,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    engine,
    batchPlan,
    dependencies: packageJson.dependencies,
    git: gitState(),
  };
}

/** The plan of batches that a run was begun with. */
export function batchPlanOf(record: EnvironmentRecord): number {
  return record.batchPlan ?? 1;
}

/** What would change the bits of a resumed run, each as `was → is`. */
export function environmentDifference(before: EnvironmentRecord, after: EnvironmentRecord): string[] {
  const watched = (record: EnvironmentRecord): Record<string, unknown> => ({
    engine: record.engine.name,
    "engine version": record.engine.version,
    device: record.engine.device,
    processor: record.processor,
    cores: record.cores,
  });
  const [was, is] = [watched(before), watched(after)];
  return Object.keys(was)
    .filter((name) => was[name] !== is[name])
    .map((name) => `${name}: ${was[name]} → ${is[name]}`);
}
