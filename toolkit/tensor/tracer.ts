// A tfjs-core backend that computes nothing: it records each kernel as StableHLO. Models, methods and tfjs's own
// gradient tape run on it unchanged. Tracing is synchronous from start to end, so the switch of backend can never be
// seen by other code of the process. Not the compiler: compile.ts decides what is traced and what runs it.
import * as tf from "@tensorflow/tfjs-core";
import type { Precision, TensorTree } from "./contract.ts";
import { CompileError } from "./errors.ts";
import { Builder, type CalledProducts, type Element, isSplat, type Program, type Value } from "./stablehlo/builder.ts";
import { lowerings } from "./stablehlo/kernels/index.ts";
import { dtypeOf, elementOf } from "./stablehlo/kernels/lowering.ts";
import type { Cut } from "./stablehlo/parts.ts";
import { treeLeaves, treeWithLeaves } from "./trees.ts";

export const tracingBackend = "bunsen-trace";

/** Non-splat constants above this size become arguments: text would cost more than an upload, once. */
const inlineLimit = 64;

/** Where an argument of the program comes from. */
export type Source =
  /** Leaf number of the call's arguments. */
  | { readonly kind: "argument"; readonly leaf: number }
  /** A tensor that the function closed over, read at each call. */
  | { readonly kind: "captured"; readonly tensor: tf.Tensor }
  /** Values that the function made from numbers; uploaded once. */
  | {
      readonly kind: "constant";
      readonly values: Float32Array | Int32Array | Uint8Array;
      readonly shape: readonly number[];
      readonly dtype: tf.DataType;
    };

/** A traced function. */
export interface Trace<Out extends TensorTree> {
  readonly program: Program;
  /** Sources of the program's arguments, in its order. */
  readonly sources: readonly Source[];
  /** For each leaf of the result: a result of the program, or an argument leaf passed through. */
  readonly leaves: readonly ({ readonly result: number } | { readonly argument: number })[];
  /** The result tree; its leaves are placeholders. */
  readonly out: Out;
}

interface Recording {
  readonly builder: Builder;
  readonly sources: Source[];
  readonly values: WeakMap<object, Value>;
  readonly name: string;
  /** How a tensor's bytes lie on the device. */
  readonly isNarrow: (tensor: tf.Tensor) => boolean;
}

let recording: Recording | undefined;

function active(): Recording {
  if (!recording)
    throw new CompileError(
      "a tensor of a traced function was used after its tracing: return it from the function instead of storing it outside",
    );
  return recording;
}

const readMessage = (name: string): string =>
  `${name} reads a tensor's value (dataSync, arraySync, print, or a number computed from one) while it is compiled, when there are no values yet. ` +
  "Return the tensor and read it after the call, choose with tf.where instead of if, or compute the value before and pass it as an argument";

/** The value that stands for a tensor; one that was not made by this trace is captured. */
function valueFor(info: tf.TensorInfo): Value {
  const { values, builder, sources, isNarrow } = active();
  let value = values.get(info.dataId);
  if (!value) {
    const tensor = info as tf.Tensor;
    sources.push({ kind: "captured", tensor });
    value = argument(builder, tensor.shape, elementOf(tensor.dtype), isNarrow(tensor));
    values.set(info.dataId, value);
  }
  return builder.reshape(value, info.shape);
}

/** An argument that reads as its dtype; a narrow one arrives as bf16 and is widened where it is not fed to a dot. */
function argument(builder: Builder, shape: readonly number[], element: Element, narrow: boolean): Value {
  if (!narrow) return builder.argument(shape, element);
  const stored = builder.argument(shape, "bf16");
  return { ...builder.convert(stored, "f32"), narrow: stored };
}

function infoOf(value: Value): tf.TensorInfo {
  const dataId = {};
  active().values.set(dataId, value);
  return { dataId, shape: [...value.shape], dtype: dtypeOf(value.element) };
}

class TracingBackend extends tf.KernelBackend {
  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    const dataId = {};
    const { builder, values: known, sources } = active();
    const element = elementOf(dtype);
    const numbers = values as Float32Array | Int32Array | Uint8Array;
    if (numbers.length <= inlineLimit) known.set(dataId, builder.constant(numbers, shape, element));
    else if (isSplat(numbers)) known.set(dataId, builder.splat(numbers[0]!, shape, element));
    else {
      sources.push({ kind: "constant", values: numbers.slice(), shape: [...shape], dtype });
      known.set(dataId, builder.argument(shape, element));
    }
    return dataId;
  }
  override move(dataId: object, values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): void {
    const { values: known } = active();
    known.set(dataId, known.get(this.write(values, shape, dtype))!);
  }
  override readSync(): never {
    throw new CompileError(readMessage(recording?.name ?? "a compiled function"));
  }
  override read(): never {
    throw new CompileError(readMessage(recording?.name ?? "a compiled function"));
  }
  override numDataIds(): number {
    return 0;
  }
  override disposeData(): boolean {
    return true;
  }
  override incRef(): void {}
  override refCount(): number {
    return 1;
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
  override floatPrecision(): 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override timerAvailable(): boolean {
    return false;
  }
  override dispose(): void {}
}

