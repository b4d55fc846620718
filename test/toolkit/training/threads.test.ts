// The engine's threads as part of a run: set before the engine starts, compared when the run goes on. No engine here.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Engine } from "#toolkit/tensor/contract.ts";
import {
  environmentDifference,
  pinThreads,
  readEnvironment,
  recordEnvironment,
  threadProblem,
} from "#toolkit/training/environment.ts";

const root = mkdtempSync(join(tmpdir(), "bunsen-threads-"));
const engine: Engine = { name: "cpu", backend: "tensorflow", version: "TensorFlow 2", device: "processor", threads: 2 };
const { threads: _threads, ...unpinned } = engine;
const before = process.env.BUNSEN_THREADS;
const restore = (): void => {
  if (before === undefined) delete process.env.BUNSEN_THREADS;
  else process.env.BUNSEN_THREADS = before;
};
beforeEach(() => delete process.env.BUNSEN_THREADS);
afterEach(restore);
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("The threads of a run", () => {
  test("are those it was begun with, else those its configuration asks for, but never against the user's own", () => {
    pinThreads(join(root, "none"), null);
    expect(process.env.BUNSEN_THREADS).toBeUndefined();
    pinThreads(join(root, "none"), 3);
    expect(process.env.BUNSEN_THREADS).toBe("3");
    pinThreads(join(root, "none"), 4);
    expect(process.env.BUNSEN_THREADS).toBe("3");
    delete process.env.BUNSEN_THREADS;
    writeFileSync(join(root, "environment.json"), JSON.stringify(recordEnvironment(engine)));
    expect(readEnvironment(root)?.engine.threads).toBe(2);
    pinThreads(root, null);
    expect(process.env.BUNSEN_THREADS).toBe("2");
  });

  test("are refused where the engine runs on others, with what to do", () => {
    expect(threadProblem(engine, null)).toBeNull();
    expect(threadProblem(engine, 2)).toBeNull();
    expect(threadProblem(unpinned, 8)).toBeNull();
    expect(threadProblem(engine, 8)).toMatch(/asks for 8, .* runs on 2\. Start a new process with BUNSEN_THREADS=8/);
  });

  test("are compared on resume, where the older record knows them", () => {
    const record = recordEnvironment(engine);
    expect(environmentDifference(record, recordEnvironment({ ...engine, threads: 1 }))).toEqual(["threads: 2 → 1"]);
    expect(environmentDifference(recordEnvironment(unpinned), record)).toEqual([]);
  });
});
