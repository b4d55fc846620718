// What `--set` may change of a study, what it may not, and that all mistakes are told together.
import { describe, expect, test } from "vitest";
import { paperStudy } from "#toolkit/experiments/paper.ts";
import { quickStudy } from "#toolkit/experiments/quick.ts";
import { applyStudySettings } from "#toolkit/experiments/settings.ts";
import { sourceRuns, targetGrids } from "#toolkit/experiments/study.ts";
import { ConfigError } from "#toolkit/training/index.ts";

const quick = quickStudy("runs/quick", "runs/quick/backbone", "cpu");
const problemsOf = (settings: readonly string[]): readonly string[] => {
  try {
    applyStudySettings(quick, settings);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
  return [];
};

describe("Settings of a study", () => {
  test("none leave it as it is", () => {
    expect(targetGrids(applyStudySettings(quick, []))).toEqual(targetGrids(quick));
    expect(sourceRuns(applyStudySettings(quick, []))).toEqual(sourceRuns(quick));
  });

  test("reach every run: steps, batch, temperature, κ, λ of the runs that distil", () => {
    const study = applyStudySettings(quick, [
      "targetSteps=7",
      "common.batchSize=3",
      "distillation.temperature=2",
      "distillation.weight=0.5",
      "sampling.slots.max=3",
    ]);
    expect(
      targetGrids(study).every(
        ({ config }) => config.steps === 7 && (config as { batchSize?: number }).batchSize === 3,
      ),
    ).toBe(true);
    const sources = sourceRuns(study) as { distillation: Record<string, unknown>; sampling: Record<string, unknown> }[];
    expect(sources.map(({ distillation }) => distillation.weight)).toEqual([0.5, 0, 0.5]);
    for (const { distillation, sampling } of sources) {
      expect(distillation.temperature).toBe(2);
      expect(sampling.slots).toEqual({ min: 2, max: 3 });
    }
  });

  test("methods by label keep only the source runs they start from, and the teachers' where those are asked for", () => {
    const sources = (labels: string[]): string[] =>
      applyStudySettings(quick, [`methods=${JSON.stringify(labels)}`]).sources.map(({ name }) => name);
    expect(sources(["prompt tuning"])).toEqual([]);
    expect(sources(["MPT without distillation"])).toEqual(["mpt-without-distillation"]);
    expect(sources(["SPoT", "MPT without distillation"])).toEqual(["mpt", "mpt-without-distillation"]);
  });

  test("targets replace groups and few-shot targets with them", () => {
    const paper = paperStudy("runs/paper", "m", "auto");
    const study = applyStudySettings(paper, ['targets=["glue/rte","mini/sst2"]', 'methods=["MPT*"]', "shots=[4,null]"]);
    expect(targetGrids(study).map(({ config }) => config.tasks)).toEqual([
      ["glue/rte"],
      ["glue/rte"],
      ["mini/sst2"],
      ["mini/sst2"],
    ]);
    const two = applyStudySettings(paper, ['sourceTasks=["mini/sst2","mini/cola"]']);
    expect((sourceRuns(two)[0] as { sampling: unknown }).sampling).toMatchObject({ slots: { min: 2, max: 2 } });
  });

  test("all mistakes are told at once, each with what is allowed", () => {
    const problems = problemsOf([
      "targetStep=9",
      "batchSize=8",
      "seeds=[1,1]",
      'methods=["MTP"]',
      "common.steps=4",
      "common.optimizer=adam",
      'targets=["glue/rtee"]',
      "nonsense",
    ]);
    expect(problems).toHaveLength(8);
    const text = problems.join("\n");
    expect(text).toContain('targetStep: a study has no such setting (did you mean "targetSteps"?)');
    expect(text).toContain('set as "common.batchSize"');
    expect(text).toContain("seeds: expected a list of different integers of at least 0, got [1,1]");
    expect(text).toContain("methods: expected a list of the study's method labels: full fine-tuning, prompt tuning");
    expect(text).toContain("common.steps: is decided by the study");
    expect(text).toContain('optimizer: expected one of "adamw", "adafactor", "sgd", got "adam"');
    expect(text).toContain('unknown dataset "glue/rtee" (did you mean "glue/rte"?)');
    expect(text).toContain("nonsense: expected key=value");
  });
});
