// Kernels of tfjs-node that refuse a call, or answer it otherwise than tfjs-core says, mended for these calls: most go
// to the host. The native path of all other calls stays as it is. tfjs-core's own tests say when a row can go.
import * as tf from "@tensorflow/tfjs-core";
import { type KernelCall, mendKernel, onHost, shared } from "../host-fallback.ts";

const dtypeOf = (input: unknown): tf.DataType => (input as tf.TensorInfo).dtype;
const attribute = ({ attrs }: KernelCall, name: string): unknown => (attrs as Record<string, unknown>)[name];

/** Padding by numbers: TensorFlow's pooling and transposed convolutions know "same" and "valid" only. */
const paddedByNumbers = (call: KernelCall): boolean => {
  const pad = attribute(call, "pad");
  return pad !== "same" && pad !== "valid" && pad !== 0;
};

/** One of the library's own kernels, for a step of another. */
function run(call: KernelCall, kernelName: string, x: tf.TensorInfo, attrs: object): tf.TensorInfo {
  const { kernelFunc } = tf.getKernel(kernelName, "tensorflow")!;
  return kernelFunc({ ...call, inputs: { x }, attrs: attrs as tf.NamedAttrMap }) as tf.TensorInfo;
}

const free = (call: KernelCall, ...made: readonly tf.TensorInfo[]): void => {
  for (const { dataId } of made) (call.backend as tf.KernelBackend).disposeData(dataId);
};

/**
 * Images with the channels first: TensorFlow convolves them only on processors for which it uses its own oneDNN (not
 * those with AVX2 alone). They are turned, and so is the result where it is an image.
 */
const channelsFirst = (call: KernelCall): boolean => attribute(call, "dataFormat") === "NCHW";

function channelsLast(call: KernelCall, plain: tf.KernelFunc, images: readonly string[]): tf.TensorInfo {
  const last = <T>(sizes: readonly T[]): T[] => [sizes[0]!, sizes[2]!, sizes[3]!, sizes[1]!];
  const attrs: Record<string, unknown> = { ...call.attrs, dataFormat: "NHWC" };
  for (const name of ["pad", "inputShape"])
    if (Array.isArray(attrs[name])) attrs[name] = last(attrs[name] as readonly unknown[]);
  const turned = images.map((name) =>
    run(call, "Transpose", call.inputs[name] as tf.TensorInfo, { perm: [0, 2, 3, 1] }),
  );
  const inputs = { ...call.inputs, ...Object.fromEntries(images.map((name, index) => [name, turned[index]!])) };
  const result = plain({ ...call, inputs, attrs: attrs as tf.NamedAttrMap }) as tf.TensorInfo;
  free(call, ...turned);
  // The gradient of a filter is no image.
  if (attrs.filterShape !== undefined) return result;
  const back = run(call, "Transpose", result, { perm: [0, 3, 1, 2] });
  free(call, result);
  return back;
}

const dilated = (call: KernelCall): boolean => {
  const dilations = attribute(call, "dilations") as number | readonly number[] | null | undefined;
  return [dilations ?? 1].flat().some((each) => each !== 1);
};

/** A dilated filter as a plain one with zeros between its numbers: TensorFlow dilates on the same processors only. */
function spacedFilter(call: KernelCall, plain: tf.KernelFunc): tf.TensorInfo {
  const filter = call.inputs.filter as tf.TensorInfo;
  const [height, width, ...rest] = filter.shape as [number, number, number, number];
  const dilations = attribute(call, "dilations") as number | readonly number[];
  const [down, across] = (typeof dilations === "number" ? [dilations, dilations] : dilations) as [number, number];
  const none = [0, 0];
  const apart = run(call, "Reshape", filter, { shape: [height, 1, width, 1, ...rest] });
  const padded = run(call, "PadV2", apart, {
    paddings: [none, [0, down - 1], none, [0, across - 1], none, none],
    constantValue: 0,
  });
  const wide = run(call, "Reshape", padded, { shape: [height * down, width * across, ...rest] });
  const size = [(height - 1) * down + 1, (width - 1) * across + 1, ...rest];
  const spaced = run(call, "Slice", wide, { begin: [0, 0, 0, 0], size });
  const result = plain({
    ...call,
    inputs: { ...call.inputs, filter: spaced },
    attrs: { ...call.attrs, dilations: [1, 1] },
  }) as tf.TensorInfo;
  free(call, apart, padded, wide, spaced);
  return result;
}

