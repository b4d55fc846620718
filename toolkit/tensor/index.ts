// The tensor engine's public names: which engine computes, and `compile`. Models, methods and training import
// tensors from here only, so that there is one tfjs-core in the process. What is not here: layers (nn), models.
export * as tf from "@tensorflow/tfjs-core";
export type {
  Compiled,
  CompileOptions,
  CompileStats,
  Engine,
  EngineChoice,
  Precision,
  TensorTree,
} from "./contract.ts";
