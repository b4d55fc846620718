// The wasm runtime: tfjs's own WebAssembly backend, the default where nothing native is found. The binaries lie in
// the package, so nothing is configured. Kernels that it lacks run on tfjs's cpu backend. No compiler: `compile`
// runs the function itself.

import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { setWasmPaths, version_wasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { EngineUnavailableError } from "../errors.ts";
import { plainCompile } from "../plain-compile.ts";
import { registerHostRandom } from "../random.ts";
import type { Runtime } from "../runtime.ts";
import { checkStored, decodeStored, storedDtype } from "../stored.ts";
import { fillMissingKernels, type KernelCall, mendKernel, onHost, replaceByHost, shared } from "./host-fallback.ts";

/** Starts the backend. @throws EngineUnavailableError when WebAssembly or its binary cannot be loaded. */
export async function startWasm(): Promise<Runtime> {
  const packageFile = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
  setWasmPaths(join(dirname(packageFile), "dist/"));
  let started = false;
  let reason: unknown;
  try {
    started = await tf.setBackend("wasm");
  } catch (error) {
    reason = error;
  }
  if (!started)
    throw new EngineUnavailableError("the wasm backend did not start; reinstall the packages (bun install)", {
      cause: reason,
    });
  // Its one-hot ignores float on and off values; its gradient of max pooling skips windows without a positive number (4.22.0).
  replaceByHost("wasm", ["OneHot", "MaxPoolGrad"]);
  await fillMissingKernels("wasm");
  mendKernels();
  registerHostRandom("wasm");
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  return {
    engine: {
      name: "wasm",
      backend: "wasm",
      version: `tfjs-backend-wasm ${version_wasm}`,
      device: `${cpus()[0]?.model.trim() ?? "processor"} (WebAssembly${simd ? ", SIMD" : ""}, one thread)`,
    },
    upload(bytes, stored, shape) {
      checkStored(bytes, stored, shape);
      const values = decodeStored(bytes, stored);
      // The wasm backend copies into its own memory at once; tfjs's cpu backend, its peer in tests and benches, keeps
      // the array it is given, which the caller may fill again.
      const own = tf.getBackend() === "wasm" ? values : values.slice();
      return tf.tensor(own, [...shape], storedDtype[stored]);
    },
    compile: plainCompile,
  };
}

const shapeOf = (input: unknown): number[] => (input as tf.TensorInfo).shape;
const dtypeOf = (input: unknown): tf.DataType => (input as tf.TensorInfo).dtype;

/** One kernel of this backend, from within another. */
const run = (kernelName: string, call: KernelCall, inputs: Record<string, tf.TensorInfo>): tf.TensorInfo =>
  tf.getKernel(kernelName, "wasm")!.kernelFunc({ ...call, inputs: inputs as tf.NamedTensorInfoMap }) as tf.TensorInfo;

const release = (call: KernelCall, ...made: tf.TensorInfo[]): void => {
  for (const { dataId } of made) (call.backend as tf.KernelBackend).disposeData(dataId);
};

/** Calls of kernels of 4.22.0 whose results are wrong; the conformance suites say when a row can go. */
function mendKernels(): void {
  const mend = mendKernel.bind(undefined, "wasm");
  // A clone copies. The tape clones all that it saves, and some gradients count on a clone sharing its data.
  mend("Identity", () => true, shared);
  // The cast to bool copies bytes instead of comparing with zero.
  mend(
    "Cast",
    ({ inputs, attrs }) => (attrs as { dtype?: string }).dtype === "bool" && dtypeOf(inputs.x) !== "bool",
    (call) => {
      const { x } = call.inputs as { x: tf.TensorInfo };
      const zero = run("ZerosLike", call, { x });
      const result = run("NotEqual", call, { a: x, b: zero });
      release(call, zero);
      return result;
    },
  );
  // A product over nothing leaves its result unwritten, one of integers is refused.
  const isOdd = ({ inputs: { a, b } }: KernelCall): boolean =>
    shapeOf(a).includes(0) || dtypeOf(a) !== "float32" || dtypeOf(b) !== "float32";
  mend(
    "BatchMatMul",
    (call) => isOdd(call) || isTransposedMatrix(call),
    (call, plain) => (isOdd(call) ? onHost("BatchMatMul")(call) : transposeFirst(call, plain)) as tf.TensorInfo,
  );
  // Clipping turns NaN into the lower bound, which would hide a loss or gradient gone wrong.
  mend(
    "ClipByValue",
    ({ inputs }) => dtypeOf(inputs.x) === "float32",
    (call, plain) => {
      const { x } = call.inputs as { x: tf.TensorInfo };
      const clipped = plain(call) as tf.TensorInfo;
      const isNan = run("IsNan", call, { x });
      const result = run("Select", call, { condition: isNan, t: x, e: clipped });
      release(call, clipped, isNan);
      return result;
    },
  );
  // A slice beyond the end reads other tensors' memory.
  mend("Slice", ({ inputs, attrs }) => {
    const x = inputs.x as tf.TensorInfo;
    const { begin, size } = attrs as { begin: number[]; size: number[] };
    const parsed = tf.slice_util.parseSliceParams(x as tf.Tensor, begin, size);
    tf.slice_util.assertParamsValid(x as tf.Tensor, ...(parsed as [number[], number[]]));
    return false;
  });
  // Strings are taken for numbers, or end the program.
  for (const kernelName of ["Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"])
    mend(kernelName, ({ inputs }) => dtypeOf(inputs.a) === "string");
  mend("Tile", ({ inputs }) => dtypeOf(inputs.x) === "string");
  mend("SparseToDense", ({ inputs }) => dtypeOf(inputs.sparseValues) === "string");
  mend("Fill", ({ attrs }) => typeof (attrs as { value: unknown }).value === "string");
  // Channels first is refused.
  const channelsFirst = ({ attrs }: KernelCall): boolean => (attrs as { dataFormat?: string }).dataFormat === "NCHW";
  for (const kernelName of ["Conv2D", "Conv2DBackpropInput", "FusedConv2D"]) mend(kernelName, channelsFirst);
  // Windows of one element over a padded image leave most of the result unwritten.
  for (const kernelName of ["MaxPool", "AvgPool"]) {
    mend(kernelName, ({ attrs }) => {
      const { filterSize, pad } = attrs as { filterSize: number | number[]; pad: unknown };
      return [filterSize].flat().every((size) => size === 1) && pad !== "same" && pad !== "valid" && pad !== 0;
    });
  }
}

/** A product of two matrices, one of them transposed: the backend has its fast path for untransposed ones only. */
function isTransposedMatrix({ inputs, attrs }: KernelCall): boolean {
  const { transposeA, transposeB } = attrs as { transposeA?: boolean; transposeB?: boolean };
  const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const single = (x: tf.TensorInfo): boolean => x.shape.slice(0, -2).every((size) => size === 1);
  return (transposeA === true || transposeB === true) && single(a) && single(b);
}

/** Transposing costs as much as reading the matrix once; the slow path costs five to nine times the product. */
function transposeFirst(call: KernelCall, plain: tf.KernelFunc): tf.TensorInfo {
  const { transposeA, transposeB } = call.attrs as { transposeA?: boolean; transposeB?: boolean };
  const { a, b } = call.inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const transpose = tf.getKernel("Transpose", "wasm")!.kernelFunc;
  const transposed = (x: tf.TensorInfo): tf.TensorInfo => {
    const perm = x.shape.map((_, axis) => axis);
    perm.push(...perm.splice(-2).reverse());
    return transpose({ ...call, inputs: { x }, attrs: { perm } }) as tf.TensorInfo;
  };
  const [left, right] = [transposeA ? transposed(a) : a, transposeB ? transposed(b) : b];
  const attrs = { ...call.attrs, transposeA: false, transposeB: false };
  const result = plain({ ...call, inputs: { a: left, b: right }, attrs }) as tf.TensorInfo;
  release(call, ...[left, right].filter((made) => made !== a && made !== b));
  return result;
}
