// Tables, plots and words are computed from the runs they are given, and choose the learning rate on validation alone.

import { compile } from "vega-lite";
import { describe, expect, test } from "vitest";
import {
  compareMethods,
  finish,
  lossFigure,
  mixedSeeds,
  resultTable,
  summarise,
  summaryFigure,
  summaryTable,
  watch,
} from "#toolkit/report/index.ts";
import { displaySymbol } from "#toolkit/report/table.ts";
import type { TrainEvent } from "#toolkit/training/contract.ts";
import type { RunResult } from "#toolkit/training/result.ts";

const result = (method: string, seed: number, rate: number, validation: number, test: number): RunResult => ({
  run: `runs/${method}/${rate}/${seed}`,
  stage: "single",
  method,
  options: {},
  model: "m",
  tasks: ["glue/rte"],
  seed,
  shots: null,
  learningRateScale: rate,
  steps: 10,
  bestStep: 10,
  seconds: 2,
  trainableParameters: 100,
  engine: "wasm",
  scores: { validation: { "glue/rte": { accuracy: validation } }, test: { "glue/rte": { accuracy: test } } },
  reported: { "glue/rte": "accuracy" },
  needs: [],
});
const label = (results: readonly RunResult[]) => results.map((of) => ({ label: of.method, result: of }));
const runs = label([
  result("a", 1, 0.5, 60, 99),
  result("a", 1, 1, 70, 50),
  result("a", 2, 1, 72, 54),
  result("b", 1, 1, 65, 40),
  result("b", 2, 1, 65, 41),
]);

describe("A summary of runs", () => {
  test("keeps the rate that is best on validation, whatever its test score", () => {
    const [a] = summarise(runs);
    expect(a).toMatchObject({ learningRateScale: 1, mean: 52, validationMean: 70, seeds: [1, 2] });
    expect(a!.deviation).toBeCloseTo(Math.SQRT2 * 2, 10);
  });

  test("compares rates on the seeds that all of them have", () => {
    const lucky = label([result("a", 1, 0.5, 60, 1), result("a", 1, 1, 70, 2), result("a", 2, 1, 30, 3)]);
    // Over both seeds rate 1 has only 50 on validation; on the seed that both rates share it is ahead.
    expect(summarise(lucky)[0]).toMatchObject({ learningRateScale: 1, seeds: [1, 2] });
  });

  test("keeps runs of other options apart, named by what differs", () => {
    const of = (seed: number, length: number, rank: number, score: number) => ({
      ...result("mpt", seed, 1, 50, score),
      options: { numVirtualTokens: length, numRanks: rank, initText: null },
    });
    const summaries = summarise(label([of(1, 5, 1, 60), of(2, 5, 1, 62), of(1, 10, 2, 70)]));
    expect(summaries.map(({ method, mean, seeds }) => [method, mean, seeds])).toEqual([
      ["mpt (numVirtualTokens 5, numRanks 1)", 61, [1, 2]],
      ["mpt (numVirtualTokens 10, numRanks 2)", 70, [1]],
    ]);
    const text = summaryTable(summaries).toString();
    expect(text).toMatch(/61\.0 ± 1\.4/);
    // One seed has no deviation.
    expect(text).toMatch(/70\.0 (?!±)/);
    expect(mixedSeeds(summaries)).toEqual([]);
  });

  test("says where several runs of one seed are counted", () => {
    const summaries = summarise(label([result("a", 1, 1, 60, 50), result("a", 1, 1, 60, 70)]));
    expect(mixedSeeds(summaries)).toEqual([expect.stringMatching(/^a on glue\/rte holds several runs of seed 1:/)]);
  });

  test("becomes a table with mean ± deviation, as text, HTML, Markdown and Arrow", () => {
    const table = summaryTable(summarise(runs), "Test <scores>");
    expect(table.toString()).toContain("52.0 ± 2.8");
    expect(table.toHtml()).toContain("Test &lt;scores&gt;");
    expect(table.toMarkdown().split("\n")[1]).toMatch(/^\|---\|---:/);
    expect(table.toArrow().numRows).toBe(2);
    const bundle = table[displaySymbol]();
    expect(Object.keys(bundle).sort()).toEqual(["text/html", "text/plain"]);
  });

  test("becomes a plot that Vega-Lite compiles without a warning", () => {
    const warnings: unknown[] = [];
    const logger = {
      level: () => logger,
      error: (m: unknown) => warnings.push(m),
      warn: (m: unknown) => warnings.push(m),
      info: () => logger,
      debug: () => logger,
    };
    for (const figure of [
      summaryFigure(summarise(runs)),
      lossFigure([
        { stage: "single", step: 1, loss: 2 },
        { stage: "single", step: 2, loss: Number.NaN },
      ]),
    ]) {
      compile(figure as never, { logger: logger as never });
      expect(figure.$schema).toMatch(/vega-lite\/v5\.json$/);
    }
    expect(warnings).toEqual([]);
  });

  test("draws every single run in the facet of its own task", () => {
    const figure = summaryFigure(summarise(runs));
    const { layer } = figure.spec as { layer: readonly Record<string, unknown>[] };
    for (const one of layer) expect(one).not.toHaveProperty("data");
    expect(figure.data.values.filter((row) => "value" in row)).toHaveLength(4);
  });

  test("a long run stays a small plot", () => {
    const points = Array.from({ length: 10_000 }, (_, step) => ({ stage: "single", step, loss: step }));
    const { values } = lossFigure(points).data;
    expect(values.length).toBeLessThanOrEqual(200);
    expect(values.at(-1)).toMatchObject({ step: 9999 });
  });

  test("says in words what the numbers say, both ways round", () => {
    const summaries = summarise(runs);
    expect(compareMethods(summaries, "a", "b")).toMatch(
      /difference of \+11\.5, more than the spread[\s\S]*a is ahead on 1 of 1 tasks/,
    );
    expect(compareMethods(summaries, "b", "a")).toMatch(/difference of −11\.5, more than[\s\S]*b is behind on 1 of 1/);
    const noisy = summarise(
      label([result("a", 1, 1, 1, 10), result("a", 2, 1, 1, 90), result("b", 1, 1, 1, 40), result("b", 2, 1, 1, 45)]),
    );
    expect(compareMethods(noisy, "a", "b")).toContain("cannot be told apart");
    expect(compareMethods(noisy, "a", "c")).toContain("nothing can be said");
    const alone = summarise(label([result("a", 1, 1, 1, 90), result("b", 1, 1, 1, 10)]));
    expect(compareMethods(alone, "a", "b")).toMatch(/no spread to hold it against[\s\S]*cannot be told apart/);
  });
});

