// Plots as plain Vega-Lite specifications: a notebook draws them, the command line writes them to a file. Nothing is
// drawn here. The data is in the specification, so that a saved notebook needs nothing else.
import type { LogRow } from "#toolkit/training/run-log.ts";

/** A Vega-Lite specification; `$schema` says the version. */
export interface Figure {
  readonly $schema: string;
  readonly data: { readonly values: readonly Readonly<Record<string, unknown>>[] };
  readonly [key: string]: unknown;
}

/** The version that stock JupyterLab 4.6 draws. */
const schema = "https://vega.github.io/schema/vega-lite/v5.json";

export interface FigureOptions {
  readonly title?: string;
  readonly width?: number;
  readonly height?: number;
}

const rounded = (value: number): number => Number(value.toPrecision(6));

export interface LossPoint {
  readonly stage: string;
  readonly step: number;
  readonly loss: number;
}

/** At most `count` points of each stage, each the mean of its neighbours: a long run stays a small plot. */
export function thinned(points: readonly LossPoint[], count = 200): LossPoint[] {
  const stages = new Map<string, LossPoint[]>();
  for (const point of points) {
    const of = stages.get(point.stage);
    if (of === undefined) stages.set(point.stage, [point]);
    else of.push(point);
  }
  return [...stages.values()].flatMap((of) => {
    const bucket = Math.ceil(of.length / count);
    return Array.from({ length: Math.ceil(of.length / bucket) }, (_, index) => {
      const part = of.slice(index * bucket, (index + 1) * bucket);
      return {
        stage: part[0]!.stage,
        step: part.at(-1)!.step,
        loss: part.reduce((sum, point) => sum + point.loss, 0) / part.length,
      };
    });
  });
}

/** Training loss by step, a line a stage. */
export function lossFigure(points: readonly LossPoint[], options: FigureOptions = {}): Figure {
  const values = thinned(points)
    .filter((point) => Number.isFinite(point.loss))
    .map((point) => ({ stage: point.stage, step: point.step, loss: rounded(point.loss) }));
  return {
    $schema: schema,
    ...(options.title === undefined ? {} : { title: options.title }),
    width: options.width ?? 480,
    height: options.height ?? 220,
    data: { values },
    mark: { type: "line", interpolate: "monotone", strokeWidth: 1.5 },
    encoding: {
      x: { field: "step", type: "quantitative", title: "step" },
      y: { field: "loss", type: "quantitative", title: "training loss", scale: { zero: false } },
      color: { field: "stage", type: "nominal", title: null, sort: null },
    },
  };
}

/** The loss of a run log's rows. */
export function lossPoints(rows: readonly LogRow[], name = "loss"): LossPoint[] {
  return rows
    .filter((row) => row.kind === "step" && row.name === name)
    .map((row) => ({ stage: row.stage, step: row.step, loss: row.value }));
}

export interface ScorePoint {
  readonly method: string;
  readonly task: string;
  readonly metric: string;
  readonly mean: number;
  readonly deviation: number;
  /** Single values behind the mean, drawn as small points. */
  readonly values?: readonly number[];
}

/** Mean score of each method and task with ± one standard deviation over seeds, the single runs beside it. */
export function scoreFigure(points: readonly ScorePoint[], options: FigureOptions = {}): Figure {
  const values = points.map((point) => ({
    method: point.method,
    task: `${point.task} (${point.metric})`,
    mean: rounded(point.mean),
    low: rounded(point.mean - point.deviation),
    high: rounded(point.mean + point.deviation),
  }));
  const single = points.flatMap((point) =>
    (point.values ?? []).map((value) => ({
      method: point.method,
      task: `${point.task} (${point.metric})`,
      value: rounded(value),
    })),
  );
  const y = { field: "method", type: "nominal", title: null, sort: null } as const;
  const x = { type: "quantitative", title: "score, ± one standard deviation over seeds", scale: { zero: false } };
  return {
    $schema: schema,
    ...(options.title === undefined ? {} : { title: options.title }),
    // One table for all layers: a layer with data of its own would be drawn whole in every facet.
    data: { values: [...values, ...single] },
    facet: {
      row: { field: "task", type: "nominal", title: null, sort: null, header: { labelAngle: 0, labelAlign: "left" } },
    },
    spec: {
      width: options.width ?? 420,
      height: { step: options.height ?? 26 },
      layer: [
        {
          transform: [{ filter: "isValid(datum.value)" }],
          mark: { type: "tick", opacity: 0.5, thickness: 1.5, size: 12 },
          encoding: {
            x: { ...x, field: "value" },
            y,
            color: { field: "method", type: "nominal", legend: null, sort: null },
          },
        },
        {
          transform: [{ filter: "isValid(datum.mean)" }],
          mark: { type: "rule", strokeWidth: 1.5 },
          encoding: { x: { ...x, field: "low" }, x2: { field: "high" }, y },
        },
        {
          transform: [{ filter: "isValid(datum.mean)" }],
          mark: { type: "point", filled: true, size: 70, opacity: 1 },
          encoding: {
            x: { ...x, field: "mean" },
            y,
            color: { field: "method", type: "nominal", legend: null, sort: null },
          },
        },
      ],
    },
    resolve: { scale: { x: "independent" } },
  };
}
