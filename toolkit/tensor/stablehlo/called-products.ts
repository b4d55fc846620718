// Matrix products as calls of a library that takes operands of any strides: which of a graph's products can be called so,
// and their descriptions. A transpose before or after such a product is not computed, it becomes a stride. Writes no
// text (builder.ts does) and knows no library (runtimes/onednn).

import { type Element, range, sizeOf, type Value } from "./builder.ts";
import type { Fused } from "./fused-products.ts";
import type { Product } from "./merged-products.ts";

/** A value as another one's numbers: `strides` are in elements of `base`, which lies in row-major order. */
export interface View {
  readonly base: Value;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** One product to be called: its operands' bases, and what the call is told. */
export interface Call {
  readonly left: Value;
  readonly right: Value;
  /** What is added to the product. */
  readonly added: readonly Value[];
  readonly description: string;
  /** Multiply–add operations, times two. */
  readonly flops: number;
}

/** Of one operand, in the library and in products.c. */
const mostDimensions = 12;

const rowMajor = (shape: readonly number[]): number[] => shape.map((_, index) => sizeOf(shape.slice(index + 1)));

export const plainView = (base: Value): View => ({ base, shape: base.shape, strides: rowMajor(base.shape) });

export const turnedView = ({ base, shape, strides }: View, permutation: readonly number[]): View => ({
  base,
  shape: permutation.map((index) => shape[index]!),
  strides: permutation.map((index) => strides[index]!),
});

/** The view in another shape, where no number needs to move for it. */
export function reshapedView(view: View, shape: readonly number[]): View | undefined {
  // Both shapes are cut into runs of equal size; each run of the old one must be one stretch of memory.
  const strides: number[] = [];
  const old = range(view.shape.length).filter((index) => view.shape[index] !== 1);
  let at = 0;
  for (let next = 0; next < shape.length; ) {
    if (shape[next] === 1) {
      strides.push(1);
      next++;
      continue;
    }
    const run: number[] = [];
    let [have, want, end] = [1, 1, next];
    do {
      if (have <= want && at < old.length) {
        run.push(old[at]!);
        have *= view.shape[old[at++]!]!;
      } else if (end < shape.length) want *= shape[end++]!;
      else return undefined;
    } while (have !== want);
    const stride = mergedStride(view, run);
    if (stride === undefined) return undefined;
    strides.push(...rowMajor(shape.slice(next, end)).map((each) => each * stride));
    next = end;
  }
  return { base: view.base, shape, strides };
}

/** The stride of several dimensions taken as one; nothing where they are not one stretch. */
function mergedStride({ shape, strides }: View, dimensions: readonly number[]): number | undefined {
  const long = dimensions.filter((index) => shape[index] !== 1);
  const isStretch = long.slice(1).every((index, place) => strides[long[place]!] === strides[index]! * shape[index]!);
  if (!isStretch) return undefined;
  return long.length === 0 ? 1 : strides[long.at(-1)!]!;
}

/**
 * The call that computes a product into `out`, a view whose base is the result and whose dimensions are the product's
 * own: batch, then free ones of the left operand, then of the right; `fused` is done to its numbers first. Undefined where
 * the strides are not ones that the library is fast with.
 */
export function callOf(product: Product, left: View, right: View, out: View, fused?: Fused): Call | undefined {
  const [batchLeft, batchRight] = product.batch;
  const [contractLeft, contractRight] = product.contract;
  const rest = (view: View, ...taken: (readonly number[])[]): number[] =>
    range(view.shape.length).filter((index) => !taken.some((dimensions) => dimensions.includes(index)));
  const [freeLeft, freeRight] = [rest(left, batchLeft, contractLeft), rest(right, batchRight, contractRight)];
  const size = (view: View, dimensions: readonly number[]): number => sizeOf(dimensions.map((at) => view.shape[at]!));
  const [rows, columns, inner] = [size(left, freeLeft), size(right, freeRight), size(left, contractLeft)];
  const batch = batchLeft.map((index) => left.shape[index]!);
  if (sizeOf([...batch, rows, columns, inner]) === 0 || batch.length + 2 > mostDimensions) return undefined;
  const outRows = range(freeLeft.length, batch.length);
  const outColumns = range(freeRight.length, batch.length + freeLeft.length);
  // [operand's two dimensions' strides], each with the stretch of a size, so that lone dimensions get one that is in order.
  const by = (view: View, batches: readonly number[], first: readonly number[], second: readonly number[]) => {
    const pair = [mergedStride(view, first), mergedStride(view, second)] as const;
    if (pair[0] === undefined || pair[1] === undefined) return undefined;
    const sizes = [size(view, first), size(view, second)] as const;
    const [a, b] = ordered(pair as readonly [number, number], sizes);
    return a === 1 || b === 1 ? [...batches.map((index) => view.strides[index]!), a, b] : undefined;
  };
  const batchOut = range(batch.length);
  const a = by(left, batchLeft, freeLeft, contractLeft);
  const b = by(right, batchRight, contractRight, freeRight);
  const c = by(out, batchOut, outRows, outColumns);
  if (!a || !b || !c) return undefined;
  const bits = (element: Element): number => (element === "bf16" ? 16 : 32);
  const type = `${bits(product.left.element)} ${bits(out.base.element)}`;
  const rank = batch.length + 2;
  const flops = 2 * sizeOf([...batch, rows, inner, columns]);
  const added = (fused?.added ?? []).map((view) => addedStrides(view, batch.length, outRows, outColumns));
  if (added.includes(undefined)) return undefined;
  if (c.at(-1) === 1) {
    const more = [...added.flatMap((strides) => ["add", ...strides!]), ...(fused ? ["softmax"] : [])];
    const description = [type, rank, ...batch, rows, inner, columns, ...a, ...b, ...c, ...more].join(" ");
    return {
      left: left.base,
      right: right.base,
      added: (fused?.added ?? []).map(({ base }) => base),
      description,
      flops,
    };
  }
  if (fused) return undefined;
  // A result whose rows are the fast ones is the product of the turned operands, the other way round.
  const turned = (strides: readonly number[]): number[] => [...strides.slice(0, -2), strides.at(-1)!, strides.at(-2)!];
  const description = [type, rank, ...batch, columns, inner, rows, ...turned(b), ...turned(a), ...turned(c)].join(" ");
  return { left: right.base, right: left.base, added: [], description, flops };
}

/** Strides of what is added to a product: of its batch, rows and columns, each one stretch or, with 0, the same all along. */
function addedStrides(
  view: View,
  batch: number,
  rows: readonly number[],
  columns: readonly number[],
): readonly number[] | undefined {
  const { shape, strides } = view;
  const isLone = (index: number): boolean => shape[index] === 1;
  const by = (dimensions: readonly number[]): number | undefined =>
    dimensions.every(isLone) ? 0 : mergedStride(view, dimensions);
  const [row, column] = [by(rows), by(columns)];
  if (row === undefined || column === undefined) return undefined;
  return [...range(batch).map((index) => (isLone(index) ? 0 : strides[index]!)), row, column];
}

/** Strides of a matrix; a dimension of one element takes the stride that makes the matrix a plain one. */
function ordered(
  [first, second]: readonly [number, number],
  [rows, columns]: readonly [number, number],
): readonly [number, number] {
  if (rows === 1 && columns === 1) return [1, 1];
  if (rows === 1) return second === 1 ? [columns, 1] : [1, second];
  if (columns === 1) return first === 1 ? [1, rows] : [first, 1];
  return [first, second];
}

/** How a value lies in a call's operands and result, as StableHLO writes it: row-major. */
export const layoutText = (shape: readonly number[]): string =>
  `dense<[${range(shape.length).reverse()}]> : tensor<${shape.length}xindex>`;
