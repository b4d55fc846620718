// A configuration reports everything that is wrong with it, once.
import { describe, expect, test } from "vitest";
import { applySettings, ConfigError, configDifference, resolveConfig } from "#toolkit/training/config.ts";

const known = {
  methods: ["mpt", "prompt-tuning", "lora"],
  datasets: ["glue/rte", "glue/sst2"],
  isDataset: (name: string) => ["glue/rte", "glue/sst2"].includes(name),
};
const good = { run: "runs/a", model: "m", tasks: ["glue/rte"], method: "mpt", steps: 10 };

const problemsOf = (input: unknown): readonly string[] => {
  try {
    resolveConfig(input, known);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe("A run's configuration", () => {
  test("gets every default written out", () => {
    const config = resolveConfig(good, known);
    expect(config).toMatchObject({ stage: "single", batchSize: 16, optimizer: "adamw", shots: null, from: [] });
    expect(resolveConfig({ ...good, stage: "source" }, known)).toMatchObject({
      distillation: { weight: 0.9, teacherMethod: "prompt-tuning" },
      sampling: { kind: "proportional" },
    });
  });

  test("reports all problems at once, each with what is allowed", () => {
    const problems = problemsOf({
      run: "",
      model: "m",
      tasks: ["glue/rtee", "glue/rte", "glue/rte"],
      method: "mtp",
      steps: 0,
      bachSize: 3,
      schedule: "liner",
      sampling: {},
    });
    expect(problems).toHaveLength(8);
    const all = problems.join("\n");
    expect(all).toContain('bachSize: unknown field (did you mean "batchSize"?)');
    expect(all).toContain('method: unknown method "mtp" (did you mean "mpt"?)');
    expect(all).toContain(
      'tasks: unknown dataset "glue/rtee" (did you mean "glue/rte"?); expected one of glue/rte, glue/sst2',
    );
    expect(all).toContain('tasks: "glue/rte" is named twice');
    expect(all).toContain("steps: expected an integer of at least 1, got 0");
    expect(all).toContain('schedule: expected one of "linear", "cosine", "constant", got "liner"');
    expect(all).toContain('sampling: only for stage "source"');
    expect(all).toContain('run: expected a non-empty string, got ""');
  });

  test("a target stage names what it starts from", () => {
    expect(problemsOf({ ...good, stage: "target" }).join()).toContain("starts from a source run");
    expect(resolveConfig({ ...good, stage: "target", from: "runs/source" }, known).from).toEqual(["runs/source"]);
  });

  test("nested fields are checked too", () => {
    const problems = problemsOf({
      ...good,
      stage: "source",
      distillation: { temprature: 2 },
      sampling: { slots: { min: 3, max: 2 } },
    });
    expect(problems.join("\n")).toContain('distillation.temprature: unknown field (did you mean "temperature"?)');
    expect(problems.join("\n")).toContain("sampling.slots: expected null or {min, max}");
  });

  test("two configurations are compared leaf by leaf", () => {
    const a = resolveConfig(good, known);
    expect(configDifference(a, structuredClone(a))).toEqual([]);
    expect(configDifference(a, { ...a, steps: 20, options: { rank: 2 } })).toEqual([
      "options: {} → nothing",
      "steps: 10 → 20",
      "options.rank: nothing → 2",
    ]);
  });

  test("--set reaches nested keys and reads JSON", () => {
    expect(applySettings(good, ["steps=20", "options.rank=2", "schedule=cosine", 'tasks=["glue/sst2"]'])).toMatchObject(
      {
        steps: 20,
        options: { rank: 2 },
        schedule: "cosine",
        tasks: ["glue/sst2"],
      },
    );
    expect(() => applySettings(good, ["steps"])).toThrow(/expected key=value/);
  });
});
