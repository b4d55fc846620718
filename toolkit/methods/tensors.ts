// Checks of the tensors that an adapter file holds, with messages that name file keys and shapes.
import type { Parameters } from "./contract.ts";

/** A dimension that may have any size is null. */
export type Shape = readonly (number | null)[];

/**
 * Picks the tensors a method expects.
 * @throws Error naming every missing, unknown or misshapen tensor at once
 */
export function expectTensors(tensors: Parameters, shapes: Readonly<Record<string, Shape>>): Parameters {
  const problems: string[] = [];
  const show = (shape: Shape): string => `[${shape.map((n) => n ?? "?").join(", ")}]`;
  for (const [name, shape] of Object.entries(shapes)) {
    const tensor = tensors[name];
    if (!tensor) problems.push(`${name} ${show(shape)} is missing`);
    else if (tensor.rank !== shape.length || shape.some((n, i) => n !== null && n !== tensor.shape[i]))
      problems.push(`${name} is ${show(tensor.shape)}, expected ${show(shape)}`);
  }
  const unknown = Object.keys(tensors).filter((name) => !Object.hasOwn(shapes, name));
  if (unknown.length > 0) problems.push(`unknown: ${unknown.slice(0, 6).join(", ")}`);
  if (problems.length > 0) throw new Error(`the adapter's tensors do not fit its config: ${problems.join("; ")}`);
  return tensors;
}