let registered = false;

function register(): void {
  if (registered) return;
  registered = true;
  // Priority 0: never chosen by itself.
  tf.registerBackend(tracingBackend, () => new TracingBackend(), 0);
  for (const [kernelName, lower] of Object.entries(lowerings)) {
    tf.registerKernel({
      kernelName,
      backendName: tracingBackend,
      kernelFunc: ({ inputs, attrs }) => {
        const values: Record<string, Value> = {};
        for (const [name, input] of Object.entries(inputs as Record<string, tf.TensorInfo | undefined>))
          if (input) values[name] = valueFor(input);
        const result = lower(active().builder, values, (attrs ?? {}) as Record<string, unknown>);
        return Array.isArray(result) ? (result as readonly Value[]).map(infoOf) : infoOf(result as Value);
      },
    });
  }
}

export interface TraceOptions {
  readonly name: string;
  readonly precision: Precision;
  /** Whether a tensor rests on the device as bf16. */
  readonly isNarrow: (tensor: tf.Tensor) => boolean;
  /** See `BuilderOptions`. */
  readonly mergedBatches?: boolean;
  readonly windowedSums?: boolean;
  readonly wideProducts?: boolean;
  /** The library that computes its programs' products, where there is one. */
  readonly calledProducts?: CalledProducts | undefined;
  readonly cut?: Cut | undefined;
}

/**
 * Runs `fn` once on placeholders of the arguments' shapes and returns what it recorded.
 * @throws CompileError naming a kernel without lowering and the line that called it, or a value that was read.
 */
export function trace<Args extends readonly TensorTree[], Out extends TensorTree>(
  fn: (...args: Args) => Out,
  args: Args,
  options: TraceOptions,
): Trace<Out> {
  if (recording)
    throw new CompileError(
      `${options.name} was called while ${recording.name} is being compiled; call the plain function inside it instead of the compiled one`,
    );
  register();
  const engine = tf.engine();
  const previous = tf.getBackend();
  const builder = new Builder(options.precision, {
    mergedBatches: options.mergedBatches ?? false,
    windowedSums: options.windowedSums ?? false,
    wideProducts: options.wideProducts ?? false,
    calledProducts: options.calledProducts,
    cut: options.cut,
  });
  const current: Recording = {
    builder,
    sources: [],
    values: new WeakMap(),
    name: options.name,
    isNarrow: options.isNarrow,
  };
  const leaves = treeLeaves(args);
  recording = current;
  // Both switches take effect at once: `setBackend` waits only for a backend that still has to start.
  void tf.setBackend(tracingBackend);
  engine.startScope(options.name);
  try {
    const placeholders = leaves.map((leaf, index) => {
      current.sources.push({ kind: "argument", leaf: index });
      const dataId = {};
      current.values.set(dataId, argument(builder, leaf.shape, elementOf(leaf.dtype), options.isNarrow(leaf)));
      return makeTensor({ dataId, shape: leaf.shape, dtype: leaf.dtype });
    });
    const out = fn(...treeWithLeaves(args, placeholders));
    if (out instanceof Promise)
      throw new CompileError(`${options.name} is asynchronous; a compiled function must return tensors, not a promise`);
    const results: Value[] = [];
    const outLeaves = treeLeaves(out).map((leaf): Trace<Out>["leaves"][number] => {
      const passed = placeholders.findIndex(
        (placeholder) => placeholder.dataId === leaf.dataId && placeholder.shape.join() === leaf.shape.join(),
      );
      if (passed >= 0) return { argument: passed };
      return { result: results.push(valueFor(leaf)) - 1 };
    });
    const program = builder.finish(results, options.name);
    const sources = program.arguments.map(
      (argument): Source =>
        current.sources[argument.index] ?? {
          kind: "constant",
          values: builder.brought(argument)!,
          shape: argument.value.shape,
          dtype: "int32",
        },
    );
    return { program, sources, leaves: outLeaves, out };
  } catch (error) {
    throw explain(error, options.name);
  } finally {
    engine.endScope();
    void tf.setBackend(previous);
    recording = undefined;
  }
}

function makeTensor(info: tf.TensorInfo): tf.Tensor {
  return (
    tf.engine() as unknown as { makeTensorFromTensorInfo(info: tf.TensorInfo): tf.Tensor }
  ).makeTensorFromTensorInfo(info);
}

/** tfjs's message about a missing kernel, with what it means here and the line of the caller's code. */
function explain(error: unknown, name: string): unknown {
  if (!(error instanceof Error)) return error;
  const kernel = /Kernel '(\w+)' not registered for backend|backend '?(?:bunsen-trace)'?.*kernel '?(\w+)/.exec(
    error.message,
  );
  if (!kernel) return error;
  const site = (error.stack ?? "")
    .split("\n")
    .find((line) => /\bat\b|@/.test(line) && !line.includes("node_modules") && !line.includes(import.meta.dirname));
  return new CompileError(
    `${name} uses the kernel ${kernel[1] ?? kernel[2]}, which cannot be compiled${site ? ` (${site.trim()})` : ""}. Write it with other ops, or compute it before and pass the result as an argument`,
    { cause: error },
  );
}
