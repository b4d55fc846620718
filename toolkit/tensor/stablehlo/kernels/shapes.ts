// Kernels that move elements without computing: reshape, transpose, slices, padding, concatenation, fills.
import { slice_util } from "@tensorflow/tfjs-core";
import { type Builder, range, sizeOf, type Value } from "../builder.ts";
import { axes, elementOf, type Lowering, oneAxis } from "./lowering.ts";

/** A shape attribute with its one -1 worked out. */
function inferred(shape: readonly number[], size: number): number[] {
  const known = sizeOf(shape.filter((dimension) => dimension !== -1));
  if (shape.includes(-1) ? known > 0 && size % known !== 0 : known !== size)
    throw new RangeError(`${size} elements do not have the shape [${shape}]`);
  return shape.map((dimension) => (dimension === -1 ? (known === 0 ? 0 : size / known) : dimension));
}

const fill =
  (value: number): Lowering =>
  (b, inputs) =>
    b.splat(value, inputs.x!.shape, inputs.x!.element);

function unpack(b: Builder, x: Value, axis: number): Value[] {
  const rest = x.shape.filter((_, index) => index !== axis);
  return range(x.shape[axis]!).map((at) => {
    const begin = x.shape.map((_, index) => (index === axis ? at : 0));
    const end = x.shape.map((size, index) => (index === axis ? at + 1 : size));
    return b.reshape(b.slice(x, begin, end), rest);
  });
}

function tile(b: Builder, x: Value, repeats: readonly number[]): Value {
  // [2, 3] × (4, 5): broadcast to [4, 2, 5, 3], then merge the pairs.
  const paired = x.shape.flatMap((size, index) => [repeats[index]!, size]);
  const wide = b.broadcastInDim(
    x,
    paired,
    x.shape.map((_, index) => 2 * index + 1),
  );
  return b.reshape(
    wide,
    x.shape.map((size, index) => size * repeats[index]!),
  );
}

/** Mirrors `low` and `high` elements at both ends of a dimension; `offset` 1 leaves the edge itself out (reflect). */
function mirror(b: Builder, x: Value, axis: number, low: number, high: number, offset: 0 | 1): Value {
  const size = x.shape[axis]!;
  const part = (from: number, to: number): Value =>
    b.reverse(
      b.slice(
        x,
        x.shape.map((_, index) => (index === axis ? from : 0)),
        x.shape.map((length, index) => (index === axis ? to : length)),
      ),
      [axis],
    );
  const parts = [x];
  if (low > 0) parts.unshift(part(offset, offset + low));
  if (high > 0) parts.push(part(size - high - offset, size - offset));
  return b.concatenate(parts, axis);
}

interface StridedSliceAttributes {
  readonly begin: number[];
  readonly end: number[];
  readonly strides: number[];
  readonly beginMask: number;
  readonly endMask: number;
  readonly ellipsisMask: number;
  readonly newAxisMask: number;
  readonly shrinkAxisMask: number;
}

