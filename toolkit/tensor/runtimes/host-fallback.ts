// Kernels that a backend lacks, computed by tfjs's cpu backend: the inputs are read to the host, the result is
// written back. Slow and complete; it keeps `tf.*` whole on every engine. Not for the tracing backend, where a
// missing kernel is an error.

import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";

interface HostAccess {
  readSync(dataId: object): tf.backend_util.BackendValues;
  write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): tf.TensorInfo["dataId"];
}

let host: MathBackendCPU | undefined;

/** The cpu backend as a plain object of this file: tensors of `tf.*` never live on it. */
function hostBackend(): MathBackendCPU {
  if (!host) {
    host = new MathBackendCPU();
    // Its first write would print advice for Node users.
    (host as unknown as { firstUse: boolean }).firstUse = false;
  }
  return host;
}

type Info = tf.TensorInfo;

/** Runs one kernel of tfjs's cpu backend on tensors of another backend. */
export function runOnHost(
  kernel: tf.KernelConfig,
  inputs: Record<string, Info | Info[] | undefined>,
  attributes: tf.NamedAttrMap | undefined,
  device: HostAccess,
): Info | Info[] {
  const cpu = hostBackend();
  const made: object[] = [];
  const toHost = (info: Info): Info => {
    const dataId = cpu.write(device.readSync(info.dataId), info.shape, info.dtype) as Info["dataId"];
    made.push(dataId);
    return { dataId, shape: info.shape, dtype: info.dtype };
  };
  // Kernels of any number of tensors (Einsum, Concat) take a bare array.
  const hostInputs: Record<string, Info | Info[]> = Array.isArray(inputs) ? ([] as never) : {};
  for (const [name, input] of Object.entries(inputs)) {
    if (input) hostInputs[name] = Array.isArray(input) ? input.map(toHost) : toHost(input);
  }
  const result = kernel.kernelFunc({
    inputs: hostInputs as tf.NamedTensorInfoMap,
    attrs: attributes ?? {},
    backend: cpu,
  });
  const toDevice = (info: Info): Info => {
    const dataId = device.write(ofDtype(cpu.readSync(info.dataId as never), info.dtype), info.shape, info.dtype);
    made.push(info.dataId);
    return { dataId, shape: info.shape, dtype: info.dtype };
  };
  const outputs = Array.isArray(result) ? result.map(toDevice) : toDevice(result);
  for (const dataId of made) cpu.disposeData(dataId as never, true);
  return outputs;
}

/** The cpu backend hands out integers as float32 after a cast; other backends copy bytes and need the right array. */
function ofDtype(values: tf.backend_util.BackendValues, dtype: tf.DataType): tf.backend_util.BackendValues {
  if (dtype === "float32" && !(values instanceof Float32Array)) return Float32Array.from(values as Int32Array);
  if (dtype === "int32" && !(values instanceof Int32Array)) return Int32Array.from(values as Float32Array);
  if (dtype === "bool" && !(values instanceof Uint8Array)) return Uint8Array.from(values as Int32Array);
  return values;
}

export type KernelCall = Parameters<tf.KernelFunc>[0];

/** One call on tfjs's cpu backend, whatever kernel the tensors' own backend has. */
export const onHost =
  (kernelName: string): tf.KernelFunc =>
  ({ inputs, attrs, backend }) =>
    runOnHost(
      tf.getKernel(kernelName, "cpu")!,
      inputs as Record<string, Info | Info[]>,
      attrs,
      backend as unknown as HostAccess,
    );

/** A kernel's result: its input's own data, under another tensor. */
export const shared = ({ inputs, backend }: KernelCall): tf.TensorInfo => {
  const { dataId, shape, dtype } = inputs.x as tf.TensorInfo;
  (backend as tf.KernelBackend).incRef(dataId);
  return { dataId, shape, dtype };
};

const mended = new Set<string>();

/** Replaces a kernel for the calls that it gets wrong or refuses; all others stay as they are. Safe to call twice. */
export function mendKernel(
  backendName: string,
  kernelName: string,
  isWrong: (call: KernelCall) => boolean,
  instead: (call: KernelCall, plain: tf.KernelFunc) => Info | Info[] = onHost(kernelName),
): void {
  const kernel = tf.getKernel(kernelName, backendName);
  const place = `${backendName}/${kernelName}`;
  if (!kernel || mended.has(place)) return;
  mended.add(place);
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({
    ...kernel,
    kernelFunc: (call) => (isWrong(call) ? instead(call, kernel.kernelFunc) : kernel.kernelFunc(call)),
  });
}

/** Makes these kernels of a backend run on the host although it has them: for results that are wrong there. */
export function replaceByHost(backendName: string, kernelNames: readonly string[]): void {
  for (const kernelName of kernelNames) {
    if (tf.getKernel(kernelName, backendName)) tf.unregisterKernel(kernelName, backendName);
  }
}

/** Registers, for `backendName`, every kernel that the cpu backend has and it has not. Safe to call twice. */
export async function fillMissingKernels(backendName: string): Promise<string[]> {
  // Its index registers the 170 kernels and a backend named "cpu", which stays unused.
  await import("@tensorflow/tfjs-backend-cpu");
  const filled: string[] = [];
  for (const kernel of tf.getKernelsForBackend("cpu")) {
    if (tf.getKernel(kernel.kernelName, backendName)) continue;
    filled.push(kernel.kernelName);
    tf.registerKernel({
      kernelName: kernel.kernelName,
      backendName,
      kernelFunc: onHost(kernel.kernelName),
    });
  }
  return filled;
}
