// Published scores beside one's own in one table: the columns are the tasks that were run here, and only published rows
// with a score on one of them are shown. A difference between the two is no verdict: backbone, splits, steps differ.
import { type ResultTable, resultTable, type Summary } from "#toolkit/report/index.ts";
import { type PublishedTask, published } from "./published.ts";

interface Line {
  readonly method: string;
  readonly parameters: string;
  readonly cells: ReadonlyMap<string, string>;
  readonly source: string;
}

const columnKey = (task: string, shots: number | null): string => JSON.stringify([task, shots]);

/** What is said of a published row's source. */
const sourceText = (source: string, evidence: "verified" | "recalled", note: string | undefined): string =>
  `${source}${evidence === "recalled" ? "; recalled, unverified" : ""}${note === undefined ? "" : `; ${note}`}`;

/**
 * Our rows, then the published ones of the same tasks and shots. `mini/…` stand-ins have no published score: they are
 * other data.
 */
export function publishedBeside(summaries: readonly Summary[]): ResultTable {
  const columns = [...new Set(summaries.map(({ task, shots }) => columnKey(task, shots)))];
  const lines = new Map<string, Line & { readonly cells: Map<string, string> }>();
  const put = (line: Omit<Line, "cells">, column: string, cell: string): void => {
    const key = JSON.stringify(line);
    const found = lines.get(key) ?? { ...line, cells: new Map<string, string>() };
    found.cells.set(column, cell);
    lines.set(key, found);
  };
  for (const { method, task, shots, trainableParameters, mean, deviation } of summaries) {
    const parameters = trainableParameters.toLocaleString("en", { maximumFractionDigits: 0 });
    put(
      { method, parameters, source: "run here" },
      columnKey(task, shots),
      `${mean.toFixed(1)} ± ${deviation.toFixed(1)}`,
    );
  }
  for (const row of published) {
    for (const [task, score] of Object.entries(row.scores) as [PublishedTask, number][]) {
      const column = columnKey(task, row.shots);
      if (!columns.includes(column)) continue;
      const source = sourceText(row.source, row.evidence, row.note);
      put({ method: row.method, parameters: row.parameters, source }, column, score.toFixed(1));
    }
  }
  return resultTable(
    [...lines.values()],
    [
      { title: "method", value: (line) => line.method },
      { title: "parameters", align: "right", value: (line) => line.parameters },
      ...columns.map((column) => {
        const [task, shots] = JSON.parse(column) as [string, number | null];
        const metric = summaries.find((summary) => summary.task === task)!.metric;
        return {
          title: `${task}${shots === null ? "" : ` k=${shots}`} (${metric})`,
          align: "right" as const,
          value: (line: Line) => line.cells.get(column) ?? null,
        };
      }),
      { title: "source", value: (line) => line.source },
    ],
    "Ours beside published scores of T5-base; few-shot and full training splits are columns of their own",
  );
}
