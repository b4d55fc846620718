// k-shot subsets: which rows of a split. k examples in all, spread as evenly as possible over the classes (DePT's rule:
// k / number of classes of each); where a dataset has no classes, any k rows.
import { randperm } from "#datasets/index.ts";
import type { DatasetTable } from "./dataset-table.ts";
import { DataError } from "./errors.ts";

/**
 * Row numbers, in the order drawn; the same for the same table, k and seed.
 * @throws DataError where the split has fewer rows.
 */
export function shotRows(table: DatasetTable, shots: number, seed: number): Uint32Array {
  if (shots > table.numRows)
    throw new DataError(
      `${table.dataset.name} ${table.split} has ${table.numRows} rows; ${shots} shots cannot be drawn.`,
    );
  const order = randperm(table.numRows, seed);
  const { labels } = table.dataset;
  if (!labels) return order.slice(0, shots);
  const byClass = new Map<string, number[]>();
  for (const row of order) {
    const target = table.renderRow(row)[0]?.target ?? "";
    const rows = byClass.get(target);
    if (rows) rows.push(row);
    else byClass.set(target, [row]);
  }
  // One of each class in turn; a class that is used up is passed over. Classes in a fixed order, not in that of rows.
  const queues = [...byClass.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rows]) => rows);
  const picked: number[] = [];
  for (let turn = 0; picked.length < shots; turn++)
    for (const queue of queues) if (turn < queue.length && picked.length < shots) picked.push(queue[turn]!);
  return Uint32Array.from(picked);
}
