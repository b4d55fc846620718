// A study gives every method the same budget; its plan is what the command would run.
import { describe, expect, test } from "vitest";
import { gridSteps } from "#toolkit/experiments/grid.ts";
import { quickStudy } from "#toolkit/experiments/quick.ts";
import { sourceRuns, studySteps, targetGrids } from "#toolkit/experiments/study.ts";
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
    expect(studySteps(study)).toBe(grids + 3 * 300 + 3 * 200);
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