export const shapes: Readonly<Record<string, Lowering>> = {
  Reshape: (b, inputs, attributes) =>
    b.reshape(inputs.x!, inferred(attributes.shape as number[], sizeOf(inputs.x!.shape))),
  ExpandDims: (b, inputs, attributes) => {
    const shape = [...inputs.input!.shape];
    shape.splice(oneAxis(attributes.dim, shape.length + 1), 0, 1);
    return b.reshape(inputs.input!, shape);
  },
  Transpose: (b, inputs, attributes) => b.transpose(inputs.x!, attributes.perm as number[]),
  Tile: (b, inputs, attributes) => tile(b, inputs.x!, attributes.reps as number[]),
  BroadcastTo: (b, inputs, attributes) => b.broadcast(inputs.x!, attributes.shape as number[]),
  Slice: (b, inputs, attributes) => {
    const x = inputs.x!;
    const [begin, size] = slice_util.parseSliceParams(
      { shape: [...x.shape] } as never,
      attributes.begin as number[],
      attributes.size as number[],
    ) as [number[], number[]];
    return b.slice(
      x,
      begin,
      begin.map((at, index) => at + size[index]!),
    );
  },
  StridedSlice: (b, inputs, attributes) => {
    const x = inputs.x!;
    const a = attributes as unknown as StridedSliceAttributes;
    const info = slice_util.sliceInfo(
      [...x.shape],
      a.begin,
      a.end,
      a.strides,
      a.beginMask,
      a.endMask,
      a.ellipsisMask,
      a.newAxisMask,
      a.shrinkAxisMask,
    );
    if (info.isIdentity) return b.reshape(x, info.finalShape);
    if (sizeOf(info.finalShape) === 0) return b.splat(0, info.finalShape, x.element);
    // Backward strides: reverse the dimension, then walk forward.
    const backward = info.strides.flatMap((stride, index) => (stride < 0 ? [index] : []));
    const source = backward.length > 0 ? b.reverse(x, backward) : x;
    const lengths = slice_util.computeOutShape(info.begin, info.end, info.strides);
    const begin = info.begin.map((at, index) => (info.strides[index]! < 0 ? x.shape[index]! - 1 - at : at));
    const strides = info.strides.map(Math.abs);
    const end = begin.map((at, index) => Math.min(at + (lengths[index]! - 1) * strides[index]! + 1, x.shape[index]!));
    return b.reshape(b.slice(source, begin, end, strides), info.finalShape);
  },
  PadV2: (b, inputs, attributes) => {
    const x = inputs.x!;
    const paddings = attributes.paddings as [number, number][];
    return b.pad(
      x,
      b.splat((attributes.constantValue as number | undefined) ?? 0, [], x.element),
      paddings.map(([low]) => low),
      paddings.map(([, high]) => high),
    );
  },
  MirrorPad: (b, inputs, attributes) =>
    (attributes.paddings as [number, number][]).reduce(
      (x, [low, high], axis) => mirror(b, x, axis, low, high, attributes.mode === "reflect" ? 1 : 0),
      inputs.x!,
    ),
  Reverse: (b, inputs, attributes) => b.reverse(inputs.x!, axes(attributes.dims, inputs.x!.shape.length)),
  Concat: (b, inputs, attributes) => {
    const parts = Object.values(inputs);
    return b.concatenate(parts, oneAxis(attributes.axis, parts[0]!.shape.length));
  },
  Pack: (b, inputs, attributes) => {
    const parts = Object.values(inputs);
    const axis = oneAxis(attributes.axis, parts[0]!.shape.length + 1);
    const shape = [...parts[0]!.shape];
    shape.splice(axis, 0, 1);
    return b.concatenate(
      parts.map((part) => b.reshape(part, shape)),
      axis,
    );
  },
  Unpack: (b, inputs, attributes) => unpack(b, inputs.value!, oneAxis(attributes.axis, inputs.value!.shape.length)),
  SplitV: (b, inputs, attributes) => {
    const x = inputs.x!;
    const axis = oneAxis(attributes.axis, x.shape.length);
    const asked = attributes.numOrSizeSplits as number | number[];
    const known = Array.isArray(asked) ? asked.filter((size) => size !== -1).reduce((sum, size) => sum + size, 0) : 0;
    const sizes = Array.isArray(asked)
      ? asked.map((size) => (size === -1 ? x.shape[axis]! - known : size))
      : range(asked).map(() => x.shape[axis]! / asked);
    let from = 0;
    return sizes.map((size) => {
      const begin = x.shape.map((_, index) => (index === axis ? from : 0));
      const end = x.shape.map((length, index) => (index === axis ? from + size : length));
      from += size;
      return b.slice(x, begin, end);
    });
  },
  ZerosLike: fill(0),
  OnesLike: fill(1),
  Fill: (b, _inputs, attributes) =>
    b.splat(
      Number(attributes.value),
      attributes.shape as number[],
      elementOf(
        (attributes.dtype as string | undefined) ?? (typeof attributes.value === "boolean" ? "bool" : "float32"),
      ),
    ),
  Range: (b, _inputs, attributes) => {
    const { start, stop, step, dtype } = attributes as { start: number; stop: number; step: number; dtype?: string };
    const element = elementOf(dtype ?? "float32");
    // tfjs takes a step of 1 as not said: downwards it is -1. Any other step away from `stop` leads nowhere.
    const stride = stop < start && step === 1 ? -1 : step;
    const count = Math.max(0, Math.ceil((stop - start) / stride));
    const steps = b.with("multiply", b.iota([count], 0, element), stride);
    return b.with("add", steps, start);
  },
  LinSpace: (b, _inputs, attributes) => {
    const { start, stop, num } = attributes as { start: number; stop: number; num: number };
    const step = num > 1 ? (stop - start) / (num - 1) : 0;
    return b.with("add", b.with("multiply", b.iota([num], 0, "f32"), step), start);
  },
};
