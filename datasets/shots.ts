// Few-shot subsets as arithmetic: which rows of the training split are the k examples of one seeded draw. The split
// itself comes from splits.ts and is the same for every seed; the draw is another one for each.
import { DataError } from "./errors.ts";
import { randperm } from "./randperm.ts";

/**
 * `overall`: k rows of the training split, as MPT and ATTEMPT count them (k = 4, 16, 32 examples in all).
 * `per-class`: the same k shared out among the classes, as DePT draws them (k / number of classes of each), so that no
 * class is missing; what does not divide goes to the first classes, so that the subset has k rows all the same.
 */
export type ShotMode = "overall" | "per-class";

export interface ShotOptions {
  readonly shots: number;
  readonly seed: number;
  /** Rows of the training split. */
  readonly rows: number;
  /** `overall` unless given. */
  readonly mode?: ShotMode;
  /** Needed by `per-class`: the class of each row of the training split, [rows]. */
  readonly classes?: ArrayLike<string | number>;
}

/**
 * Positions in the training split, [shots], in the order of the draw: the first rows (of each class) of
 * `randperm(rows, seed)`, so that 4 shots are among the 16 of the same seed (in `overall`; of each class in `per-class`).
 * @throws DataError where the split has fewer rows (of a class) than asked for.
 */
export function shotRows(options: ShotOptions): Uint32Array {
  const { shots, seed, rows, mode = "overall", classes } = options;
  if (!Number.isInteger(shots) || shots < 1)
    throw new DataError(`shots should be a whole number of at least 1, got ${shots}`);
  if (shots > rows) throw new DataError(`${shots} shots were asked for, but the training split has ${rows} rows`);
  const order = randperm(rows, seed);
  if (mode === "overall") return order.slice(0, shots);
  if (classes === undefined || classes.length !== rows) {
    throw new DataError(
      `per-class shots need the class of each of the ${rows} rows; got ${classes === undefined ? "none" : classes.length}. ` +
        'Use mode "overall" for tasks without classes.',
    );
  }
  const names = [...new Set(Array.from(classes))].sort((a, b) => (a < b ? -1 : 1));
  const wanted = new Map(
    names.map((name, i) => [name, Math.floor(shots / names.length) + (i < shots % names.length ? 1 : 0)]),
  );
  const missing = new Map(wanted);
  const chosen = Array.from(order).filter((row) => {
    const left = missing.get(classes[row]!)!;
    missing.set(classes[row]!, left - 1);
    return left > 0;
  });
  for (const [name, left] of missing) {
    if (left > 0) {
      throw new DataError(
        `${shots} shots are ${wanted.get(name)} of class "${name}", but the training split has ${wanted.get(name)! - left}`,
      );
    }
  }
  return Uint32Array.from(chosen);
}
