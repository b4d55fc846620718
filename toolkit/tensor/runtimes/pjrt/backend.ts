// Eager tfjs ops on a PJRT device: each kernel call is a small StableHLO program of its own, compiled once per
// signature and kept. Kernels without a lowering run on the host (host-fallback.ts). Not for training speed: a step
// goes through `compile`.
import * as tf from "@tensorflow/tfjs-core";
import { Builder, type Element, type Value } from "../../stablehlo/builder.ts";
import { lowerings } from "../../stablehlo/kernels/index.ts";
import { dtypeOf, elementOf } from "../../stablehlo/kernels/lowering.ts";
import {
  compileProgramNow,
  type DeviceBuffer,
  destroy,
  destroyProgram,
  download,
  executeNow,
  type LoadedProgram,
  upload,
} from "./buffers.ts";
import type { Client } from "./plugin.ts";

interface Entry {
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
  /** Absent until an op needs it: values that are only read back never travel. */
  buffer?: DeviceBuffer;
  values?: tf.backend_util.BackendValues;
  references: number;
}

export class PjrtBackend extends tf.KernelBackend {
  readonly client: Client;
  readonly #data: tf.DataStorage<Entry>;
  readonly #programs = new Map<string, LoadedProgram>();

  readonly #cacheLimit: number;

  /** `cacheLimit`: executables of single ops that are kept; the oldest go first. */
  constructor(client: Client, cacheLimit = 2048) {
    super();
    this.client = client;
    this.#cacheLimit = cacheLimit;
    this.#data = new tf.DataStorage(this, tf.engine());
  }

  /** The buffer of a tensor, copied to the device if it is not there yet. */
  bufferOf(dataId: object): DeviceBuffer {
    const entry = this.#data.get(dataId as tf.TensorInfo["dataId"]);
    if (!entry) throw new ReferenceError("a tensor was used that is not on the device: it was disposed");
    if (!entry.buffer) {
      const values = entry.values as Float32Array | Int32Array | Uint8Array;
      entry.buffer = upload(
        this.client,
        new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
        entry.shape,
        elementOf(entry.dtype),
      );
      delete entry.values;
    }
    return entry.buffer;
  }

  isNarrow(dataId: object): boolean {
    return (
      this.#data.has(dataId as tf.TensorInfo["dataId"]) &&
      this.#data.get(dataId as tf.TensorInfo["dataId"])?.buffer?.element === "bf16"
    );
  }

  /** Takes over a buffer. */
  adopt(buffer: DeviceBuffer, shape: readonly number[]): tf.TensorInfo {
    const dataId = {};
    const dtype = dtypeOf(buffer.element);
    this.#data.set(dataId, { shape, dtype, buffer, references: 1 });
    return { dataId, shape: [...shape], dtype };
  }

  /** One kernel call: traced, compiled once, executed. */
  run(
    kernelName: string,
    inputs: Readonly<Record<string, tf.TensorInfo | undefined>>,
    attributes: Readonly<Record<string, unknown>>,
  ): tf.TensorInfo | tf.TensorInfo[] {
    const given = Object.entries(inputs).filter(
      (pair): pair is [string, tf.TensorInfo] => pair[1] !== undefined && pair[1] !== null,
    );
    const buffers = given.map(([, info]) => this.bufferOf(info.dataId));
    const types = given.map(([name, info], index) => `${name}:${buffers[index]!.element}[${info.shape}]`);
    const key = `${kernelName} ${types.join(" ")} ${JSON.stringify(attributes, (_, value: unknown) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value))}`;
    let loaded = this.#programs.get(key);
    if (!loaded) {
      loaded = this.#compile(
        kernelName,
        given.map(([name, info], index) => ({ name, shape: info.shape, element: buffers[index]!.element })),
        attributes,
      );
      this.#programs.set(key, loaded);
    }
    const taken = loaded.program.arguments.map(({ index }) => buffers[index]!);
    const results = executeNow(this.client, loaded, taken, kernelName);
    const infos = results.map((buffer, index) => this.adopt(buffer, loaded.program.results[index]!.shape));
    if (this.#programs.size > this.#cacheLimit) {
      const [oldest, unneeded] = this.#programs.entries().next().value!;
      this.#programs.delete(oldest);
      destroyProgram(this.client, unneeded);
    }
    return lowersToMany(kernelName) ? infos : infos[0]!;
  }

  #compile(
    kernelName: string,
    inputs: readonly { readonly name: string; readonly shape: readonly number[]; readonly element: Element }[],
    attributes: Readonly<Record<string, unknown>>,
  ): LoadedProgram {
    const builder = new Builder("f32");
    const values: Record<string, Value> = {};
    for (const { name, shape, element } of inputs) {
      const argument = builder.argument(shape, element);
      values[name] = element === "bf16" ? builder.convert(argument, "f32") : argument;
    }
    const result = lowerings[kernelName]!(builder, values, attributes);
    const results = Array.isArray(result) ? (result as readonly Value[]) : [result as Value];
    return compileProgramNow(this.client, builder.finish(results, kernelName), kernelName);
  }

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }
  override move(
    dataId: object,
    values: tf.backend_util.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    references: number,
  ): void {
    this.#data.set(dataId, { shape, dtype, values, references });
  }
  override readSync(dataId: object): tf.backend_util.BackendValues {
    const entry = this.#data.get(dataId)!;
    if (!entry.buffer) return entry.values!;
    const bytes = download(this.client, entry.buffer, entry.shape);
    if (entry.buffer.element === "bf16") {
      const halves = new Uint16Array(bytes.buffer);
      return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
    }
    if (entry.dtype === "float32") return new Float32Array(bytes.buffer);
    return entry.dtype === "int32" ? new Int32Array(bytes.buffer) : bytes;
  }
  override read(dataId: object): Promise<tf.backend_util.BackendValues> {
    return Promise.resolve(this.readSync(dataId));
  }
  override disposeData(dataId: object, force = false): boolean {
    if (!this.#data.has(dataId)) return true;
    const entry = this.#data.get(dataId)!;
    entry.references -= 1;
    if (!force && entry.references > 0) return false;
    if (entry.buffer) destroy(this.client, entry.buffer);
    this.#data.delete(dataId);
    return true;
  }
  override incRef(dataId: object): void {
    this.#data.get(dataId)!.references += 1;
  }
  override refCount(dataId: object): number {
    return this.#data.has(dataId) ? this.#data.get(dataId)!.references : 0;
  }
  override numDataIds(): number {
    return this.#data.numDataIds();
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
  override floatPrecision(): 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override timerAvailable(): boolean {
    return false;
  }
  override dispose(): void {}
}

const lowersToMany = (kernelName: string): boolean =>
  kernelName === "SplitV" || kernelName === "Unpack" || kernelName === "TopK";

/** Registers the backend's kernels under a name. Identity and Reshape share the buffer instead of copying it. */
export function registerPjrtKernels(backendName: string): void {
  for (const kernelName of Object.keys(lowerings)) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs, backend }) =>
        (backend as PjrtBackend).run(
          kernelName,
          inputs as Record<string, tf.TensorInfo | undefined>,
          (attrs ?? {}) as Record<string, unknown>,
        ),
    });
  }
}
