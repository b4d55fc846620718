// Checks of the tensors that an adapter file holds, with messages that name file keys and shapes.
import type { Backbone } from "#toolkit/models/contract.ts";
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

/**
 * What of loaded parameters does not have the shapes that a fresh start on this backbone would have; few are named.
 * @param expected shapes by name; null: any size
 */
export function shapeProblems(
  parameters: Parameters,
  expected: Readonly<Record<string, Shape>>,
  backbone: Backbone,
): string[] {
  const problems: string[] = [];
  for (const [name, shape] of Object.entries(expected)) {
    const tensor = parameters[name];
    if (!tensor) problems.push(`${name} is missing`);
    else if (tensor.rank !== shape.length || shape.some((n, i) => n !== null && n !== tensor.shape[i]))
      problems.push(`${name} is [${tensor.shape}], this backbone needs [${shape.map((n) => n ?? "?").join(",")}]`);
  }
  for (const name of Object.keys(parameters))
    if (!Object.hasOwn(expected, name)) problems.push(`${name} has no place in it`);
  if (problems.length === 0) return [];
  const more = problems.length > 3 ? `; and ${problems.length - 3} more` : "";
  return [
    `it was trained on another backbone than this ${backbone.modelType} of width ${backbone.hiddenSize} with ${backbone.numEncoderLayers} + ${backbone.numDecoderLayers} layers: ${problems.slice(0, 3).join("; ")}${more}`,
  ];
}
