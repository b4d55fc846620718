// Kernels that contract: matrix products, einsum, convolution and its gradients.
import { backend_util } from "@tensorflow/tfjs-core";
import { type Builder, broadcastShape, range, sizeOf, typeText, type Value } from "../builder.ts";
import { activate } from "./elementwise.ts";
import type { Attributes, Lowering } from "./lowering.ts";

/** Batched matrix product. A matrix shared by the whole batch is not copied: the batch becomes rows. */
function matMul(b: Builder, a: Value, c: Value, transposeA: boolean, transposeB: boolean): Value {
  const [batchA, batchB] = [a.shape.slice(0, -2), c.shape.slice(0, -2)];
  const contractB = transposeB ? c.shape.length - 1 : c.shape.length - 2;
  if (a.shape.at(transposeA ? -2 : -1) !== c.shape[contractB])
    throw new RangeError(
      `matMul of shapes [${a.shape}]${transposeA ? " transposed" : ""} and [${c.shape}]${transposeB ? " transposed" : ""}: the inner sizes differ`,
    );
  if (sizeOf(batchB) === 1 && !transposeA && batchA.length >= batchB.length) {
    const matrix = b.reshape(c, c.shape.slice(-2));
    return b.dot(a, matrix, { contract: [[a.shape.length - 1], [contractB - batchB.length]] });
  }
  const batch = broadcastShape(batchA, batchB);
  const left = b.broadcast(a, [...batch, ...a.shape.slice(-2)]);
  const right = b.broadcast(c, [...batch, ...c.shape.slice(-2)]);
  const rank = batch.length;
  // aᵀ·c: XLA has no such product in bf16 and a slower one in f32. Either a is turned, or c and the result are, whichever
  // has fewer elements. With one batch dimension or none, or a dimension of 1, XLA would turn it back.
  const [inner, rows, columns] = [...left.shape.slice(rank), right.shape.at(-1)!] as [number, number, number];
  if (
    b.mergesBatches &&
    !b.calls(b.precision === "bf16" ? "bf16" : "f32") &&
    rank > 1 &&
    transposeA &&
    !transposeB &&
    Math.min(inner, rows, columns) > 1
  ) {
    const turned = [...range(rank), rank + 1, rank];
    return inner * rows <= inner * columns + rows * columns
      ? matMul(b, b.transpose(left, turned), right, false, false)
      : b.transpose(matMul(b, b.transpose(right, turned), left, false, false), turned);
  }
  return b.dot(left, right, {
    batch: [range(rank), range(rank)],
    contract: [[transposeA ? rank : rank + 1], [transposeB ? rank + 1 : rank]],
  });
}

/** One einsum of two operands by their labels; returns the labels of the result. */
function contract(
  b: Builder,
  left: Value,
  leftLabels: string,
  right: Value,
  rightLabels: string,
  kept: ReadonlySet<string>,
): [Value, string] {
  const only = (value: Value, labels: string, other: string): [Value, string] => {
    const summed = range(labels.length).filter((index) => !other.includes(labels[index]!) && !kept.has(labels[index]!));
    return [b.reduce("add", value, summed), [...labels].filter((_, index) => !summed.includes(index)).join("")];
  };
  const [x, xs] = only(left, leftLabels, rightLabels);
  const [y, ys] = only(right, rightLabels, leftLabels);
  const shared = [...xs].filter((label) => ys.includes(label));
  const batch = shared.filter((label) => kept.has(label));
  const summed = shared.filter((label) => !kept.has(label));
  const places = (labels: string, wanted: readonly string[]): number[] => wanted.map((label) => labels.indexOf(label));
  const product = b.dot(x, y, {
    batch: [places(xs, batch), places(ys, batch)],
    contract: [places(xs, summed), places(ys, summed)],
  });
  const free = (labels: string): string => [...labels].filter((label) => !shared.includes(label)).join("");
  return [product, batch.join("") + free(xs) + free(ys)];
}

