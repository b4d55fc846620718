// `--set key=value` on a study, and the check of a whole study: every problem of it and of all its runs at once,
// before the first run starts; `checkStudy` adds what the files of a given backbone tell (does a rank fit?).
import {
  applySettings,
  backboneProblems,
  ConfigError,
  didYouMean,
  type RunConfigInput,
  resolveRun,
} from "#toolkit/training/index.ts";
import { type Study, sourceRuns, targetGrids } from "./study.ts";

interface Rule {
  readonly expected: string;
  readonly accepts: (value: unknown, study: Study) => boolean;
}

const isInteger = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 1;
const listOf = (value: unknown, accepts: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(accepts) && new Set(value).size === value.length;
const integer: Rule = { expected: "an integer of at least 1", accepts: isInteger };
const names: Rule = {
  expected: "a list of different dataset names",
  accepts: (value) => listOf(value, (item) => typeof item === "string"),
};

/** What may be set of a study itself; fields of every run are below `common`, checked as a run's own. */
const rules: Readonly<Record<string, Rule>> = {
  sourceTasks: names,
  targets: names,
  methods: {
    expected: "a list of the study's method labels",
    accepts: (value, study) => listOf(value, (item) => study.methods.some(({ label }) => label === item)),
  },
  shots: {
    expected: "a list of integers of at least 1, null for full",
    accepts: (value) => listOf(value, (item) => item === null || isInteger(item)),
  },
  seeds: {
    expected: "a list of different integers of at least 0",
    accepts: (value) => listOf(value, (item) => Number.isInteger(item) && (item as number) >= 0),
  },
  rates: {
    expected: "a list of different numbers above 0",
    accepts: (value) => listOf(value, (item) => typeof item === "number" && item > 0),
  },
  numVirtualTokens: integer,
  sourceSteps: integer,
  teacherSteps: integer,
  targetSteps: integer,
  fewShotSteps: integer,
};

/** Objects whose fields are those of runs. What the study itself decides may not be set there. */
const nested: Readonly<Record<string, readonly string[]>> = {
  common: [
    "run",
    "model",
    "tasks",
    "method",
    "options",
    "steps",
    "stage",
    "from",
    "seed",
    "shots",
    "learningRateScale",
    "learningRates", // groups differ by method: a study varies multiples of them, `rates`
    "distillation",
    "sampling",
  ],
  distillation: ["teacherSteps", "teacherFolder"],
  sampling: [],
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Fields that a configuration of every run names, so that `--set batchSize=8` can be told to be `common.batchSize`. */
const runFields = (study: Study): string[] => Object.keys(resolveRun(sourceRuns(study)[0] ?? firstRun(study)));

const firstRun = (study: Study): unknown => ({
  ...targetGrids(study)[0]?.config,
  run: "x",
  seed: 1,
  learningRateScale: 1,
});

/**
 * A study with settings of the command line applied, checked with all of its runs.
 * @throws ConfigError with every problem, each with what was expected, what came and the allowed values
 */
export function applyStudySettings(study: Study, settings: readonly string[]): Study {
  const problems: string[] = [];
  const keys = [...Object.keys(rules), ...Object.keys(nested)];
  const known = [...keys.filter((key) => !(key in nested)), ...Object.keys(nested).map((key) => `${key}.…`)].join(", ");
  const applied: string[] = [];
  for (const setting of settings) {
    const at = setting.indexOf("=");
    const [head = "", ...rest] = setting.slice(0, Math.max(at, 0)).split(".");
    if (at < 1) problems.push(`--set ${setting}: expected key=value, e.g. --set targetSteps=200`);
    else if (head in nested && rest.length > 0) {
      if (nested[head]!.includes(rest[0]!))
        problems.push(`${head}.${rest.join(".")}: is decided by the study; it may set ${known}`);
      else applied.push(setting);
    } else if (head in rules && rest.length === 0) applied.push(setting);
    else {
      const near = runFields(study).includes(head)
        ? ` (a field of every run is set as "common.${head}")`
        : didYouMean(head, keys);
      problems.push(`${setting.slice(0, at)}: a study has no such setting${near}; expected one of ${known}`);
    }
  }
  const { methods: _methods, sources: _sources, ...plain } = study;
  const before = structuredClone(plain) as unknown as Record<string, unknown>;
  const after = applySettings(before, applied);
  for (const key of new Set(applied.map((setting) => setting.slice(0, setting.search(/[.=]/))))) {
    const rule = rules[key];
    if (rule === undefined || rule.accepts(after[key], study)) continue;
    const allowed = key === "methods" ? `: ${study.methods.map(({ label }) => label).join(", ")}` : "";
    problems.push(`${key}: expected ${rule.expected}${allowed}, got ${JSON.stringify(after[key])}`);
    // The rest is checked with the study's own value.
    if (key === "methods") delete after[key];
    else after[key] = before[key];
  }
  const labels = after.methods as string[] | undefined;
  const methods = labels === undefined ? study.methods : study.methods.filter(({ label }) => labels.includes(label));
  const changed = { ...(after as unknown as Study), methods, sources: sourcesOf(study, methods, after.distillation) };
  const made = withTasks(study, changed);
  problems.push(...runProblems(made));
  if (problems.length > 0) throw new ConfigError([...new Set(problems)]);
  return made;
}

/**
 * The source runs that some method starts from. Teachers come with the first source run that has them, so one stays
 * where they are asked for. λ, where set, is that of the runs that distil; ablations without teachers stay as they are.
 */
function sourcesOf(study: Study, methods: Study["methods"], distillation: unknown): Study["sources"] {
  const from = new Set(methods.map((method) => method.from));
  const used = study.sources.filter(({ name }) => from.has(name));
  const distilled = study.sources.find((source) => source.distillation > 0);
  const all =
    from.has("teachers") && distilled !== undefined && !used.some((source) => source.distillation > 0)
      ? [distilled, ...used]
      : used;
  const weight = isRecord(distillation) ? distillation.weight : undefined;
  return weight === undefined
    ? all
    : all.map((source) => (source.distillation > 0 ? { ...source, distillation: weight as number } : source));
}

/** Fields that follow the tasks: groups and few-shot targets where targets were named, κ where sources were. */
function withTasks(before: Study, after: Study): Study {
  const { groups, fewShotTargets, sampling, ...rest } = after;
  const out: Study = { ...rest, ...(sampling === undefined ? {} : { sampling }) };
  const same = JSON.stringify(before.targets) === JSON.stringify(after.targets);
  const own = Object.values(groups ?? {}).flat();
  const others = same ? [] : after.targets.filter((task) => !own.includes(task));
  const slots = (sampling as { slots?: { max?: unknown } } | undefined)?.slots;
  const cut =
    isRecord(slots) && typeof slots.max === "number" && after.sourceTasks.length !== before.sourceTasks.length
      ? {
          sampling: {
            ...sampling,
            slots: {
              ...slots,
              max: Math.min(slots.max, after.sourceTasks.length),
              min: Math.min(2, after.sourceTasks.length),
            },
          },
        }
      : {};
  return {
    ...out,
    ...cut,
    // Targets of no group of the paper make one of their own.
    ...(groups === undefined ? {} : { groups: others.length === 0 ? groups : { ...groups, own: others } }),
    ...(fewShotTargets === undefined || !same ? {} : { fewShotTargets }),
  };
}

/** One configuration of each kind of run in a study. */
function runsOf(study: Study): (RunConfigInput | unknown)[] {
  return [
    ...sourceRuns(study),
    ...targetGrids(study).map((grid) => ({ ...grid.config, run: "x", seed: 1, learningRateScale: 1 })),
  ];
}

/**
 * Holds all runs of a study to its backbone, which is there already, before the first of them starts.
 * @throws ConfigError with every problem
 */
export async function checkStudy(study: Study): Promise<void> {
  const problems = await backboneProblems(runsOf(study));
  if (problems.length > 0) throw new ConfigError(problems);
}

/** Problems of every run of a study, each once. */
function runProblems(study: Study): string[] {
  const problems = new Set<string>();
  for (const run of runsOf(study)) {
    try {
      resolveRun(run);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const problem of error.problems) problems.add(problem);
    }
  }
  return [...problems];
}
