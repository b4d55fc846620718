// Between file values and tensors of the engine.
import { type StoredType, tensorFromBytes, tf, type WeightStore } from "#toolkit/tensor/index.ts";
import type { WeightSource } from "./folder.ts";
import type { TensorData } from "./safetensors.ts";
import type { WritableTensor } from "./write.ts";

/** A tensor of the engine with the values of a file: float32 or int32, whatever the file stores. */
export function toTensor(data: TensorData): tf.Tensor {
  const dtype = data.values instanceof Float32Array ? "float32" : "int32";
  return tf.tensor(data.values, [...data.shape], dtype);
}

/** The types that the engine takes as they lie in the file; others are converted here first. */
const direct: readonly string[] = ["F32", "F16", "BF16", "I32", "I64"] satisfies readonly StoredType[];

/**
 * A tensor of a file, straight from the mapped bytes to the device. `store: "bf16"` keeps it as bfloat16 where the
 * engine can.
 */
export function uploadTensor(source: WeightSource, name: string, store: WeightStore = "f32"): tf.Tensor {
  const { dtype, shape, bytes } = source.bytes(name);
  if (!direct.includes(dtype)) return toTensor(source.read(name));
  return tensorFromBytes(bytes, dtype as StoredType, shape, { store });
}

/** Reads tensors back from the device, for `writeSafetensors`. */
export async function fromTensors(
  tensors: Readonly<Record<string, tf.Tensor>>,
): Promise<Record<string, WritableTensor>> {
  const entries = Object.entries(tensors).map(async ([name, tensor]) => {
    const values = await tensor.data();
    const typed = values instanceof Float32Array ? values : Int32Array.from(values as Int32Array);
    return [name, { shape: tensor.shape, values: typed }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
