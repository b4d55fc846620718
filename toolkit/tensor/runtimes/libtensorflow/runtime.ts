// The libtensorflow runtime: eager ops through tfjs-node's own kernels, compiled functions through XLA, weights that
// may rest as bfloat16. One per process; the library cannot be unloaded.
import { cpus } from "node:os";
import * as tf from "@tensorflow/tfjs-core";
import { compileFor } from "../../compile.ts";
import { EngineUnavailableError, NativeLibraryError } from "../../errors.ts";
import { mendGradients } from "../../mended-gradients.ts";
import { plainCompile } from "../../plain-compile.ts";
import { registerHostRandom } from "../../random.ts";
import type { Runtime } from "../../runtime.ts";
import type { Cut } from "../../stablehlo/parts.ts";
import { checkStored, decodeStored, storedDtype, toBfloat16 } from "../../stored.ts";
import { fillMissingKernels } from "../host-fallback.ts";
import { discoverOnednn, type OnednnDiscovery } from "../onednn/discover.ts";
import { type Onednn, startOnednn } from "../onednn/library.ts";
import { type Binding, createBinding, typeOf } from "./binding.ts";
import type { Discovery } from "./discover.ts";
import { openTensorflow, types } from "./library.ts";
import { mendTensorflowKernels } from "./mended-kernels.ts";
import { prepareXla } from "./xla.ts";

/** The tfjs backend name that tfjs-node's kernels are registered for. */
const backendName = "tensorflow";

/** The parts of `NodeJSKernelBackend` that are used here. */
interface NodeBackend extends tf.KernelBackend {
  readonly tensorMap: {
    get(dataId: object): { id: number } | undefined;
    set(
      dataId: object,
      entry: { shape: readonly number[]; dtype: number; id: number; values: null; refCount: number },
    ): void;
    has(dataId: object): boolean;
  };
  getInputTensorIds(tensors: readonly tf.TensorInfo[]): number[];
  createOutputTensor(metadata: { id: number; shape: number[]; dtype: number }): tf.Tensor;
}

/**
 * Training steps of large models are cut; `BUNSEN_PARTS` is "off", or how many repeated operations are enough for a program
 * of any size.
 */
function cutFor(asked: string | undefined): Cut | undefined {
  if (asked === "off") return undefined;
  if (asked === undefined || asked === "") return { leastRepeated: 500, leastFlops: 5e10 };
  const leastRepeated = Number(asked);
  if (Number.isInteger(leastRepeated) && leastRepeated > 0) return { leastRepeated, leastFlops: 0 };
  throw new RangeError(`BUNSEN_PARTS is "${asked}"; expected "off" or a whole number of operations from 1 on`);
}

/** @throws EngineUnavailableError saying where was looked; NativeLibraryError when a library was found and is unusable. */
export async function startTensorflow(discovery: Discovery): Promise<Runtime> {
  if (!discovery.path) throw new EngineUnavailableError(notFound(discovery));
  const onednn = discoverOnednn();
  const tensorflow = openTensorflow(discovery.path, { calledProducts: onednn.path !== undefined });
  const binding = createBinding(tensorflow);
  const backend = await register(binding);
  const gpu = tensorflow.devices.find(({ type }) => type === "GPU");
  const products = gpu ? {} : findProducts(onednn, discovery.path, tensorflow.threads);

  const isNarrow = (tensor: tf.Tensor): boolean => {
    const id = backend.tensorMap.has(tensor.dataId) ? backend.tensorMap.get(tensor.dataId)!.id : -1;
    return id >= 0 && binding.storedType(id) === types.bfloat16;
  };
  const make = (id: number, shape: readonly number[], dtype: tf.DataType): tf.Tensor => {
    const dataId = {};
    backend.tensorMap.set(dataId, { shape, dtype: typeOf[dtype], id, values: null, refCount: 1 });
    return makeTensor({ dataId, shape: [...shape], dtype }, backend);
  };
  const device = {
    isNarrow,
    mergedBatches: !gpu,
    windowedSums: !gpu,
    calledProducts: products.onednn?.products,
    get cut() {
      return gpu ? undefined : cutFor(process.env.BUNSEN_PARTS);
    },
    prepare: async (program: Parameters<typeof prepareXla>[2], name: string) =>
      prepareXla(
        tensorflow,
        {
          handleOf: (tensor) => binding.handle(backend.getInputTensorIds([tensor])[0]!),
          adopt: (handle) => {
            const { id, shape, dtype } = binding.adopt(handle);
            const found = (Object.entries(typeOf) as [tf.DataType, number][]).find(([, number]) => number === dtype);
            return make(id, shape, found?.[0] ?? "float32");
          },
        },
        program,
        name,
      ),
  };
  return {
    engine: {
      name: gpu ? "cuda" : "cpu",
      backend: backendName,
      version: `TensorFlow ${tensorflow.version}${products.onednn ? `, oneDNN ${products.onednn.version}` : ""}`,
      device: gpu
        ? `${gpu.name} (${Math.round(gpu.memory / 2 ** 20)} MiB)`
        : `${cpus()[0]?.model.trim() ?? "processor"} (${cpus().length} cores)`,
      ...(gpu ? {} : { threads: tensorflow.threads, products: productsText(products) }),
      ...(gpu || tensorflow.programCache === null ? {} : { programCache: tensorflow.programCache }),
    },
    upload(bytes, stored, shape, store) {
      checkStored(bytes, stored, shape);
      const dtype = storedDtype[stored];
      const narrow = store === "bf16" && dtype === "float32";
      if (narrow) {
        if (stored === "BF16") return make(binding.createFromBytes(shape, types.bfloat16, bytes), shape, dtype);
        const values = decodeStored(bytes, stored) as Float32Array;
        const id = binding.createInPlace(shape, types.bfloat16, 2 * values.length, (data) =>
          toBfloat16(values, new Uint16Array(data.buffer, data.byteOffset, values.length)),
        );
        return make(id, shape, dtype);
      }
      const values = decodeStored(bytes, stored);
      return make(
        binding.createFromBytes(
          shape,
          typeOf[dtype],
          new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
        ),
        shape,
        dtype,
      );
    },
    compile: hasXla(tensorflow) ? (fn, options) => compileFor(device, fn, options) : plainCompile,
    nativeOps: true,
  };
}

