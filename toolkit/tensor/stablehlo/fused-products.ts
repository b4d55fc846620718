// What is done to a product's numbers before they are written, where the library that computes it can: finds the sums and
// the softmax of rows that follow one in a graph. Decides only; the builder (builder.ts) writes the calls,
// called-products.ts their descriptions. Not a ReLU: oneDNN's makes a 0 of NaN, or leaves something of numbers below 0.
import { sameShape, type Value } from "./builder.ts";
import type { View } from "./called-products.ts";

/** Operations on a product's numbers before a softmax of its rows: what is added, as views of the product's shape. */
export interface Fused {
  readonly added: readonly View[];
}

/** A product that is to be called with them. */
export interface FusedProduct extends Fused {
  /** Name of the product that they are applied to. */
  readonly product: string;
  /** What the call gives instead of the product. */
  readonly value: Value;
}

/** A softmax over the last dimension, as `Builder.rowExponentials` wrote it. */
export interface Softmax {
  readonly scores: Value;
  /** The rounded result. */
  readonly narrow: Value;
  /** Names of what it was written with. */
  readonly steps: readonly string[];
}

export interface FusedGraph {
  operation(name: string): { readonly text: string; readonly operands: readonly Value[] } | undefined;
  /** Names of operations that read a value. */
  readers(name: string): readonly string[];
  isResult(name: string): boolean;
  /** A product by its name, none where the name is another value's. */
  product(name: string): { readonly shape: readonly number[] } | undefined;
  view(value: Value): View;
}

/** How much a call may add, in the library. */
const mostAdded = 2;

const is = (graph: FusedGraph, name: string, op: string): boolean =>
  graph.operation(name)?.text.startsWith(`stablehlo.${op} `) ?? false;

/** The one operation that reads a value, if nobody else does. */
function onlyReader(graph: FusedGraph, name: string): string | undefined {
  const readers = graph.readers(name);
  return readers.length === 1 && !graph.isResult(name) ? readers[0] : undefined;
}

/**
 * The product whose rows, after sums, get a softmax: attention's weights. Its scores stay in a processor's cache, and
 * nobody else may read them.
 */
export function softmaxOf(graph: FusedGraph, { scores, narrow, steps }: Softmax): FusedProduct | undefined {
  const isInner = new Set(steps);
  const isAlone = (name: string): boolean =>
    !graph.isResult(name) && graph.readers(name).every((reader) => isInner.has(reader));
  const written = graph.operation(narrow.name)?.operands[0]?.name;
  if (written === undefined || !isAlone(scores.name) || onlyReader(graph, written) !== narrow.name) return undefined;
  const products: string[] = [];
  const added: View[] = [];
  const take = (value: Value): boolean => {
    if (graph.product(value.name) && isAlone(value.name)) return products.push(value.name) === 1;
    const { operands } = graph.operation(value.name) ?? { operands: [] };
    const isSum = is(graph, value.name, "add") && value.element === "f32";
    // A sum of rows and columns for all layers is not computed, its terms are added one by one.
    const isBroad = isSum && operands.every(({ name }) => is(graph, name, "broadcast_in_dim"));
    if (isSum && (isBroad || isAlone(value.name))) {
      if (isAlone(value.name)) isInner.add(value.name);
      return operands.every(take);
    }
    const view = broadcastView(graph, value);
    // The library adds whole matrices or one row to all rows.
    const [row, column] = view.strides.slice(-2) as [number, number];
    if (value.element !== "f32" || column !== 1 || (row !== 0 && row < view.shape.at(-1)!)) return false;
    return added.push(view) <= mostAdded;
  };
  if (!take(scores) || products.length !== 1) return undefined;
  const [product] = products as [string];
  if (!sameShape(graph.product(product)!.shape, scores.shape)) return undefined;
  return { product, value: narrow, added };
}

/** Where a broadcast puts the dimensions of its operand; nothing for another operation. */
export function broadcastPlaces(text: string): number[] | undefined {
  const places = /^stablehlo\.broadcast_in_dim \S+ dims = \[([\d, ]*)\]/.exec(text)?.[1];
  return places === "" ? [] : places?.split(",").map(Number);
}

/** A value as numbers of what it was broadcast from: stride 0 where a number is the same all along a dimension. */
function broadcastView(graph: FusedGraph, value: Value): View {
  const { text, operands } = graph.operation(value.name) ?? { text: "", operands: [] };
  const [of] = operands;
  const places = broadcastPlaces(text);
  if (places === undefined || of === undefined) return graph.view(value);
  const view = graph.view(of);
  const strides = value.shape.map((_, index) => {
    const at = places.indexOf(index);
    return at < 0 || view.shape[at] === 1 ? 0 : view.strides[at]!;
  });
  return { base: view.base, shape: value.shape, strides };
}
