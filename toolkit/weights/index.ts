// Public names of the weights room: safetensors files and model folders, read and written.
export type { FileDtype, Values, WritableDtype } from "./dtypes.ts";
export { WeightsError, WriteError } from "./errors.ts";
export { openWeights, readJsonObject, type WeightSource } from "./folder.ts";
export { type LoadOptions, loadWeights, weightProblems } from "./load.ts";
export {
  openSafetensors,
  type SafetensorsFile,
  type TensorBytes,
  type TensorData,
  type TensorInfo,
} from "./safetensors.ts";
export { sameSample, sampleValues } from "./sample.ts";
export { fromTensors, toTensor, uploadTensor } from "./tensors.ts";
export { makeFolder, type WritableTensor, writeAtomic, writeJson, writeSafetensors } from "./write.ts";
