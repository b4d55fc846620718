// The public names of this room; README.md says how they fit together.

export { lengthsFrom, optimalLengths, paddingShare, sharedLengths, type TaskLengths } from "./buckets.ts";
export type { Batch, StepBatch } from "./contract.ts";
export { DatasetTable } from "./dataset-table.ts";
export type { DownloadProgress } from "./download.ts";
export { type EncodeDatasetOptions, type EncodedDataset, encodeDataset } from "./encode.ts";
export { type Environment, readEnvironment } from "./environment.ts";
export { DataError, type DataWarning, HubError, type HubErrorCode } from "./errors.ts";
export { type HubFile, type HubOptions, hubFiles } from "./hub.ts";
export { type LoadOptions, loadDataset } from "./load-dataset.ts";
export {
  type BatchRange,
  createMixture,
  type EvaluationOptions,
  evaluationBatches,
  type Mixture,
  type MixtureOptions,
  type MixtureTask,
} from "./mixture.ts";
export type { Sampling, StochasticTasks } from "./sampling.ts";
export { type Verified, verifyPins } from "./verify.ts";
