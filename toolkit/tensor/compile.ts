// `compile` on engines that have a compiler: traces a function once per input signature, hands the StableHLO text to
// the device, and calls the executable. Knows no library: a `Device` does the work (runtimes/).
import * as tf from "@tensorflow/tfjs-core";
import type { Compiled, CompileOptions, CompileStats, TensorTree } from "./contract.ts";
import { CompileError, EngineError } from "./errors.ts";
import type { CalledProducts, Program } from "./stablehlo/builder.ts";
import type { Cut } from "./stablehlo/parts.ts";
import { type Source, type Trace, trace } from "./tracer.ts";
import { disposeTree, treeLeaves, treeSignature, treeWithLeaves } from "./trees.ts";

/** A program that a device has accepted. */
export interface Executable {
  /** Runs it. Tensors in, tensors out, both on the device. */
  call(inputs: readonly tf.Tensor[]): Promise<tf.Tensor[]>;
  /** Compiles it where that was not done before, on a thread of its own. Changes no input. */
  prepare(inputs: readonly tf.Tensor[]): Promise<void>;
  /** Milliseconds that compiling took; null as long as it has not been compiled. */
  readonly compileMs: number | null;
  /** Calls that are under way end as if it had not been called. */
  dispose(): void;
}

/** What `compile` needs of a runtime. */
export interface Device {
  /** Whether a tensor rests on the device as bf16. */
  isNarrow(tensor: tf.Tensor): boolean;
  /** Whether its compiler computes products in bf16 only where they have at most one batch dimension. */
  readonly mergedBatches: boolean;
  /** Whether long sums are to be written as sums of windows, since its compiler does not do so itself. */
  readonly windowedSums?: boolean;
  /** The library that computes its programs' products, where there is one. */
  readonly calledProducts?: CalledProducts | undefined;
  /** Which programs it runs in parts (stablehlo/parts.ts); none where not given. */
  readonly cut?: Cut | undefined;
  /**
   * `donated`: positions of arguments that the program may reuse for results; their tensors are freed after a call.
   * `beside`: if this compiles, then on a thread of its own instead of the engine thread.
   */
  prepare(program: Program, name: string, donated: readonly number[], beside: boolean): Promise<Executable>;
}

/**
 * What XLA says on a processor (TensorFlow 2.21) when it runs a bf16 product that it cannot compute. It gives f32 to such
 * products while it compiles, and after that turns others into ones; so nobody can tell before.
 */
const lostProduct = /Unsupported element type for DotThunk/;

interface Entry<Out extends TensorTree> {
  readonly traced: Trace<Out>;
  readonly executable: Executable;
  /** Uploaded constants, by position among the sources. */
  readonly constants: ReadonlyMap<Source, tf.Tensor>;
  /** The one that runs instead of this, whose products were lost. */
  instead?: Promise<Entry<Out>>;
}

