// Public names of T5.
export { formatT5Config, parseT5Config, type T5Config, t5v10 } from "./config.ts";
export {
  createGenerator,
  type GenerateBatch,
  type GenerationInputs,
  type Generator,
  type GeneratorOptions,
  type MakePorts,
} from "./generate/index.ts";
export {
  type Encoded,
  type EncodeInputs,
  encode,
  type Forward,
  type ForwardInputs,
  forward,
  type PortsSource,
  shiftRight,
} from "./model.ts";
export { inspectT5, loadT5, randomT5, saveT5, type T5Inspection, type T5Model, t5Model } from "./weights.ts";