describe("A result table", () => {
  test("writes missing cells as a dash and escapes what it shows", () => {
    const table = resultTable(
      [{ name: "<b>", score: null }],
      [
        { title: "name", value: (row) => row.name },
        { title: "score", digits: 1, value: (row) => row.score },
      ],
    );
    expect(table.toHtml()).toContain("&lt;b&gt;");
    expect(table.toString()).toContain("–");
  });
});

describe("A watched run", () => {
  const step = (number: number): TrainEvent => ({
    type: "step",
    stage: "single",
    step: number,
    totalSteps: 3,
    loss: 3 - number,
    parts: {},
    learningRates: {},
    stepMs: 1,
    waitMs: 0,
  });
  async function* events(fail: boolean): AsyncGenerator<TrainEvent> {
    for (let number = 1; number <= 3; number++) yield step(number);
    if (fail) throw new Error("disk full");
    yield { type: "done", run: "r", steps: 3, seconds: 1, metrics: {} };
  }

  test("is drawn once and then updated in place under one id", async () => {
    const shown: { id: string; update: boolean; points: number }[] = [];
    const done = await finish(
      watch(events(false), {
        every: 0,
        show: (figure, { displayId, update }) => {
          shown.push({ id: displayId, update, points: (figure as { data: { values: unknown[] } }).data.values.length });
        },
      }),
    );
    expect(done.steps).toBe(3);
    expect(new Set(shown.map((one) => one.id)).size).toBe(1);
    expect(shown.map((one) => one.update)).toEqual([false, ...Array(shown.length - 1).fill(true)]);
    expect(shown.at(-1)!.points).toBe(3);
  });

  test("is drawn a last time also when it fails", async () => {
    let drawn = 0;
    await expect(finish(watch(events(true), { every: 1e9, show: () => drawn++ }))).rejects.toThrow("disk full");
    expect(drawn).toBeGreaterThan(0);
  });
});
