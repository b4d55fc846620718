// The paper's study and its recipes: their configurations stand, and what their headers promise is what is published.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { groups } from "#datasets/index.ts";
import { paperModel, paperSources, paperStudy, paperValues } from "#toolkit/experiments/paper.ts";
import { publishedScore } from "#toolkit/experiments/published.ts";
import { applyStudySettings } from "#toolkit/experiments/settings.ts";
import { sourceRuns, targetGrids } from "#toolkit/experiments/study.ts";
import { resolveMethod } from "#toolkit/methods/methods.ts";
import { type RunConfig, type RunConfigInput, resolveRun } from "#toolkit/training/index.ts";

const study = paperStudy("runs/paper", paperModel, "auto");
const t5Base = { hiddenSize: 768, numEncoderLayers: 12, numDecoderLayers: 12, vocabSize: 32_128 };

describe("The paper's study", () => {
  const grids = targetGrids(study);

  test("learns from the six sources and adapts to the 21 targets of the four groups", () => {
    expect([...paperSources].sort()).toEqual([...groups.sources].sort());
    const understanding = groups.targets.filter((task) => !(groups.nlg as readonly string[]).includes(task));
    expect([...study.targets].sort()).toEqual([...understanding].sort());
    expect(study.seeds).toHaveLength(3);
    // Ten methods on 21 targets and MPT* on four groups; few-shot, three targets of two groups at three sizes.
    expect(grids).toHaveLength(10 * 21 + 4 + 3 * (10 * 3 + 2));
  });

  test("runs valid configurations of the faithful variant on T5-base's shape", () => {
    for (const config of [
      ...sourceRuns(study),
      ...grids.map((grid) => ({ ...grid.config, run: "x", seed: 1, learningRateScale: 1 })),
    ]) {
      const { method, options, variant } = resolveRun(config);
      expect(variant).toBe("faithful");
      expect(resolveMethod(method, options, t5Base).problems, method).toEqual([]);
    }
  });

  test("says for every value that the paper leaves open where it comes from, under a key that sets it", () => {
    for (const name of ["batchSize", "targetSteps", "temperature", "maxTasks"])
      expect(paperValues[name]?.provenance).toContain("not stated readably");
    for (const { key, value, provenance } of Object.values(paperValues)) {
      expect(provenance).not.toBe("");
      const setting = typeof value === "number" ? `${key}=${value}` : `${key}=[1]`;
      expect(() => applyStudySettings(study, [setting]), key).not.toThrow();
    }
  });
});

describe("The paper's recipes", () => {
  const folder = join(import.meta.dirname, "../../../toolkit/experiments/paper");
  const files = readdirSync(folder);

  test("are there for the source stage and every group", () => {
    for (const name of ["source.ts", "glue.ts", "superglue.ts", "mrqa.ts", "others.ts"]) expect(files).toContain(name);
  });

  test.each(files)(
    "%s is a run of the study, and its header names command, time and the published scores",
    async (file) => {
      const { recipe } = (await import(join(folder, file))) as { recipe: RunConfigInput };
      const run: RunConfig = resolveRun(recipe);
      expect(resolveMethod(run.method, run.options, t5Base).problems).toEqual([]);
      const header = readFileSync(join(folder, file), "utf8").split("\nimport ")[0]!;
      expect(header).toContain(`bunsen train toolkit/experiments/paper/${file}`);
      expect(header).toMatch(/^\/\/ {3}time {6}/m);
      if (run.stage === "source") return;
      const label = run.tasks.length > 1 ? "MPT*" : run.method === "mpt" ? "MPT" : "prompt tuning";
      for (const task of run.tasks) {
        const found = publishedScore(label, task, run.shots);
        expect(header, task).toContain(found!.score.toFixed(1));
        expect(header).toContain(found!.row.evidence === "recalled" ? "recalled, unverified" : "verified");
      }
      if (run.from.length > 0) expect(run.from).toEqual([(sourceRuns(study)[0] as { run: string }).run]);
    },
  );
});
