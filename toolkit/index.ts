// The toolkit's public names: what `import … from "bunsen"` gives in a notebook cell, a recipe or another program.
// Every name is listed; what is not here is not promised.
import { join } from "node:path";
import { engineAdvice, useEngine } from "#toolkit/tensor/index.ts";

export * as arrow from "apache-arrow";
export {
  addDataset,
  classification,
  DataError,
  type Dataset,
  datasetNames,
  digits,
  type Example,
  findDataset,
  float32,
  int32,
  int64,
  list,
  type Split,
  schemaOf,
  struct,
  utf8,
} from "#datasets/index.ts";
export {
  createMixture,
  type DatasetTable,
  type EncodedDataset,
  encodeDataset,
  evaluationBatches,
  loadDataset,
  type Mixture,
} from "#toolkit/batches/index.ts";
export { type Grid, gridSteps, runGrid } from "#toolkit/experiments/index.ts";
export type { Method } from "#toolkit/methods/contract.ts";
export { findMethod, type MethodName, methodNames, methods } from "#toolkit/methods/methods.ts";
export { metrics, score } from "#toolkit/metrics/index.ts";
export * as clip from "#toolkit/models/clip/index.ts";
export type { Ports, TwoTowerPorts } from "#toolkit/models/contract.ts";
export {
  createGenerator,
  forward,
  loadT5,
  randomT5,
  saveT5,
  type T5Config,
  type T5Model,
  t5Model,
  t5v10,
} from "#toolkit/models/t5/index.ts";
export { adamw, crossEntropy, scheduleFactor } from "#toolkit/nn/index.ts";
export {
  compareMethods,
  eventLine,
  type Figure,
  finish,
  type LabelledRun,
  lossFigure,
  lossPoints,
  type ResultTable,
  resultTable,
  type Summary,
  scoreFigure,
  summarise,
  summaryFigure,
  summaryTable,
  watch,
} from "#toolkit/report/index.ts";
export {
  compile,
  currentEngine,
  disposeTree,
  type Engine,
  keepTree,
  random,
  tf,
  useEngine,
  valueAndGrads,
} from "#toolkit/tensor/index.ts";
export { loadTokenizer, type Tokenizer } from "#toolkit/tokenizers/index.ts";
export { answer, type OpenRun, openRun } from "#toolkit/training/answer.ts";
export {
  ConfigError,
  checkRun,
  type LogRow,
  loadBackbone,
  logRows,
  type RunConfig,
  type RunConfigInput,
  type RunResult,
  readResult,
  readRunLog,
  resolveRun,
  type TrainEvent,
  TrainingError,
  train,
} from "#toolkit/training/index.ts";

/** The toy backbone of the mini benchmark: a folder with config.json, model.safetensors and tokenizer.json. */
export const miniBackbone: string = join(import.meta.dirname, "../datasets/mini/backbone");

// `tf.add(…)` in a cell computes at once, and starting an engine takes a moment: it is done while "bunsen" is imported.
// The first of BUNSEN_ENGINE, an engine already in use, and the fastest one found; `useEngine(name)` changes it.
await useEngine();
const advice: string | null = process.env.BUNSEN_ENGINE ? null : engineAdvice();
if (advice !== null) console.info(`bunsen: ${advice}`);