const einsum: Lowering = (b, inputs, attributes) => {
  const equation = (attributes.equation as string).replace(/\s/g, "");
  const [terms, output] = equation.split("->") as [string, string];
  const labels = terms.split(",");
  if (labels.some((term) => new Set(term).size !== term.length))
    throw new TypeError(`einsum "${equation}" repeats a label within one operand, which cannot be compiled`);
  const values = Object.values(inputs);
  let [value, name] = [values[0]!, labels[0]!];
  for (let i = 1; i < values.length; i++) {
    const kept = new Set([...output, ...labels.slice(i + 1).join("")]);
    [value, name] = contract(b, value, name, values[i]!, labels[i]!, kept);
  }
  const summed = range(name.length).filter((index) => !output.includes(name[index]!));
  value = b.reduce("add", value, summed);
  name = [...name].filter((label) => output.includes(label)).join("");
  return b.transpose(
    value,
    [...output].map((label) => name.indexOf(label)),
  );
};

type Info = backend_util.Conv2DInfo;

function convInfo(
  attributes: Attributes,
  inShape: readonly number[],
  filterShape: readonly number[],
  depthwise = false,
): Info {
  const a = attributes as {
    strides: number | [number, number];
    pad: "same" | "valid" | number;
    dilations?: number | [number, number];
    dimRoundingMode?: "floor";
    dataFormat?: "NHWC" | "NCHW";
  };
  if (a.dataFormat === "NCHW") throw new TypeError("a convolution in NCHW cannot be compiled; use NHWC");
  return backend_util.computeConv2DInfo(
    inShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    a.strides,
    a.dilations ?? 1,
    a.pad,
    a.dimRoundingMode,
    depthwise,
  );
}

interface Window {
  readonly stride: readonly number[];
  readonly pad: readonly (readonly [number, number])[];
  readonly inputDilation?: readonly number[];
  readonly filterDilation?: readonly number[];
}

/** `numbers` is StableHLO's description of the dimensions, e.g. `[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]`. */
function convolution(
  b: Builder,
  x: Value,
  filter: Value,
  numbers: string,
  window: Window,
  shape: readonly number[],
  groups: number,
  flops: number,
): Value {
  const narrow = b.precision === "bf16";
  const [left, right] = narrow ? [b.convert(x, "bf16"), b.convert(filter, "bf16")] : [x, filter];
  const pads = window.pad.map(([low, high]) => `[${low}, ${high}]`).join(", ");
  const text = `stablehlo.convolution(${left.name}, ${right.name}) dim_numbers = ${numbers}, window = {stride = [${window.stride}], pad = [${pads}], lhs_dilate = [${window.inputDilation ?? [1, 1]}], rhs_dilate = [${window.filterDilation ?? [1, 1]}]} {batch_group_count = 1 : i64, feature_group_count = ${groups} : i64} : (${typeText(left)}, ${typeText(right)}) -> ${typeText({ shape, element: "f32" })}`;
  return b.emit(text, [left, right], shape, "f32", flops);
}

const forwardNumbers = "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]";

function conv2d(b: Builder, x: Value, filter: Value, attributes: Attributes): Value {
  const info = convInfo(attributes, x.shape, filter.shape);
  const { top, bottom, left, right } = info.padInfo;
  const window = {
    stride: [info.strideHeight, info.strideWidth],
    pad: [
      [top, bottom],
      [left, right],
    ] as const,
    filterDilation: [info.dilationHeight, info.dilationWidth],
  };
  return convolution(
    b,
    x,
    filter,
    forwardNumbers,
    window,
    info.outShape,
    1,
    2 * sizeOf(info.outShape) * sizeOf(filter.shape.slice(0, 3)),
  );
}