interface Products {
  readonly onednn?: Onednn | null;
  /** Why a library that was found is not used. */
  readonly problem?: string;
}

/** oneDNN for the products of compiled functions. @throws NativeLibraryError where the one that BUNSEN_ONEDNN names cannot be used. */
function findProducts(onednn: OnednnDiscovery, tensorflow: string, threads: number): Products {
  try {
    return { onednn: startOnednn(onednn, tensorflow, threads) };
  } catch (error) {
    if (!(error instanceof NativeLibraryError) || process.env.BUNSEN_ONEDNN) throw error;
    return { problem: error.message };
  }
}

function productsText({ onednn, problem }: Products): string {
  if (onednn) return `oneDNN's (${onednn.hasBf16 ? "f32, bf16" : "f32; bf16 is widened to it"})`;
  return `XLA's own${problem ? `: ${problem}` : ""}`;
}

/** A plain libtensorflow may be built without XLA; then functions run as they are. */
function hasXla({ c, context, status }: ReturnType<typeof openTensorflow>): boolean {
  const op = c.TFE_NewOp(context, "XlaCallModule", status);
  const known = c.TF_GetCode(status) === 0;
  if (op) c.TFE_DeleteOp(op);
  return known;
}

async function register(binding: Binding): Promise<NodeBackend> {
  // Plain CommonJS: its index would load the native addon, these two files do not.
  const { NodeJSKernelBackend } = (await import(
    "@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js"
  )) as unknown as {
    NodeJSKernelBackend: new (binding: Binding, packageName: string) => NodeBackend;
  };
  await import("@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js");
  // They import the whole of tfjs, which registers its own gradients once more.
  mendGradients();
  const backend = new NodeJSKernelBackend(binding, "@tensorflow/tfjs-node-gpu");
  tf.registerBackend(backendName, () => backend, 1);
  await fillMissingKernels(backendName);
  mendTensorflowKernels();
  registerHostRandom(backendName);
  return backend;
}

function makeTensor(info: tf.TensorInfo, backend: NodeBackend): tf.Tensor {
  const engine = tf.engine() as unknown as {
    makeTensorFromDataId(dataId: object, shape: number[], dtype: tf.DataType, backend: tf.KernelBackend): tf.Tensor;
  };
  return engine.makeTensorFromDataId(info.dataId, info.shape, info.dtype, backend);
}

function notFound({ looked }: Discovery): string {
  const places = looked.map(({ path, because }) => `  ${path} (${because})`).join("\n");
  return `no libtensorflow was found. Install it with "pip install tensorflow-cpu" into the active venv or ./.venv, or set BUNSEN_TENSORFLOW to the folder that holds libtensorflow_cc.so.2. Looked at:\n${places}`;
}
