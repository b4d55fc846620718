// The contract of the tensor engine: types only. Implementations: runtimes/ (wasm, libtensorflow, pjrt).
import type { Tensor } from "@tensorflow/tfjs-core";

/** What a user may ask for (`--engine`, BUNSEN_ENGINE). `auto` takes the fastest one found. */
export type EngineChoice = "auto" | "cuda" | "cpu" | "wasm";

/** `f32`; `bf16`: operands of dot and convolution in bf16, sums in f32, frozen weights stored once as bf16; `tf32`: CUDA only. */
export type Precision = "f32" | "bf16" | "tf32";

/** Nested arrays and objects whose leaves are tensors: parameters, optimiser states, batches. */
export type TensorTree = Tensor | readonly TensorTree[] | { readonly [name: string]: TensorTree };

/** The engine in use. */
export interface Engine {
  readonly name: Exclude<EngineChoice, "auto">;
  /** The tfjs backend that eager ops run on. */
  readonly backend: string;
  readonly version: string;
  readonly device: string;
  /** Threads that one op may use, where the engine lets us say so: BUNSEN_THREADS, else all cores. */
  readonly threads?: number;
  /** What computes the matrix products of compiled functions, where that is a choice (libtensorflow on a processor). */
  readonly products?: string;
  /** Folder that keeps compiled programs over processes; absent where none are kept. */
  readonly programCache?: string;
}

export interface CompileOptions {
  readonly precision?: Precision;
  /** Indices of arguments whose tensors the call consumes (the old state): freed or reused after the call. */
  readonly donate?: readonly number[];
  /** Shown in statistics and errors. */
  readonly name?: string;
  /**
   * Whether calls with arguments like these compute little: an engine whose own ops are native then runs `fn` op by op
   * and spares the compilation. Asked once, at the first call.
   */
  readonly small?: (args: readonly TensorTree[]) => boolean;
}

export interface CompileStats {
  /** Signatures compiled so far. */
  readonly executables: number;
  readonly calls: number;
  readonly traceMs: number;
  /** libtensorflow compiles inside the first call of a signature: until a second one, that call's computing is in it. */
  readonly compileMs: number;
  /** Into how many parts the newest executable's program is cut, each compiled once; 1 where it is whole, 0 where there is none. */
  readonly parts: number;
  /** Multiply–add operations (times two) of one call of the newest executable; 0 where nothing is compiled. */
  readonly flops: number;
}

/**
 * A compiled function: same arguments and results as `fn`, results in a promise so that timers, interrupts and live
 * plots go on meanwhile. One executable per input signature (tree structure, shapes, dtypes).
 * On wasm, and on libtensorflow where it is `small`, it runs `fn` itself (in `tf.tidy`). Tensors that `fn` closes over are captured and stay on the device.
 */
export interface Compiled<Args extends readonly TensorTree[], Out extends TensorTree> {
  (...args: Args): Promise<Out>;
  /**
   * Compiles for arguments of these shapes and types, beside a call or a compilation that is under way; the arguments'
   * values do not matter, and none is consumed. A library that compiles inside a first call only (libtensorflow) makes
   * that call and drops its results: for functions whose computing is small.
   */
  prepare(...args: Args): Promise<void>;
  readonly stats: CompileStats;
  dispose(): void;
}
