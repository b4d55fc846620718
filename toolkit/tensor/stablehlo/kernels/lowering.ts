// What a lowering is: one tfjs-core kernel written as StableHLO. Types and the few helpers all of them share.
import type { Builder, Element, Value } from "../builder.ts";
import { range } from "../builder.ts";

export type Inputs = Readonly<Record<string, Value>>;
export type Attributes = Readonly<Record<string, unknown>>;

/** Records a kernel's operations and returns its result, or results. Shapes and attributes are those of tfjs-core. */
export type Lowering = (b: Builder, inputs: Inputs, attributes: Attributes) => Value | readonly Value[];

/** tfjs dtype → element; strings and complex numbers have none here. */
export function elementOf(dtype: string): Element {
  if (dtype === "float32") return "f32";
  if (dtype === "int32") return "i32";
  if (dtype === "bool") return "i1";
  throw new TypeError(`a compiled function cannot hold ${dtype} tensors; expected float32, int32 or bool`);
}

export const dtypeOf = (element: Element): "float32" | "int32" | "bool" =>
  element === "i1" ? "bool" : element === "f32" || element === "bf16" ? "float32" : "int32";

/** An axis attribute (number, list, null for all) as dimensions from 0. */
export function axes(axis: unknown, rank: number): number[] {
  if (axis === null || axis === undefined) return range(rank);
  return (Array.isArray(axis) ? (axis as number[]) : [axis as number]).map((dimension) =>
    dimension < 0 ? dimension + rank : dimension,
  );
}

/** One axis attribute as a dimension from 0. */
export const oneAxis = (axis: unknown, rank: number): number => axes(axis ?? 0, rank)[0]!;
