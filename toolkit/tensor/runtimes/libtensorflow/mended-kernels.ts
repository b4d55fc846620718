// Kernels of tfjs-node that refuse a call, or answer it otherwise than tfjs-core says, mended for these calls: most go
// to the host. The native path of all other calls stays as it is. tfjs-core's own tests say when a row can go.
import * as tf from "@tensorflow/tfjs-core";
import { type KernelCall, mendKernel, shared } from "../host-fallback.ts";

const dtypeOf = (input: unknown): tf.DataType => (input as tf.TensorInfo).dtype;
const attribute = ({ attrs }: KernelCall, name: string): unknown => (attrs as Record<string, unknown>)[name];

/** Padding by numbers: TensorFlow's pooling and transposed convolutions know "same" and "valid" only. */
const paddedByNumbers = (call: KernelCall): boolean => {
  const pad = attribute(call, "pad");
  return pad !== "same" && pad !== "valid" && pad !== 0;
};

/** Less and its kin, for strings. */
const ofStrings = ({ inputs }: KernelCall): boolean => dtypeOf(inputs.a) === "string";

export function mendTensorflowKernels(): void {
  const mend = mendKernel.bind(undefined, "tensorflow");
  const pools = ["MaxPool", "AvgPool", "MaxPoolGrad", "AvgPoolGrad", "MaxPool3D", "AvgPool3D"];
  for (const kernelName of [...pools, "Conv2DBackpropInput", "Conv2DBackpropFilter"]) mend(kernelName, paddedByNumbers);
  for (const kernelName of ["Less", "LessEqual", "Greater", "GreaterEqual"]) mend(kernelName, ofStrings);
  for (const kernelName of ["LeakyRelu", "Step"]) mend(kernelName, ({ inputs }) => dtypeOf(inputs.x) !== "float32");
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
      const attrs = { shape: [...indices.shape, 1] };
      const reshape = tf.getKernel("Reshape", "tensorflow")!.kernelFunc;
      const column = reshape({ ...call, inputs: { x: indices }, attrs }) as tf.TensorInfo;
      const result = plain({ ...call, inputs: { ...call.inputs, indices: column } });
      (call.backend as tf.KernelBackend).disposeData(column.dataId);
      return result;
    },
  );
}
