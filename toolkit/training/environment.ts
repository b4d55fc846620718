// What a run ran on, written beside it: versions, engine, cores, git. Two of these decide whether a resumed run can be
// bit-identical (engine and threads), so they are compared on resume; the count of threads is set before that.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { BackboneShape } from "#toolkit/models/contract.ts";
import { type BackboneRecord, backboneRecord } from "#toolkit/models/identity.ts";
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
  /** The backbone that the run was begun with; absent in older records. */
  readonly backbone?: BackboneRecord;
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

export function recordEnvironment(engine: Engine, backbone?: BackboneShape): EnvironmentRecord {
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
    ...(backbone === undefined ? {} : { backbone: backboneRecord(backbone) }),
    dependencies: packageJson.dependencies,
    git: gitState(),
  };
}

/** The plan of batches that a run was begun with. */
export function batchPlanOf(record: EnvironmentRecord): number {
  return record.batchPlan ?? 1;
}

/**
 * Before an engine starts: the threads that a run was begun with, else those that its configuration asks for. An engine
 * that runs already keeps its own, and so does a user who set BUNSEN_THREADS; `environmentDifference` and
 * `threadProblem` say so then.
 */
export function pinThreads(run: string, asked: number | null): void {
  const threads = readEnvironment(run)?.engine.threads ?? asked;
  if (threads !== null) process.env.BUNSEN_THREADS ??= String(threads);
}

/** What is wrong with an engine's threads for a run that asks for `asked`; null where nothing is. */
export function threadProblem(engine: Engine, asked: number | null): string | null {
  if (asked === null || engine.threads === undefined || engine.threads === asked) return null;
  return `threads: the run asks for ${asked}, and the engine of this process runs on ${engine.threads}. Start a new process${process.env.BUNSEN_THREADS === String(asked) ? "" : ` with BUNSEN_THREADS=${asked} or without it`}, or take \`threads\` out of the configuration.`;
}

/** The record of a run's folder, or null where it has none. */
export function readEnvironment(run: string): EnvironmentRecord | null {
  const path = join(run, "environment.json");
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as EnvironmentRecord) : null;
}

/** What would change the bits of a resumed run, each as `was → is`. */
export function environmentDifference(before: EnvironmentRecord, after: EnvironmentRecord): string[] {
  const watched = (record: EnvironmentRecord): Record<string, unknown> => ({
    engine: record.engine.name,
    "engine version": record.engine.version,
    device: record.engine.device,
    processor: record.processor,
    cores: record.cores,
    threads: record.engine.threads,
  });
  const [was, is] = [watched(before), watched(after)];
  return (
    Object.keys(was)
      .filter((name) => was[name] !== is[name])
      // A record older than the count of threads says nothing of it; cores are compared all the same.
      .filter((name) => name !== "threads" || was[name] !== undefined)
      .map((name) => `${name}: ${was[name]} → ${is[name]}`)
  );
}