export function compileFor<Args extends readonly TensorTree[], Out extends TensorTree>(
  device: Device,
  fn: (...args: Args) => Out,
  options: CompileOptions,
): Compiled<Args, Out> {
  const name = options.name ?? (fn.name || "a compiled function");
  const entries = new Map<string, Promise<Entry<Out>>>();
  const ready: Entry<Out>[] = [];
  let calls = 0;
  let traceMs = 0;
  let disposed = false;

  const throwIfDisposed = (): void => {
    if (disposed) throw new CompileError(`${name} was disposed`);
  };

  const build = async (args: Args, beside: boolean, wideProducts: boolean): Promise<Entry<Out>> => {
    const start = performance.now();
    const traced = trace(fn, args, {
      name,
      precision: options.precision ?? "f32",
      isNarrow: (tensor) => device.isNarrow(tensor),
      mergedBatches: device.mergedBatches,
      windowedSums: device.windowedSums ?? false,
      wideProducts,
      calledProducts: device.calledProducts,
      cut: device.cut,
    });
    const constants = new Map<Source, tf.Tensor>();
    let executable: Executable | undefined;
    try {
      for (const source of traced.sources) {
        if (source.kind === "constant")
          constants.set(source, tf.keep(tf.tensor(source.values, [...source.shape], source.dtype)));
      }
      traceMs += performance.now() - start;
      const donatedLeaves = donatedLeafIndices(args, options.donate ?? []);
      // The caller goes on reading an argument that comes back as a result.
      for (const leaf of traced.leaves) if ("argument" in leaf) donatedLeaves.delete(leaf.argument);
      const donated = traced.sources.flatMap((source, index) =>
        source.kind === "argument" && donatedLeaves.has(source.leaf) ? [index] : [],
      );
      executable = await device.prepare(traced.program, name, donated, beside);
      // Disposed meanwhile: nobody would free what is not yet among the ready ones.
      throwIfDisposed();
    } catch (error) {
      executable?.dispose();
      for (const tensor of constants.values()) tensor.dispose();
      throw error;
    }
    const entry: Entry<Out> = { traced, executable, constants };
    ready.push(entry);
    return entry;
  };

  /** Gives `use` the program for these arguments, traced now if they are the first of their kind, and its inputs. */
  const withProgram = async <T>(
    args: Args,
    beside: boolean,
    use: (entry: Entry<Out>, inputs: tf.Tensor[], leaves: readonly tf.Tensor[]) => Promise<T>,
  ): Promise<T> => {
    throwIfDisposed();
    const leaves = treeLeaves(args);
    for (const leaf of leaves) alive(leaf, name);
    const signature =
      args.map(treeSignature).join("|") + leaves.map((leaf) => (device.isNarrow(leaf) ? "n" : "")).join();
    let entry = entries.get(signature);
    if (!entry) {
      entry = build(args, beside, false);
      entries.set(signature, entry);
      // A failed compile is tried again by the next call.
      entry.catch(() => entries.delete(signature));
    }
    const first = await entry;
    const chosen = await (first.instead ?? first);
    // `use` takes hold of program and inputs at once, with no wait after these checks: whoever disposes later waits for it.
    const start = (ready: Entry<Out>): Promise<T> => {
      throwIfDisposed();
      for (const leaf of ready.traced.leaves) if ("argument" in leaf) alive(leaves[leaf.argument]!, name);
      const inputs = ready.traced.sources.map((source) => input(source, leaves, ready.constants, name));
      return use(ready, inputs, leaves);
    };
    try {
      return await start(chosen);
    } catch (error) {
      if (!(error instanceof EngineError && lostProduct.test(error.message))) throw error;
      throwIfDisposed();
      first.instead ??= build(args, beside, true);
      // A failed compile is tried again by the next call.
      first.instead.catch(() => delete first.instead);
      return start(await first.instead);
    }
  };

  const compiled = async (...args: Args): Promise<Out> => {
    calls += 1;
    return withProgram(args, false, async ({ traced, executable }, inputs, leaves) => {
      // Before the call: a device sees by them which buffers somebody goes on reading.
      const passed = traced.leaves.map((leaf) => ("argument" in leaf ? tf.clone(leaves[leaf.argument]!) : undefined));
      let results: tf.Tensor[];
      try {
        results = await executable.call(inputs);
      } catch (error) {
        for (const tensor of passed) tensor?.dispose();
        throw error;
      }
      const out = traced.leaves.map((leaf, index) => ("result" in leaf ? results[leaf.result]! : passed[index]!));
      for (const index of options.donate ?? []) disposeTree(args[index]!);
      return treeWithLeaves(traced.out, out);
    });
  };

  return Object.defineProperties(compiled, {
    prepare: {
      value: async (...args: Args): Promise<void> => {
        await withProgram(args, true, ({ executable }, inputs) => executable.prepare(inputs));
      },
    },
    stats: {
      get: (): CompileStats => ({
        executables: ready.filter(({ executable }) => executable.compileMs !== null).length,
        calls,
        traceMs,
        compileMs: ready.reduce((sum, { executable }) => sum + (executable.compileMs ?? 0), 0),
        parts: ready.length > 0 ? (ready.at(-1)!.traced.program.parts?.parts.length ?? 1) : 0,
        flops: ready.at(-1)?.traced.program.flops ?? 0,
      }),
    },
    program: { get: () => ready.at(-1)?.traced.program },
    dispose: {
      value: (): void => {
        disposed = true;
        for (const { executable, constants } of ready.splice(0)) {
          executable.dispose();
          for (const tensor of constants.values()) tensor.dispose();
        }
        entries.clear();
      },
    },
  }) as unknown as Compiled<Args, Out>;
}

function input(
  source: Source,
  leaves: readonly tf.Tensor[],
  constants: ReadonlyMap<Source, tf.Tensor>,
  name: string,
): tf.Tensor {
  if (source.kind === "argument") return alive(leaves[source.leaf]!, name);
  if (source.kind === "constant") return constants.get(source)!;
  if (source.tensor.isDisposed) {
    throw new CompileError(
      `a tensor of shape [${source.tensor.shape}] that ${name} closes over was disposed; keep it alive as long as the function, or pass it as an argument`,
    );
  }
  return source.tensor;
}

/** The argument itself. @throws CompileError when it is disposed. */
function alive(leaf: tf.Tensor, name: string): tf.Tensor {
  if (leaf.isDisposed) {
    throw new CompileError(
      `${name} was called with a tensor of shape [${leaf.shape}] that is disposed; a donated argument cannot be used again`,
    );
  }
  return leaf;
}

/** Leaf numbers (over all arguments) of the donated arguments. */
function donatedLeafIndices(args: readonly TensorTree[], donate: readonly number[]): Set<number> {
  const indices = new Set<number>();
  let next = 0;
  args.forEach((arg, position) => {
    for (const _ of treeLeaves(arg)) {
      if (donate.includes(position)) indices.add(next);
      next += 1;
    }
  });
  return indices;
}
