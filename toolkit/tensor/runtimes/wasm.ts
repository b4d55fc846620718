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
    (call) => isOdd(call) || isSlowProduct(call),
    (call, plain) => (isOdd(call) ? onHost("BatchMatMul")(call) : byFastProducts(call, plain)) as tf.TensorInfo,
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

type Product = { readonly transposeA?: boolean; readonly transposeB?: boolean };

const isSingle = (x: tf.TensorInfo): boolean => x.shape.slice(0, -2).every((size) => size === 1);

/**
 * Whether a product leaves the backend's fast path, which is for two untransposed matrices only. All else runs five to
 * nine times slower there, unless it is so small that its calls cost more than its sums.
 */
function isSlowProduct({ inputs, attrs }: KernelCall): boolean {
  const { transposeA, transposeB } = attrs as Product;
  const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  if (isSingle(a) && isSingle(b)) return transposeA === true || transposeB === true;
  const [aBatch, bBatch] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const sums = sizeOf(a.shape.slice(-2)) * (transposeB === true ? b.shape.at(-2)! : b.shape.at(-1)!);
  return aBatch.join() === bBatch.join() && sums >= 4096;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** The same product by untransposed products of two matrices each. */
function byFastProducts(call: KernelCall, plain: tf.KernelFunc): tf.TensorInfo {
  const { a, b } = call.inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const attrs = { ...call.attrs, transposeA: false, transposeB: false };
  const product = (left: tf.TensorInfo, right: tf.TensorInfo): tf.TensorInfo =>
    plain({ ...call, inputs: { a: left, b: right }, attrs }) as tf.TensorInfo;
  const { transposeA, transposeB } = call.attrs as Product;
  if (isSingle(a) && isSingle(b)) {
    // Transposing costs as much as reading once: a small a and a small result rather than a large b.
    const rows = transposeA === true ? a.shape.at(-1)! : a.shape.at(-2)!;
    const [columns, inner] = b.shape.slice(-2) as [number, number];
    if (transposeB === true && sizeOf(a.shape) === rows * inner && rows * (inner + columns) < inner * columns) {
      const left = transposeA === true ? a : transposed(call, a);
      const turned = product(b, left);
      const result = transposed(call, turned);
      release(call, turned, ...(left === a ? [] : [left]));
      return result;
    }
  }
  const left = transposeA === true ? transposed(call, a) : a;
  const right = transposeB === true ? transposed(call, b) : b;
  const result = isSingle(a) && isSingle(b) ? product(left, right) : oneByOne(call, left, right, product);
  release(call, ...[left, right].filter((made) => made !== a && made !== b));
  return result;
}

/** a `[…, M, K]`, b `[…, K, N]`, both with the same leading dimensions → `[…, M, N]`. */
function oneByOne(
  call: KernelCall,
  a: tf.TensorInfo,
  b: tf.TensorInfo,
  product: (left: tf.TensorInfo, right: tf.TensorInfo) => tf.TensorInfo,
): tf.TensorInfo {
  const count = sizeOf(a.shape.slice(0, -2));
  const [rows, columns] = [a.shape.at(-2)!, b.shape.at(-1)!];
  // Entries' bytes lie one after the other: they are copied from and to the tensors' own places in the memory.
  const backend = call.backend as WasmBackend;
  const result = backend.makeOutput([...a.shape.slice(0, -2), rows, columns], "float32");
  const part = (shape: number[]): tf.TensorInfo => backend.makeOutput([1, ...shape], "float32");
  const left = part(a.shape.slice(-2));
  for (let index = 0; index < count; index++) {
    copyEntry(backend, a, index, left, 0);
    // A matrix of its own for each: the backend keeps what it prepared of a right-hand side by the tensor's number.
    const right = part(b.shape.slice(-2));
    copyEntry(backend, b, index, right, 0);
    const entry = product(left, right);
    copyEntry(backend, entry, 0, result, index);
    release(call, right, entry);
  }
  release(call, left);
  return result;
}

type WasmBackend = tf.KernelBackend & {
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
  typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array;
};

/** One matrix of a stack into a place of another. */
function copyEntry(backend: WasmBackend, from: tf.TensorInfo, at: number, to: tf.TensorInfo, place: number): void {
  const size = sizeOf(from.shape.slice(-2));
  // Both views are made anew: the memory moves when it grows.
  const target = backend.typedArrayFromHeap(to);
  target.set(backend.typedArrayFromHeap(from).subarray(at * size, (at + 1) * size), place * size);
}

/** The last two axes changed over. */
function transposed(call: KernelCall, x: tf.TensorInfo): tf.TensorInfo {
  const perm = x.shape.map((_, axis) => axis);
  perm.push(...perm.splice(-2).reverse());
  return tf.getKernel("Transpose", "wasm")!.kernelFunc({ ...call, inputs: { x }, attrs: { perm } }) as tf.TensorInfo;
}
