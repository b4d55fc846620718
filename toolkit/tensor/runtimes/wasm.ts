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
import { fillMissingKernels, replaceByHost, runOnHost } from "./host-fallback.ts";

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
  // Its one-hot ignores float on and off values (4.22.0).
  replaceByHost("wasm", ["OneHot"]);
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
      return tf.tensor(decodeStored(bytes, stored), [...shape], storedDtype[stored]);
    },
    compile: plainCompile,
  };
}

type KernelCall = Parameters<tf.KernelFunc>[0];

/** Replaces a kernel for the calls that it gets wrong; all others stay as they are. */
function mend(
  kernelName: string,
  isWrong: (call: KernelCall) => boolean,
  instead: (call: KernelCall) => tf.TensorInfo,
): void {
  const kernel = tf.getKernel(kernelName, "wasm");
  if (!kernel || mended.has(kernelName)) return;
  mended.add(kernelName);
  tf.unregisterKernel(kernelName, "wasm");
  tf.registerKernel({ ...kernel, kernelFunc: (call) => (isWrong(call) ? instead(call) : kernel.kernelFunc(call)) });
}
const mended = new Set<string>();

/** Calls of kernels of 4.22.0 whose results are wrong; the conformance suite says when a row can go. */
function mendKernels(): void {
  // The cast to bool copies bytes instead of comparing with zero.
  mend(
    "Cast",
    ({ inputs, attrs }) => (attrs as { dtype?: string }).dtype === "bool" && inputs.x!.dtype !== "bool",
    (call) => {
      const { x } = call.inputs as { x: tf.TensorInfo };
      const zero = tf.getKernel("ZerosLike", "wasm")!.kernelFunc({ ...call, inputs: { x } }) as tf.TensorInfo;
      const result = tf
        .getKernel("NotEqual", "wasm")!
        .kernelFunc({ ...call, inputs: { a: x, b: zero } }) as tf.TensorInfo;
      (call.backend as tf.KernelBackend).disposeData(zero.dataId);
      return result;
    },
  );
  // A product over nothing leaves its result unwritten.
  const onHost = (call: KernelCall): tf.TensorInfo =>
    runOnHost(
      tf.getKernel("BatchMatMul", "cpu")!,
      call.inputs as Record<string, tf.TensorInfo>,
      call.attrs,
      call.backend as never,
    ) as tf.TensorInfo;
  const isEmpty = ({ inputs }: KernelCall): boolean => (inputs.a as tf.TensorInfo).shape.includes(0);
  mend(
    "BatchMatMul",
    (call) => isEmpty(call) || isTransposedMatrix(call),
    (call) => (isEmpty(call) ? onHost(call) : transposeFirst(call)),
  );
}

/** The backend's plain original, for what `transposeFirst` passes on. */
const plainMatMul: tf.KernelFunc | undefined = tf.getKernel("BatchMatMul", "wasm")?.kernelFunc;

/** A product of two matrices, one of them transposed: the backend has its fast path for untransposed ones only. */
function isTransposedMatrix({ inputs, attrs }: KernelCall): boolean {
  const { transposeA, transposeB } = attrs as { transposeA?: boolean; transposeB?: boolean };
  const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const single = (x: tf.TensorInfo): boolean => x.shape.slice(0, -2).every((size) => size === 1);
  return (transposeA === true || transposeB === true) && single(a) && single(b);
}

/** Transposing costs as much as reading the matrix once; the slow path costs five to nine times the product. */
function transposeFirst(call: KernelCall): tf.TensorInfo {
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
  const result = plainMatMul!({ ...call, inputs: { a: left, b: right }, attrs }) as tf.TensorInfo;
  for (const made of [left, right]) {
    if (made !== a && made !== b) (call.backend as tf.KernelBackend).disposeData(made.dataId);
  }
  return result;
}
