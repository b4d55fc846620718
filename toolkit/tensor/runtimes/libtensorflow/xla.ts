// StableHLO through libtensorflow: the op XlaCallModule takes a module's text and XLA compiles it at the first call. One
// executable is one op description, or several that run one after the other (stablehlo/parts.ts); calls run on the engine
// thread. Donation is done by freeing: XlaCallModule ignores aliasing.
import { ptr } from "bun:ffi";
import type * as tf from "@tensorflow/tfjs-core";
import type { Executable } from "../../compile.ts";
import { besideEngine, callOnThread } from "../../native/thread.ts";
import { bytesOf, type Element, type Program, type Value } from "../../stablehlo/builder.ts";
import type { Part, Parts } from "../../stablehlo/parts.ts";
import { addressOf, newTensor } from "./binding.ts";
import { type Handle, type Tensorflow, types } from "./library.ts";

/** Version of XlaCallModule's calling convention (xla_call_module_op): 9 takes StableHLO text as it is. */
const callingConvention = 9n;

const typeNumbers: Readonly<Record<Element, number>> = {
  f32: types.float32,
  bf16: types.bfloat16,
  i32: types.int32,
  ui32: types.uint32,
  ui16: types.uint16,
  i1: types.bool,
};

/** How tensors and C handles meet; the backend of this runtime. */
export interface HandleStore {
  handleOf(tensor: tf.Tensor): Handle;
  adopt(handle: Handle): tf.Tensor;
}

type OnThread = typeof callOnThread;

/** A module that XLA compiles once: handles in, handles out, which are the caller's to delete. */
type Module = (inputs: readonly bigint[], onThread: OnThread) => Promise<BigUint64Array>;

function moduleOf(tensorflow: Tensorflow, { text, takes, gives }: Part, name: string): Module {
  const { c, context, status, check } = tensorflow;
  const platform = tensorflow.devices.some(({ type }) => type === "GPU") ? "CUDA" : "CPU";
  // C reads these while an op is built; `held` also keeps the description alive as long as the executable.
  const module = Buffer.from(text);
  const typesOf = (values: readonly Value[]): Int32Array =>
    Int32Array.from(values, ({ element }) => typeNumbers[element]);
  const [inputTypes, outputTypes] = [typesOf(takes), typesOf(gives)];
  const shapes = gives.map(({ shape }) => BigInt64Array.from(shape.length > 0 ? shape : [0], BigInt));
  const shapePointers = BigUint64Array.from(shapes, (shape) => addressOf(shape));
  const ranks = Int32Array.from(gives, ({ shape }) => shape.length);
  const platforms = Buffer.from(platform);
  const platformPointers = BigUint64Array.of(addressOf(platforms));
  const platformLengths = BigUint64Array.of(BigInt(platforms.length));
  const held = {
    module,
    inputTypes,
    outputTypes,
    shapes,
    shapePointers,
    ranks,
    platforms,
    platformPointers,
    platformLengths,
  };

  const build = (inputs: readonly bigint[]): Handle => {
    const op = c.TFE_NewOp(context, "XlaCallModule", status);
    check(`preparing ${name}`);
    const handles = BigUint64Array.from(inputs);
    // The op holds a reference to each input: tensors may be freed while it runs.
    c.TFE_OpAddInputList(op, handles.length > 0 ? handles : null, handles.length, status);
    check(`passing ${handles.length} arguments to ${name}`);
    c.TFE_OpSetAttrInt(op, "version", callingConvention);
    c.TFE_OpSetAttrString(op, "module", module, BigInt(module.length));
    c.TFE_OpSetAttrTypeList(op, "Tin", inputTypes.length > 0 ? inputTypes : null, inputTypes.length);
    c.TFE_OpSetAttrTypeList(op, "Tout", outputTypes, outputTypes.length);
    c.TFE_OpSetAttrShapeList(op, "Sout", shapePointers, ranks, outputTypes.length, status);
    check(`describing the results of ${name}`);
    c.TFE_OpSetAttrStringList(op, "platforms", platformPointers, platformLengths, 1);
    return op!;
  };

  return async (inputs, onThread) => {
    const op = build(inputs);
    const made = new BigUint64Array(gives.length);
    const count = Int32Array.of(made.length);
    const own = c.TF_NewStatus()!;
    try {
      await onThread(
        {
          address: tensorflow.address("TFE_Execute"),
          arguments: [BigInt(op), ptr(made), ptr(count), BigInt(own)],
          returns: "void",
        },
        { made, count, held },
      );
      check(`running ${name}`, own);
    } finally {
      c.TFE_DeleteOp(op);
      c.TF_DeleteStatus(own);
    }
    return made;
  };
}

/**
 * Runs the parts one after the other; what no later one reads is freed as soon as that is so. In the first run, threads
 * beside it compile parts from the last one on.
 */
