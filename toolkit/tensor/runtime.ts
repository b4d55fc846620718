// What one way of computing (wasm, libtensorflow, a PJRT plugin) offers to the rest of this folder. Types only; not
// public: users see `Engine` of contract.ts.
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Compiled, CompileOptions, Engine, TensorTree } from "./contract.ts";

/** How a file stores numbers; the names are those of safetensors. */
export type StoredType = "F32" | "F16" | "BF16" | "I32" | "I64" | "U8" | "BOOL";

/** How an engine keeps a frozen weight: as it computes (`f32`) or once as `bf16`, which halves its memory. */
export type WeightStore = "f32" | "bf16";

export interface Runtime {
  readonly engine: Engine;
  /** Whether its own ops are native: what computes little need not be compiled. */
  readonly nativeOps?: boolean;
  /** A tensor of raw little-endian bytes; they may be a view of a mapped file and are not kept. */
  upload(bytes: Uint8Array, stored: StoredType, shape: readonly number[], store: WeightStore): Tensor;
  compile<Args extends readonly TensorTree[], Out extends TensorTree>(
    fn: (...args: Args) => Out,
    options: CompileOptions,
  ): Compiled<Args, Out>;
}
