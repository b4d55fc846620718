// tfjs tensors as text: dtype, shape and a few values. Recognised by their shape, without importing tfjs, so that a
// notebook's own copy of it works too and the kernel starts without it. Large tensors are not downloaded: a corner is.
import type { Bundle, Formatter } from "./bundle.ts";

/** The part of tfjs's Tensor that is read here. */
export interface TensorLike {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly size: number;
  readonly isDisposed: boolean;
  dataSync(): ArrayLike<number | string>;
  slice?(begin: number[], size: number[]): TensorLike;
  dispose(): void;
  readonly name?: string;
  readonly trainable?: boolean;
}

const edge = 6;

export function isTensor(value: object): value is TensorLike {
  const candidate = value as Partial<TensorLike>;
  return (
    typeof candidate.dtype === "string" &&
    typeof candidate.dataSync === "function" &&
    typeof candidate.dispose === "function" &&
    Array.isArray(candidate.shape) &&
    typeof candidate.size === "number" &&
    "dataId" in candidate
  );
}

export const tensorFormatter: Formatter = {
  name: "tensor",
  runsUserCode: false,
  matches: isTensor,
  format(value: object): Bundle {
    return { data: { "text/plain": tensorSummary(value as TensorLike) }, metadata: {} };
  },
};

/** `Tensor float32 [2, 3]` and up to `limit` values along each axis. Never throws: a disposed tensor says so. */
export function tensorSummary(tensor: TensorLike, limit: number = edge): string {
  const kind = tensor.trainable === undefined ? "Tensor" : "Variable";
  const title = `${kind} ${tensor.dtype} [${tensor.shape.join(", ")}]`;
  if (tensor.isDisposed) return `${title} (disposed)`;
  if (tensor.size === 0) return `${title} []`;
  try {
    const corner = readCorner(tensor, limit);
    const lines = printAxis(corner.values, corner.shape, tensor.shape, 0, 0);
    return tensor.shape.length === 0 ? `${title} ${lines.join("")}` : `${title}\n${lines.join("\n")}`;
  } catch (error) {
    return `${title} (its values cannot be read: ${error instanceof Error ? error.message : String(error)})`;
  }
}

interface Corner {
  readonly values: readonly string[];
  readonly shape: readonly number[];
}

/** The first values along each axis: by the tensor's own slice where it has one (tfjs adds methods on request only). */
function readCorner(tensor: TensorLike, limit: number): Corner {
  const shape = tensor.shape.map((length) => Math.min(length, limit));
  const whole = shape.every((length, axis) => length === tensor.shape[axis]);
  if (whole) return { values: printValues(tensor.dataSync(), tensor.dtype), shape };
  if (typeof tensor.slice !== "function") {
    return { values: printValues(cornerOf(tensor, shape), tensor.dtype), shape };
  }
  const part = tensor.slice(new Array<number>(shape.length).fill(0), shape);
  try {
    return { values: printValues(part.dataSync(), tensor.dtype), shape };
  } finally {
    part.dispose();
  }
}

function cornerOf(tensor: TensorLike, shape: readonly number[]): (number | string)[] {
  const data = tensor.dataSync();
  // complex64 gives two numbers for each element.
  const parts = tensor.dtype === "complex64" ? 2 : 1;
  let offsets = [0];
  for (const [axis, length] of shape.entries()) {
    const stride = tensor.shape.slice(axis + 1).reduce((product, next) => product * next, 1);
    offsets = offsets.flatMap((offset) => Array.from({ length }, (_, index) => offset + index * stride));
  }
  return offsets.flatMap((offset) =>
    Array.from({ length: parts }, (_, part) => data[offset * parts + part] as number | string),
  );
}

function printValues(data: ArrayLike<number | string>, dtype: string): string[] {
  const printed: string[] = [];
  if (dtype === "complex64") {
    for (let index = 0; index + 1 < data.length; index += 2) {
      const imaginary = Number(data[index + 1]);
      printed.push(
        `${printNumber(Number(data[index]))}${imaginary < 0 ? "-" : "+"}${printNumber(Math.abs(imaginary))}i`,
      );
    }
    return printed;
  }
  for (let index = 0; index < data.length; index++) {
    const value = data[index];
    if (typeof value === "string") printed.push(JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value));
    else printed.push(dtype === "bool" ? (value ? "true" : "false") : printNumber(value as number));
  }
  return printed;
}

/** Five significant digits, as short as possible. */
function printNumber(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(Number(value.toPrecision(5)));
}

/** The lines of one axis; columns are padded to one width so that matrices line up. */
function printAxis(
  values: readonly string[],
  shown: readonly number[],
  real: readonly number[],
  axis: number,
  offset: number,
): string[] {
  if (axis === shown.length) return [values[offset] as string];
  const width = values.reduce((longest, value) => Math.max(longest, value.length), 0);
  const length = shown[axis] as number;
  const more = length < (real[axis] as number);
  if (axis === shown.length - 1) {
    const row = values.slice(offset, offset + length).map((value) => value.padStart(width));
    return [`[${row.join(", ")}${more ? ", …" : ""}]`];
  }
  const stride = shown.slice(axis + 1).reduce((product, next) => product * next, 1);
  const lines: string[] = [];
  for (let index = 0; index < length; index++) {
    const inner = printAxis(values, shown, real, axis + 1, offset + index * stride);
    lines.push(...inner);
    if (index < length - 1 || more) lines[lines.length - 1] += ",";
  }
  if (more) lines.push("…");
  return lines
    .map((line, index) => (index === 0 ? `[${line}` : ` ${line}`))
    .map((line, index, all) => (index === all.length - 1 ? `${line}]` : line));
}
