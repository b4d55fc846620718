// Public names of the training room.

export { t5v10 } from "#toolkit/models/t5/index.ts"; // what a `PretrainOptions.model` begins with
export { type InspectedBackbone, inspectBackbone, type LoadedBackbone, loadBackbone } from "./backbones.ts";
export { backboneProblems, checkRun, resolveRun } from "./check.ts";
export { listCheckpoints } from "./checkpoint.ts";
export {
  applySettings,
  ConfigError,
  configDifference,
  didYouMean,
  type RunConfig,
  type RunConfigInput,
  type SourceConfig,
} from "./config.ts";
export type { TrainEvent } from "./contract.ts";
export { TrainingError } from "./errors.ts";
export { createPredictor, evaluate, type Predictor } from "./evaluate.ts";
export { type TrainOptions, train } from "./loop.ts";
export { type PretrainEvent, type PretrainOptions, pretrain } from "./pretrain.ts";
export { type RunResult, readResult } from "./result.ts";
export { type LogRow, logRows, readRunLog } from "./run-log.ts";
export { teacherConfig } from "./teachers.ts";
