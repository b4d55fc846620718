// `compile` for engines without a compiler, and for functions not worth compiling: runs the function itself, in `tf.tidy`, and keeps the contract (a promise,
// donated arguments freed, statistics). Not a tracer: that is compile.ts.
import * as tf from "@tensorflow/tfjs-core";
import type { Compiled, CompileOptions, CompileStats, TensorTree } from "./contract.ts";
import { CompileError } from "./errors.ts";
import { disposeTree, treeMap, treeSignature } from "./trees.ts";

export function plainCompile<Args extends readonly TensorTree[], Out extends TensorTree>(
  fn: (...args: Args) => Out,
  options: CompileOptions,
): Compiled<Args, Out> {
  const signatures = new Set<string>();
  let calls = 0;
  let disposed = false;
  const compiled = async (...args: Args): Promise<Out> => {
    if (disposed) throw new CompileError(`${options.name ?? "the compiled function"} was disposed`);
    calls += 1;
    signatures.add(args.map(treeSignature).join("|"));
    const out = tf.tidy(() => {
      // A result is the caller's to dispose. One that was there before (an argument, which may be donated, or a tensor
      // that `fn` closes over) and one that is returned twice are cloned, as a compiled function gives them.
      const first = nextTensorId();
      const given = new Set<tf.Tensor>();
      return treeMap(fn(...args), (leaf) => {
        const own = leaf.id >= first && !given.has(leaf);
        given.add(leaf);
        return own ? leaf : tf.clone(leaf);
      }) as unknown as tf.TensorContainer;
    }) as unknown as Out;
    for (const index of options.donate ?? []) disposeTree(args[index]!);
    return out;
  };
  return Object.defineProperties(compiled, {
    prepare: { value: async (): Promise<void> => undefined },
    stats: {
      get: (): CompileStats => ({ executables: signatures.size, calls, traceMs: 0, compileMs: 0, parts: 0, flops: 0 }),
    },
    dispose: {
      value: (): void => {
        disposed = true;
      },
    },
  }) as Compiled<Args, Out>;
}

/** Tensors are numbered as they are made. */
const nextTensorId = (): number => (tf.engine() as unknown as { nextTensorId(): number }).nextTensorId();