const depthwise: Lowering = (b, { x, filter }, attributes) => {
  const info = convInfo(attributes, x!.shape, filter!.shape, true);
  const [height, width, channels, multiplier] = filter!.shape as [number, number, number, number];
  const { top, bottom, left, right } = info.padInfo;
  const window = {
    stride: [info.strideHeight, info.strideWidth],
    pad: [
      [top, bottom],
      [left, right],
    ] as const,
    filterDilation: [info.dilationHeight, info.dilationWidth],
  };
  return convolution(
    b,
    x!,
    b.reshape(filter!, [height, width, 1, channels * multiplier]),
    forwardNumbers,
    window,
    info.outShape,
    channels,
    2 * sizeOf(info.outShape) * height * width,
  );
};

/** Gradient of the input: a convolution of dy, spread out by the stride, with the flipped filter. */
const conv2dInput: Lowering = (b, { dy, filter }, attributes) => {
  const info = convInfo(attributes, attributes.inputShape as number[], filter!.shape);
  const pad = [0, 1].map((axis): [number, number] => {
    const [size, low, stride] =
      axis === 0
        ? [info.filterHeight, info.padInfo.top, info.strideHeight]
        : [info.filterWidth, info.padInfo.left, info.strideWidth];
    const [input, output] = axis === 0 ? [info.inHeight, info.outHeight] : [info.inWidth, info.outWidth];
    const before = size - 1 - low;
    return [before, input - ((output - 1) * stride + 1) - before + size - 1];
  });
  const flipped = b.reverse(filter!, [0, 1]);
  const window = { stride: [1, 1], pad, inputDilation: [info.strideHeight, info.strideWidth] };
  return convolution(
    b,
    dy!,
    flipped,
    "[b, 0, 1, f]x[0, 1, o, i]->[b, 0, 1, f]",
    window,
    info.inShape,
    1,
    2 * sizeOf(info.outShape) * sizeOf(filter!.shape.slice(0, 3)),
  );
};

/** Gradient of the filter: a convolution of the input with dy as the filter, batch and channels swapped. */
const conv2dFilter: Lowering = (b, { x, dy }, attributes) => {
  const filterShape = attributes.filterShape as [number, number, number, number];
  const info = convInfo(attributes, x!.shape, filterShape);
  const pad = [0, 1].map((axis): [number, number] => {
    const [size, low, stride] =
      axis === 0
        ? [info.filterHeight, info.padInfo.top, info.strideHeight]
        : [info.filterWidth, info.padInfo.left, info.strideWidth];
    const [input, output] = axis === 0 ? [info.inHeight, info.outHeight] : [info.inWidth, info.outWidth];
    return [low, (output - 1) * stride + size - input - low];
  });
  const window = { stride: [1, 1], pad, filterDilation: [info.strideHeight, info.strideWidth] };
  return convolution(
    b,
    x!,
    dy!,
    "[f, 0, 1, b]x[i, 0, 1, o]->[0, 1, b, f]",
    window,
    filterShape,
    1,
    2 * sizeOf(info.outShape) * sizeOf(filterShape.slice(0, 3)),
  );
};

const fused =
  (product: (b: Builder, inputs: Readonly<Record<string, Value>>, attributes: Attributes) => Value): Lowering =>
  (b, inputs, attributes) => {
    const value = product(b, inputs, attributes);
    const biased = inputs.bias ? b.binary("add", value, inputs.bias) : value;
    return activate(b, biased, attributes.activation, inputs.preluActivationWeights, attributes.leakyreluAlpha);
  };

const product: Lowering = (b, { a, b: c }, attributes) =>
  matMul(b, a!, c!, attributes.transposeA === true, attributes.transposeB === true);

export const products: Readonly<Record<string, Lowering>> = {
  BatchMatMul: product,
  _FusedMatMul: fused((b, inputs, attributes) => product(b, inputs, attributes) as Value),
  Einsum: einsum,
  Conv2D: (b, { x, filter }, attributes) => conv2d(b, x!, filter!, attributes),
  FusedConv2D: fused((b, { x, filter }, attributes) => conv2d(b, x!, filter!, attributes)),
  Conv2DBackpropInput: conv2dInput,
  Conv2DBackpropFilter: conv2dFilter,
  DepthwiseConv2dNative: depthwise,
};
