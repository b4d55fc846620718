// Between file values and tensors of the engine.
import { tf } from "#toolkit/tensor/index.ts";
import type { TensorData } from "./safetensors.ts";
import type { WritableTensor } from "./write.ts";

/** A tensor of the engine with the values of a file: float32 or int32, whatever the file stores. */
export function toTensor(data: TensorData): tf.Tensor {
  const dtype = data.values instanceof Float32Array ? "float32" : "int32";
  return tf.tensor(data.values, [...data.shape], dtype);
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
