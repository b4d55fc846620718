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
  const hostInputs: Record<string, Info | Info[]> = {};
  for (const [name, input] of Object.entries(inputs)) {
    if (input) hostInputs[name] = Array.isArray(input) ? input.map(toHost) : toHost(input);
  }
  const result = kernel.kernelFunc({
    inputs: hostInputs as tf.NamedTensorInfoMap,
    attrs: attributes ?? {},
    backend: cpu,
  });
  const toDevice = (info: Info): Info => {
    const dataId = device.write(cpu.readSync(info.dataId as never), info.shape, info.dtype);
    made.push(info.dataId);
    return { dataId, shape: info.shape, dtype: info.dtype };
  };
  const outputs = Array.isArray(result) ? result.map(toDevice) : toDevice(result);
  for (const dataId of made) cpu.disposeData(dataId as never, true);
  return outputs;
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
      kernelFunc: ({ inputs, attrs, backend }) =>
        runOnHost(kernel, inputs as Record<string, Info | Info[]>, attrs, backend as unknown as HostAccess),
    });
  }
  return filled;
}
