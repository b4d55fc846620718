// The tensor engine's public names: which engine computes, and `compile`. Models, methods and training import
// tensors from here only, so that there is one tfjs-core in the process. What is not here: layers (nn), models.
import * as tf from "@tensorflow/tfjs-core";

// The checks of tfjs's development mode read values back; its advice to Node users would print in notebooks.
tf.enableProdMode();

export type {
  Compiled,
  CompileOptions,
  CompileStats,
  Engine,
  EngineChoice,
  Precision,
  TensorTree,
} from "./contract.ts";
export {
  compile,
  currentEngine,
  engineAdvice,
  parseEngineChoice,
  skippedEngines,
  tensorFromBytes,
  useEngine,
} from "./engine.ts";
export {
  CompileError,
  EngineError,
  EngineUnavailableError,
  NativeLibraryError,
  OutOfDeviceMemoryError,
} from "./errors.ts";
export { type ValueAndGrads, valueAndGrads } from "./gradients.ts";
export { type Mappings, memoryMappings } from "./native/mappings.ts";
export type { Key } from "./random.ts";
export * as random from "./random.ts";
export type { StoredType, WeightStore } from "./runtime.ts";
export { disposeTree, keepTree, readTree, treeLeaves, treeMap, treeSignature, treeWithLeaves } from "./trees.ts";
export { tf };
