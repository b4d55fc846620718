// Finished runs → one line per method and task over seeds → the result table and its plot. The learning rate of each
// method and task is chosen here, on validation alone: test scores of the rates that lost are never looked at.
import type { RunResult } from "#toolkit/training/result.ts";
import { type Figure, type FigureOptions, scoreFigure } from "./figures.ts";
import { type ResultTable, resultTable } from "./table.ts";

export interface Summary {
  /** How the runs are called in the table: the method, or the label given to them. */
  readonly method: string;
  readonly task: string;
  readonly shots: number | null;
  readonly metric: string;
  readonly mean: number;
  /** Sample standard deviation over seeds; 0 for one seed, where tables and words leave it out. */
  readonly deviation: number;
  readonly values: readonly number[];
  readonly seeds: readonly number[];
  /** The chosen multiple of the method's own learning rates. */
  readonly learningRateScale: number;
  readonly validationMean: number;
  readonly trainableParameters: number;
  /** Mean seconds of one target run, what it needed before left out. */
  readonly seconds: number;
  readonly steps: number;
}

export interface LabelledRun {
  readonly label: string;
  readonly result: RunResult;
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

export const deviation = (values: readonly number[]): number => {
  if (values.length < 2) return 0;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
};

const scoreOf = (result: RunResult, split: "validation" | "test", task: string): number | null =>
  result.scores[split]?.[task]?.[result.reported[task] ?? ""] ?? null;

const grouped = <T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> => {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const name = key(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
};

/** What a run was of, besides its seed and learning rate: runs of one label that differ in it are not one method's. */
const variantOf = ({ method, model, options }: RunResult): Record<string, unknown> => ({ method, model, ...options });

/**
 * Names for the variants of one label: `mpt`, or `mpt (numVirtualTokens 5, numRanks 2)` with all in which any two of them
 * differ.
 */
function namesOf(label: string, variants: readonly Record<string, unknown>[]): Map<string, string> {
  const keys = [...new Set(variants.flatMap((variant) => Object.keys(variant)))];
  const differs = keys.filter((key) => new Set(variants.map((variant) => JSON.stringify(variant[key]))).size > 1);
  return new Map(
    variants.map((variant) => {
      const told = differs.map((key) => {
        const value = variant[key];
        return `${key} ${typeof value === "string" ? value : (JSON.stringify(value) ?? "absent")}`;
      });
      return [JSON.stringify(variant), told.length === 0 ? label : `${label} (${told.join(", ")})`];
    }),
  );
}

/**
 * One line per label, task and number of shots; runs of one label with other options or another model are lines of their
 * own, named by what differs. Among learning rates the one with the best mean validation score is kept,
 * over the seeds that all rates were run with; ties go to the smaller rate.
 */
export function summarise(runs: readonly LabelledRun[], split: "validation" | "test" = "test"): Summary[] {
  const names = new Map(
    [...grouped(runs, (run) => run.label)].map(([label, of]) => [
      label,
      namesOf(
        label,
        of.map((run) => variantOf(run.result)),
      ),
    ]),
  );
  const named = runs.map(({ label, result }) => ({
    label: names.get(label)!.get(JSON.stringify(variantOf(result)))!,
    result,
  }));
  const entries = named.flatMap((run) => run.result.tasks.map((task) => ({ ...run, task })));
  const summaries: Summary[] = [];
  for (const group of grouped(entries, (entry) =>
    JSON.stringify([entry.label, entry.task, entry.result.shots]),
  ).values()) {
    const byRate = [...grouped(group, (entry) => entry.result.learningRateScale)];
    // Rates are compared on the seeds that all of them were run with: a grid runs the others with the best rate only.
    const shared = group
      .map((entry) => entry.result.seed)
      .filter((seed) => byRate.every(([, of]) => of.some((entry) => entry.result.seed === seed)));
    const rates = byRate
      .map(([rate, of]) => ({
        rate,
        of,
        validation: mean(
          of
            .filter((entry) => shared.length === 0 || shared.includes(entry.result.seed))
            .map((entry) => scoreOf(entry.result, "validation", entry.task) ?? Number.NEGATIVE_INFINITY),
        ),
      }))
      .sort((a, b) => b.validation - a.validation || a.rate - b.rate);
    const chosen = rates[0]!;
    const { result, task, label } = chosen.of[0]!;
    const values = chosen.of.map((entry) => scoreOf(entry.result, split, task)).filter((value) => value !== null);
    summaries.push({
      method: label,
      task,
      shots: result.shots,
      metric: result.reported[task] ?? "?",
      mean: mean(values),
      deviation: deviation(values),
      values,
      seeds: chosen.of.map((entry) => entry.result.seed),
      learningRateScale: chosen.rate,
      validationMean: chosen.validation,
      trainableParameters: result.trainableParameters,
      seconds: mean(chosen.of.map((entry) => entry.result.seconds)),
      steps: result.steps,
    });
  }
  return summaries;
}

/** `61.5 ± 7.2`; one value has no deviation. */
const spread = ({ mean, deviation, values }: Summary): string =>
  values.length > 1 ? `${mean.toFixed(1)} ± ${deviation.toFixed(1)}` : mean.toFixed(1);

/**
 * Seeds that a line counts more than once: runs that differ in something else than options, model, seed and learning
 * rate, such as steps or the run they start from, and that a mean over seeds should not mix. One sentence a line.
 */
export function mixedSeeds(summaries: readonly Summary[]): string[] {
  return summaries.flatMap(({ method, task, seeds }) => {
    const twice = [...new Set(seeds.filter((seed, index) => seeds.indexOf(seed) !== index))];
    return twice.length === 0
      ? []
      : [
          `${method} on ${task} holds several runs of seed ${twice.join(", ")}: they differ in more than the seed, and their mean is of no one setting. Name folders of one setting`,
        ];
  });
}

/** Method × task with mean ± deviation, parameters per task and time. */
export function summaryTable(summaries: readonly Summary[], caption = ""): ResultTable {
  const columns = [...new Set(summaries.map((summary) => JSON.stringify([summary.task, summary.shots])))];
  const rows = [...grouped(summaries, (summary) => summary.method)];
  return resultTable(
    rows,
    [
      { title: "method", value: ([method]) => method },
      { title: "parameters", value: ([, of]) => of[0]!.trainableParameters },
      ...columns.map((key) => {
        const [task, shots] = JSON.parse(key) as [string, number | null];
        const metric = summaries.find((summary) => summary.task === task)!.metric;
        return {
          title: `${task}${shots === null ? "" : ` k=${shots}`} (${metric})`,
          align: "right" as const,
          value: ([, of]: (typeof rows)[number]) => {
            const cell = of.find((summary) => summary.task === task && summary.shots === shots);
            return cell === undefined ? null : spread(cell);
          },
        };
      }),
      { title: "mean", digits: 1, value: ([, of]) => mean(of.map((summary) => summary.mean)) },
      { title: "s per run", digits: 1, value: ([, of]) => mean(of.map((summary) => summary.seconds)) },
    ],
    caption,
  );
}

/** The plot of the same numbers. */
export const summaryFigure = (summaries: readonly Summary[], options: FigureOptions = {}): Figure =>
  scoreFigure(
    summaries.map((summary) => ({
      ...summary,
      task: summary.shots === null ? summary.task : `${summary.task} k=${summary.shots}`,
    })),
    options,
  );

/**
 * In words what the numbers say of two methods: by how much the means differ on each task, and whether that is more
 * than the deviations of both together. Whatever the numbers are, this says them.
 */
export function compareMethods(summaries: readonly Summary[], first: string, second: string): string {
  const lines: string[] = [];
  let wins = 0;
  let losses = 0;
  const tasks = [...new Set(summaries.map((summary) => JSON.stringify([summary.task, summary.shots])))];
  const differences: number[] = [];
  for (const key of tasks) {
    const [task, shots] = JSON.parse(key) as [string, number | null];
    const pick = (method: string): Summary | undefined =>
      summaries.find((summary) => summary.method === method && summary.task === task && summary.shots === shots);
    const a = pick(first);
    const b = pick(second);
    if (a === undefined || b === undefined) continue;
    const difference = a.mean - b.mean;
    differences.push(difference);
    const noise = Math.hypot(a.deviation, b.deviation);
    // One seed has no spread to hold a difference against.
    const single = a.values.length < 2 || b.values.length < 2;
    const clear = !single && Math.abs(difference) > noise;
    if (clear && difference > 0) wins++;
    if (clear && difference < 0) losses++;
    const where = `${task}${shots === null ? "" : ` with ${shots} shots`}`;
    lines.push(
      `On ${where}, ${first} scores ${spread(a)} and ${second} ${spread(b)} (${a.metric}, ${a.values.length} ${a.values.length === 1 ? "seed" : "seeds"}): a difference of ${difference >= 0 ? "+" : "−"}${Math.abs(difference).toFixed(1)}, ${single ? "with one seed there is no spread to hold it against" : `${clear ? "more" : "not more"} than the spread over seeds (${noise.toFixed(1)})`}.`,
    );
  }
  if (differences.length === 0) return `No task was run with both ${first} and ${second}: nothing can be said.`;
  const verdict =
    wins > 0 && losses === 0
      ? `${first} is ahead on ${wins} of ${differences.length} tasks and behind on none.`
      : losses > 0 && wins === 0
        ? `${first} is behind on ${losses} of ${differences.length} tasks and ahead on none.`
        : wins === 0
          ? `The two cannot be told apart here: no difference exceeds the spread over seeds.`
          : `The picture is mixed: ${first} is ahead on ${wins} and behind on ${losses} of ${differences.length} tasks.`;
  return [...lines, verdict].join("\n");
}
