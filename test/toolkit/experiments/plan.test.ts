// A plan counts what would run, and its hours come from measured steps alone.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fullStudy } from "#toolkit/experiments/full.ts";
import { paperStudy } from "#toolkit/experiments/paper.ts";
import { measureStudy, planCost, type StepTimes, studyPlan } from "#toolkit/experiments/plan.ts";
import { publishedBeside } from "#toolkit/experiments/published-table.ts";
import { quickStudy } from "#toolkit/experiments/quick.ts";
import { type Study, studySteps } from "#toolkit/experiments/study.ts";
import { main } from "#toolkit/main.ts";
import type { Summary } from "#toolkit/report/index.ts";
import { openRunLog } from "#toolkit/training/run-log.ts";

const root = mkdtempSync(join(tmpdir(), "bunsen-plan-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function bunsen(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const status = await main(argv, { out: (text) => out.push(text), err: (text) => err.push(text), interactive: false });
  return { status, out: out.join("\n"), err: err.join("\n") };
}

/** The folder of a finished run whose steps took `stepMs` each, and `besides` seconds more. */
function finishedRun(
  folder: string,
  stage: string,
  stepMs: readonly number[],
  besides: number,
  more: object = {},
): void {
  mkdirSync(folder, { recursive: true });
  using log = openRunLog(join(folder, "log.arrow"));
  for (const [step, ms] of stepMs.entries()) {
    log.add({
      type: "step",
      stage,
      step: step + 1,
      totalSteps: stepMs.length,
      loss: 1,
      parts: {},
      learningRates: {},
      stepMs: ms,
      waitMs: 0,
    });
  }
  log.flush(true);
  const seconds = stepMs.reduce((sum, ms) => sum + ms, 0) / 1000 + besides;
  const result = { run: folder, stage, method: "mpt", tasks: ["glue/rte"], scores: {}, seconds, ...more };
  writeFileSync(join(folder, "metrics.json"), JSON.stringify(result));
}

describe("The plan of a study", () => {
  test.each<[string, Study, { teachers: number; sources: number; runs: number; steps: number }]>([
    // 8 methods × 2 targets × 2 sizes × (3 rates + 2 seeds) runs of 200 steps, 3 sources and 3 teachers of 300.
    ["quick", quickStudy("q", "m", "cpu"), { teachers: 3, sources: 3, runs: 166, steps: 33_800 }],
    // 20 methods × 2 targets × 4 sizes × 5 runs, MPT* 4 × 5 of 400 steps, 6 sources, 3 teachers.
    ["full", fullStudy("f", "m", "cpu"), { teachers: 3, sources: 6, runs: 829, steps: 170_700 }],
    [
      "paper",
      paperStudy("p", "m", "auto"),
      {
        teachers: 6,
        sources: 1,
        // 3 seeds of: 10 methods on 21 targets and MPT* on 4 groups; at 3 sizes 10 on 3 targets and MPT* on 2 groups.
        runs: 7 + 3 * (214 + 3 * 32),
        // The same 40,000 (1,000) steps a task for 11 methods on 21 (3 × 3) targets.
        steps: 6 * 40_000 + 200_000 + 3 * 11 * (21 * 40_000 + 9 * 1000),
      },
    ],
  ])("%s counts its teachers, sources, runs and steps", (_name, study, expected) => {
    const plan = studyPlan(study);
    const stages = (stage: string): number => plan.filter((line) => line.stage === stage).length;
    const { runs, steps, hours } = planCost(plan, null);
    expect({ teachers: stages("teacher"), sources: stages("source"), runs, steps }).toEqual(expected);
    expect(steps).toBe(studySteps(study));
    expect(hours).toBeNull();
  });

  test("has hours from a step time, source steps at their own, and from what runs need besides", () => {
    const times: StepTimes = { stepMs: 36, sourceStepMs: 72, runSeconds: 3.6, from: "here" };
    const hours = (32_900 * 36 + 900 * 72) / 3_600_000 + (166 * 3.6) / 3600;
    expect(planCost(studyPlan(quickStudy("q", "m", "cpu")), times).hours).toBeCloseTo(hours, 9);
  });

  test("measures steps in the logs of finished runs", () => {
    const folder = join(root, "measured");
    finishedRun(join(folder, "targets/a"), "target", [10, 20], 2);
    finishedRun(join(folder, "targets/b"), "single", [30, 40], 4);
    finishedRun(join(folder, "sources/mpt"), "source", [100, 200], 60);
    const times = measureStudy(folder)!;
    expect(times).toMatchObject({ stepMs: 25, sourceStepMs: 150 });
    expect(times.runSeconds).toBeCloseTo(3, 9);
    expect(measureStudy(join(root, "none"))).toBeNull();
  });
});

describe("bunsen sweep --plan", () => {
  test("prints steps and hours, and says what to give where no step was measured", async () => {
    const unknown = await bunsen("sweep", "full", "--plan", "--measured", join(root, "none"));
    expect(unknown.status).toBe(2);
    expect(unknown.err).toContain("--measured: expected a folder with finished runs");
    const given = await bunsen("sweep", "full", "--plan", "--step-ms", "100", "--run-seconds", "10");
    expect(given.status).toBe(0);
    expect(given.out).toContain("170,700 steps in all, 829 runs");
    // 168,900 steps of 100 ms, 1,800 source steps of 150 ms, 829 runs of 10 s more.
    expect(given.out).toContain("about 7.1 hours at 100.0 ms a step (source stage 150.0) and 10.0 s a run besides");
    expect((await bunsen("sweep", "full", "--plan", "--step-ms", "soon")).err).toContain("expected a number above 0");
  });

  test("full with a model is the paper's study, with the provenance of its open values", async () => {
    const { status, out } = await bunsen(
      "sweep",
      "full",
      "--model",
      "google-t5/t5-base",
      "--plan",
      "--set",
      "targetSteps=5",
    );
    expect(status).toBe(0);
    expect(out).toContain("temperature 1: T is not stated readably");
    expect(out).toContain("MPT* on superglue/multirc, superglue/boolq");
    expect(out).toContain("hours: unknown here");
  });

  test("tells every mistake of the settings at once", async () => {
    const { status, err } = await bunsen("sweep", "quick", "--plan", "--set", "seeds=1", "--set", "stepz=3");
    expect(status).toBe(1);
    expect(err).toContain("2 problems");
  });
});

describe("Published scores beside ours", () => {
  const summary = (method: string, task: string, shots: number | null, mean: number): Summary => ({
    method,
    task,
    shots,
    metric: "accuracy",
    mean,
    deviation: 0.5,
    values: [mean],
    seeds: [1],
    learningRateScale: 1,
    validationMean: mean,
    trainableParameters: 77_668,
    seconds: 1,
    steps: 1,
  });

  test("stand below our rows in the columns of the same task and shots, with their source", () => {
    const table = publishedBeside([summary("MPT", "glue/rte", null, 70), summary("MPT", "scitail", 16, 80)]);
    expect(table.columns).toEqual(["method", "parameters", "glue/rte (accuracy)", "scitail k=16 (accuracy)", "source"]);
    expect(table.rows[0]).toEqual(["MPT", "77,668", "70.0 ± 0.5", "80.0 ± 0.5", "run here"]);
    expect(table.rows).toContainEqual(["MPT", "77.6K", "79.4", null, "ULPT, Table 1"]);
    expect(table.rows).toContainEqual([
      "MPT",
      "77.6K",
      null,
      "87.3",
      "MPT paper, few-shot table; recalled, unverified",
    ]);
  });

  test("are none for generated stand-ins, which are other data", () => {
    expect(publishedBeside([summary("MPT", "mini/rte", null, 70)]).rows).toHaveLength(1);
  });

  test("are printed by bunsen table --published, below a study's runs by label", async () => {
    const more = {
      options: {},
      model: "m",
      seed: 1,
      shots: null,
      learningRateScale: 1,
      steps: 1,
      bestStep: 1,
      trainableParameters: 77_668,
      engine: "cpu",
      scores: { validation: { "glue/rte": { accuracy: 60 } }, test: { "glue/rte": { accuracy: 61 } } },
      reported: { "glue/rte": "accuracy" },
      needs: [],
    };
    for (const label of ["MPT", "MPT-without-distillation"])
      finishedRun(join(root, "table/targets/full/glue-rte", label, "rate-1-seed-1"), "target", [10], 1, more);
    const { status, out } = await bunsen("table", join(root, "table"), "--published");
    expect(status).toBe(0);
    expect(out).toMatch(/^MPT +77,668 +61\.0 ± 0\.0 +run here$/m);
    expect(out).toMatch(/^MPT-without-distillation +77,668 +61\.0 ± 0\.0 +run here$/m);
    expect(out).toMatch(/MPT +77\.6K +79\.4 +ULPT, Table 1/);
    expect(out).toContain("recalled, unverified");
  });
});
