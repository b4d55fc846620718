// The PJRT runtime: one client on the first device of a plugin. Eager ops are small programs (backend.ts), compiled
// functions run with donation on the engine thread.
import * as tf from "@tensorflow/tfjs-core";
import { compileFor, type Executable } from "../../compile.ts";
import { EngineUnavailableError } from "../../errors.ts";
import { setNativeDefault } from "../../native/environment.ts";
import type { Runtime } from "../../runtime.ts";
import { elementOf } from "../../stablehlo/kernels/lowering.ts";
import { checkStored, decodeStored, storedDtype, toBfloat16 } from "../../stored.ts";
import { fillMissingKernels } from "../host-fallback.ts";
import { PjrtBackend, registerPjrtKernels } from "./backend.ts";
import { compileProgram, type DeviceBuffer, destroyProgram, execute, upload } from "./buffers.ts";
import type { PluginDiscovery } from "./discover.ts";
import { createClient, openPlugin } from "./plugin.ts";

const backendName = "pjrt";

/** @throws EngineUnavailableError when there is no plugin; NativeLibraryError or EngineError when it does not work. */
export async function startPjrt(discovery: PluginDiscovery): Promise<Runtime> {
  if (!discovery.path) throw new EngineUnavailableError(notFound(discovery));
  if (discovery.cudaDataFolder) setNativeDefault("XLA_FLAGS", `--xla_gpu_cuda_data_dir=${discovery.cudaDataFolder}`);
  const plugin = openPlugin(discovery.path, discovery.libraries);
  const isCuda = /cuda|gpu/i.test(discovery.path);
  // By default a CUDA client takes three quarters of the memory at once; a notebook shares its GPU.
  const client = createClient(plugin, isCuda ? { preallocate: false } : {});
  const backend = new PjrtBackend(client);
  registerPjrtKernels(backendName);
  tf.registerBackend(backendName, () => backend, 1);
  await fillMissingKernels(backendName);
  const make = (buffer: DeviceBuffer, shape: readonly number[]): tf.Tensor => {
    const engine = tf.engine() as unknown as {
      makeTensorFromDataId(dataId: object, shape: number[], dtype: tf.DataType, backend: tf.KernelBackend): tf.Tensor;
    };
    const info = backend.adopt(buffer, shape);
    return engine.makeTensorFromDataId(info.dataId, info.shape, info.dtype, backend);
  };
  const device = {
    isNarrow: (tensor: tf.Tensor) => backend.isNarrow(tensor.dataId),
    mergedBatches: client.platform === "cpu",
    async prepare(
      program: Parameters<typeof compileProgram>[1],
      name: string,
      donated: readonly number[],
      beside: boolean,
    ): Promise<Executable> {
      const start = performance.now();
      const loaded = await compileProgram(client, program, program.render(donated), name, beside);
      const compileMs = performance.now() - start;
      return {
        compileMs,
        async call(inputs) {
          const buffers = inputs.map(({ dataId }) => backend.bufferOf(dataId));
          // A buffer that is passed twice, or that a clone goes on reading, cannot be given away.
          const shared = donated.filter(
            (position) =>
              backend.refCount(inputs[position]!.dataId) > 1 ||
              buffers.filter((buffer) => buffer.handle === buffers[position]!.handle).length > 1,
          );
          const results = await execute(client, loaded, buffers, shared, name);
          return results.map((buffer, index) => make(buffer, program.results[index]!.shape));
        },
        // Compiled already, above.
        prepare: async () => undefined,
        dispose: () => destroyProgram(client, loaded),
      };
    },
  };
  const memory = client.memory === null ? "" : ` (${Math.round(client.memory / 2 ** 20)} MiB)`;
  return {
    engine: {
      name: client.platform === "cpu" ? "cpu" : "cuda",
      backend: backendName,
      version: `PJRT ${plugin.version}, ${client.platform} ${client.platformVersion.split("\n")[0]}`,
      device: `${client.deviceKind}${memory}`,
    },
    upload(bytes, stored, shape, store) {
      checkStored(bytes, stored, shape);
      const element = elementOf(storedDtype[stored]);
      if (store === "bf16" && element === "f32") {
        const halves =
          stored === "BF16" ? bytes : new Uint8Array(toBfloat16(decodeStored(bytes, stored) as Float32Array).buffer);
        return make(upload(client, halves, shape, "bf16"), shape);
      }
      const values = decodeStored(bytes, stored);
      return make(
        upload(client, new Uint8Array(values.buffer, values.byteOffset, values.byteLength), shape, element),
        shape,
      );
    },
    compile: (fn, options) => compileFor(device, fn, options),
  };
}

function notFound({ looked }: PluginDiscovery): string {
  const places = looked.map(({ path, because }) => `  ${path} (${because})`).join("\n");
  return `no PJRT plugin was found. For an NVIDIA GPU install one with pip install "jax-cuda12-pjrt" "jax-cuda12-plugin[with-cuda]" (or cuda13) into the active venv, or set BUNSEN_PJRT_PLUGIN to its .so file. Looked at:\n${places || "  (no Python environment)"}`;
}