function inParts(tensorflow: Tensorflow, { parts, calls }: Parts, program: Program, name: string): Module {
  const { c, status, check } = tensorflow;
  const modules = parts.map((part) => moduleOf(tensorflow, part, name));
  const results = program.results.map((value) => value.name);
  const lastReader = new Map<string, number>();
  for (const [index, { takes }] of calls.entries()) for (const taken of takes) lastReader.set(taken, index);
  for (const result of results) lastReader.set(result, calls.length);

  /** Another handle of the same tensor. */
  const share = (handle: bigint): bigint => {
    const other = c.TFE_TensorHandleCopySharingTensor(handle, status);
    check(`passing a tensor to ${name}`);
    return BigInt(other!);
  };
  /** A tensor of the value's type; only whole numbers, which may be positions, have a value: 0, or another in each byte. */
  const anyTensor = (value: Value, byte = 0): bigint => {
    const isFloat = value.element === "f32" || value.element === "bf16";
    const handle = newTensor(tensorflow, value.shape, typeNumbers[value.element], bytesOf(value), (data) => {
      if (!isFloat) data.fill(byte);
    });
    return BigInt(handle);
  };

  /** XLA compiles what it runs, so a part is run once, without its products, on what it takes as far as that exists. */
  const compilePart = async (part: number, made: ReadonlyMap<string, bigint>, run: OnThread): Promise<void> => {
    const inputs: bigint[] = [];
    try {
      // Their names are those of the part's first call.
      for (const value of parts[part]!.takes) {
        const known = made.get(value.name);
        if (value.name === program.rehearsal?.name) inputs.push(anyTensor(value, 1));
        else inputs.push(known === undefined ? anyTensor(value) : share(known));
      }
      for (const handle of await modules[part]!(inputs, run)) c.TFE_DeleteTensorHandle(handle);
    } finally {
      for (const handle of inputs) c.TFE_DeleteTensorHandle(handle);
    }
  };
  let isFirst = true;

  return async (inputs, onThread) => {
    const made = new Map<string, bigint>();
    const free = (value: string): void => {
      const handle = made.get(value);
      if (handle !== undefined) c.TFE_DeleteTensorHandle(handle);
      made.delete(value);
    };
    let reached = 0;
    let ahead = parts.length;
    const helpers: Promise<void>[] = [];
    const help = (): Promise<void> =>
      besideEngine(async (run) => {
        while (--ahead > reached) await compilePart(ahead, made, run);
        // What fails here fails again where it is called, and is told there.
      }).catch(() => undefined);
    try {
      // References of our own: a tensor may be freed while an early part runs that a later one reads.
      for (const [index, { value }] of program.arguments.entries()) made.set(value.name, share(inputs[index]!));
      if (isFirst) for (let helper = 1; helper < Math.min(tensorflow.threads, 4); helper++) helpers.push(help());
      isFirst = false;
      for (const [index, { part, takes, gives }] of calls.entries()) {
        reached = Math.max(reached, part);
        const handles = await modules[part]!(
          takes.map((value) => made.get(value)!),
          onThread,
        );
        for (const [place, value] of gives.entries()) made.set(value, handles[place]!);
        for (const value of [...takes, ...gives]) if ((lastReader.get(value) ?? -1) <= index) free(value);
      }
      // A handle for each result: two may be one value.
      return BigUint64Array.from(results, (value) => share(made.get(value)!));
    } finally {
      ahead = 0;
      await Promise.all(helpers);
      for (const value of [...made.keys()]) free(value);
    }
  };
}

const wholeOf = ({ text, arguments: takes, results }: Program): Part => ({
  text,
  takes: takes.map(({ value }) => value),
  gives: results,
});

export function prepareXla(tensorflow: Tensorflow, store: HandleStore, program: Program, name: string): Executable {
  const { c } = tensorflow;
  const module = program.parts
    ? inParts(tensorflow, program.parts, program, name)
    : moduleOf(tensorflow, wholeOf(program), name);
  // XLA compiles inside the first call that succeeds; what that took beyond a later one is the compilation.
  let first: number | undefined;
  let fastest = 0;
  const run = async (inputs: readonly tf.Tensor[], onThread: OnThread): Promise<BigUint64Array> => {
    const handles = inputs.map((tensor) => BigInt(store.handleOf(tensor)));
    const start = performance.now();
    const results = await module(handles, onThread);
    const took = performance.now() - start;
    if (first === undefined) first = took;
    else fastest = fastest === 0 ? took : Math.min(fastest, took);
    return results;
  };
  return {
    async call(inputs) {
      if (program.results.length === 0) return [];
      return Array.from(await run(inputs, callOnThread), (handle) => store.adopt(handle));
    },
    async prepare(inputs) {
      if (program.results.length === 0 || first !== undefined) return;
      const results = await besideEngine((onThread) => run(inputs, onThread));
      for (const handle of results) c.TFE_DeleteTensorHandle(handle);
    },
    get compileMs() {
      return first === undefined ? null : Math.max(0, first - fastest);
    },
    dispose() {
      // The context caches kernels by op description; there is no call to drop a single one.
    },
  };
}
