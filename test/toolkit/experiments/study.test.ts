// A study gives every method the same budget; its plan is what the command would run.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fullStudy } from "#toolkit/experiments/full.ts";
import { gridSteps } from "#toolkit/experiments/grid.ts";
import { quickModel, quickStudy } from "#toolkit/experiments/quick.ts";
import { runStudy, type Study, sourceRuns, studySteps, targetGrids } from "#toolkit/experiments/study.ts";
import { methodNames, resolveMethod } from "#toolkit/methods/methods.ts";
import { type LabelledRun, summarise, summaryTable } from "#toolkit/report/index.ts";
import { useEngine } from "#toolkit/tensor/index.ts";
import { resolveRun } from "#toolkit/training/index.ts";

const study = quickStudy("runs/quick", "runs/quick/backbone", "cpu");

describe("The quick study", () => {
  test("runs configurations that are valid as they stand", () => {
    for (const config of sourceRuns(study)) expect(resolveRun(config).stage).toBe("source");
    for (const grid of targetGrids(study)) {
      expect(() => resolveRun({ ...grid.config, run: "x", seed: 1, learningRateScale: 1 })).not.toThrow();
    }
  });

  test("gives all methods the same steps, seeds, rates, batch and lengths", () => {
    const budgets = targetGrids(study).map(({ rates, seeds, config }) => {
      const { steps, batchSize, maxInputLength, evaluationExamples } = config as Record<string, unknown>;
      return JSON.stringify({ rates, seeds, steps, batchSize, maxInputLength, evaluationExamples });
    });
    expect(new Set(budgets).size).toBe(1);
    expect(targetGrids(study)).toHaveLength(8 * 2 * 2);
  });

  test("counts its steps as the sum of what it runs", () => {
    const grids = targetGrids(study).reduce((sum, grid) => sum + gridSteps(grid), 0);
    expect(studySteps(study)).toBe(grids + 3 * 300 + 3 * 300);
  });

  test("shares the teachers between the source runs and the methods that start from them", () => {
    const folders = sourceRuns(study).map(
      (config) => (config as { distillation: { teacherFolder: string } }).distillation.teacherFolder,
    );
    expect(new Set(folders)).toEqual(new Set(["runs/quick/teachers"]));
    const attempt = targetGrids(study).find((grid) => grid.label === "ATTEMPT")!;
    expect((attempt.config as unknown as { from: string[] }).from).toEqual(
      ["glue-sst2", "glue-cola", "glue-mrpc"].map((name) => `runs/quick/teachers/${name}`),
    );
  });
});

describe("The full study", () => {
  const full = fullStudy("runs/full", "runs/full/backbone", "cpu");
  const grids = targetGrids(full);

  test("has every method of the table, on k = 4, 16, 32 and full, with three seeds", () => {
    expect([...new Set(full.methods.map(({ method }) => method))].sort()).toEqual([...methodNames].sort());
    expect(full.shots).toEqual([4, 16, 32, null]);
    expect(full.seeds).toHaveLength(3);
    // MPT* trains both targets in one run; every other method has a grid a target.
    expect(grids).toHaveLength(((full.methods.length - 1) * 2 + 1) * 4);
    expect(new Set(grids.map((grid) => `${grid.folder} ${grid.label} ${grid.config.tasks}`)).size).toBe(grids.length);
  });

  test("gives every method the same steps a task, and the same seeds, rates, batch and lengths", () => {
    const budgets = grids.map(({ rates, seeds, config }) => {
      const { steps, tasks, batchSize, maxInputLength, evaluationExamples } = config as Record<string, unknown>;
      const perTask = (steps as number) / (tasks as string[]).length;
      return JSON.stringify({ rates, seeds, perTask, batchSize, maxInputLength, evaluationExamples });
    });
    expect(new Set(budgets).size).toBe(1);
  });

  test("runs configurations whose fields and method options are valid for its backbone", () => {
    const shape = { ...quickModel, vocabSize: 6000 };
    for (const config of [
      ...sourceRuns(full),
      ...grids.map((grid) => ({ ...grid.config, run: "x", seed: 1, learningRateScale: 1 })),
    ]) {
      const { method, options } = resolveRun(config);
      expect(resolveMethod(method, options, shape).problems, method).toEqual([]);
    }
  });
});

describe("A study that runs", () => {
  const root = mkdtempSync(join(tmpdir(), "bunsen-study-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test("trains teachers once, all methods on all targets, and goes on where it was stopped", async () => {
    await useEngine("wasm");
    const tiny: Study = {
      ...study,
      folder: root,
      model: join(import.meta.dirname, "../../../datasets/mini/backbone"),
      sourceTasks: ["mini/sst2", "mini/cola"],
      targets: ["mini/rte"],
      methods: study.methods.filter(({ label }) => ["prompt tuning", "SPoT", "MPT"].includes(label)),
      sources: study.sources.slice(0, 2),
      shots: [4],
      seeds: [1, 2],
      rates: [1],
      numVirtualTokens: 3,
      sourceSteps: 1,
      teacherSteps: 1,
      targetSteps: 1,
      common: { engine: "wasm", batchSize: 2, evaluationExamples: 4, evaluationBatchSize: 4, maxNewTokens: 2 },
    };
    const drive = async (stopAfter: number): Promise<{ trained: number; runs: readonly LabelledRun[] | null }> => {
      const stop = new AbortController();
      const events = runStudy(tiny, stop.signal);
      let trained = 0;
      try {
        for (let next = await events.next(); ; next = await events.next()) {
          if (next.done) return { trained, runs: next.value };
          if (next.value.type === "step" && ++trained === stopAfter) stop.abort();
        }
      } catch (error) {
        expect((error as Error).name).toBe("AbortError");
        return { trained, runs: null };
      }
    };
    const first = await drive(5);
    expect(first.runs).toBeNull();
    const second = await drive(Number.POSITIVE_INFINITY);
    // A run that was stopped in its last step only lacks its end: no step is done twice.
    expect(first.trained + second.trained).toBe(studySteps(tiny));
    expect(second.runs!.map(({ label }) => label)).toEqual([
      "prompt tuning",
      "prompt tuning",
      "SPoT",
      "SPoT",
      "MPT",
      "MPT",
    ]);
    const table = summaryTable(summarise(second.runs!));
    expect(table.rows).toHaveLength(3);
    expect(second.runs!.at(-1)!.result.needs.map((need) => need.run)).toContain(join(root, "teachers/mini-sst2"));
  });
});