/** Kernels of x that TensorFlow has for floats only; tfjs-core passes integers and truth values on to them. */
const ofFloats = [
  ...["Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Exp", "Expm1", "IsFinite", "IsInf", "IsNan", "Log1p"],
  ...["Reciprocal", "Selu", "Sinh", "Softplus"],
];

function asFloats(call: KernelCall, plain: tf.KernelFunc): tf.TensorInfo {
  const x = run(call, "Cast", call.inputs.x as tf.TensorInfo, { dtype: "float32" });
  const result = plain({ ...call, inputs: { ...call.inputs, x } }) as tf.TensorInfo;
  free(call, x);
  return result;
}

/** Less and its kin, for strings. */
const ofStrings = ({ inputs }: KernelCall): boolean => dtypeOf(inputs.a) === "string";

export function mendTensorflowKernels(): void {
  const mend = mendKernel.bind(undefined, "tensorflow");
  const pools = ["MaxPool", "AvgPool", "MaxPoolGrad", "AvgPoolGrad", "MaxPool3D", "AvgPool3D"];
  for (const kernelName of pools) mend(kernelName, paddedByNumbers);
  mend("Conv2D", channelsFirst, (call, plain) => channelsLast(call, plain, ["x"]));
  for (const [kernelName, images] of [
    ["Conv2DBackpropInput", ["dy"]],
    ["Conv2DBackpropFilter", ["x", "dy"]],
  ] as const)
    mend(
      kernelName,
      (call) => paddedByNumbers(call) || channelsFirst(call),
      (call, plain) => (paddedByNumbers(call) ? onHost(kernelName)(call) : channelsLast(call, plain, images)),
    );
  for (const kernelName of ["DepthwiseConv2dNative", "FusedDepthwiseConv2D"]) mend(kernelName, dilated, spacedFilter);
  for (const kernelName of ["Less", "LessEqual", "Greater", "GreaterEqual"]) mend(kernelName, ofStrings);
  for (const kernelName of ["LeakyRelu", "Step"]) mend(kernelName, ({ inputs }) => dtypeOf(inputs.x) !== "float32");
  // tfjs-node's Exp converts integers itself, and disposes the caller's tensor.
  for (const kernelName of ofFloats) mend(kernelName, ({ inputs }) => dtypeOf(inputs.x) !== "float32", asFloats);
  mend("Diag", ({ inputs }) => dtypeOf(inputs.x) === "bool");
  // A label that no input has would be taken for a dimension of size 1.
  mend("Einsum", (call) => {
    const [from, to = ""] = (attribute(call, "equation") as string).replaceAll(" ", "").split("->");
    const unknown = [...to].find((label) => /[a-z]/i.test(label) && !from!.includes(label));
    if (unknown)
      throw new RangeError(`Output subscripts contain the label ${unknown} not present in the input subscripts.`);
    return false;
  });
  // The library goes on with a seed's draws where a call before ended: the same seed must draw the same numbers.
  mend("Multinomial", () => true);
  // It rounds integers to 0.
  mend("Round", ({ inputs }) => dtypeOf(inputs.x) === "int32", shared);
  // A list of numbers means rows to tfjs, and one index of many dimensions to TensorFlow.
  mend(
    "ScatterNd",
    ({ inputs }) => (inputs.indices as tf.TensorInfo).shape.length === 1,
    (call, plain) => {
      const indices = call.inputs.indices as tf.TensorInfo;
      const column = run(call, "Reshape", indices, { shape: [...indices.shape, 1] });
      const result = plain({ ...call, inputs: { ...call.inputs, indices: column } });
      free(call, column);
      return result;
    },
  );
}
