// StableHLO through libtensorflow: the op XlaCallModule takes the module's text and XLA compiles it at the first call.
// One executable is one op description; calls run on the engine thread. Donation is done by freeing: XlaCallModule
// ignores aliasing.
import { ptr } from "bun:ffi";
import type * as tf from "@tensorflow/tfjs-core";
import type { Executable } from "../../compile.ts";
import { callBeside, callOnThread } from "../../native/thread.ts";
import type { Element, Program } from "../../stablehlo/builder.ts";
import { addressOf } from "./binding.ts";
import { type Handle, type Tensorflow, types } from "./library.ts";

/** Version of XlaCallModule's calling convention (xla_call_module_op): 9 takes StableHLO text as it is. */
const callingConvention = 9n;

const typeNumbers: Readonly<Record<Element, number>> = {
  f32: types.float32,
  bf16: types.bfloat16,
  i32: types.int32,
  ui32: types.int32,
  ui16: types.int32,
  i1: types.bool,
};

/** How tensors and C handles meet; the backend of this runtime. */
export interface HandleStore {
  handleOf(tensor: tf.Tensor): Handle;
  adopt(handle: Handle): tf.Tensor;
}

export function prepareXla(tensorflow: Tensorflow, store: HandleStore, program: Program, name: string): Executable {
  const { c, context, status, check } = tensorflow;
  const platform = tensorflow.devices.some(({ type }) => type === "GPU") ? "CUDA" : "CPU";
  // C reads these while an op is built; `held` also keeps the description alive as long as the executable.
  const module = Buffer.from(program.text);
  const inputTypes = Int32Array.from(program.arguments, ({ value }) => typeNumbers[value.element]);
  const outputTypes = Int32Array.from(program.results, ({ element }) => typeNumbers[element]);
  const shapes = program.results.map(({ shape }) => BigInt64Array.from(shape.length > 0 ? shape : [0], BigInt));
  const shapePointers = BigUint64Array.from(shapes, (shape) => addressOf(shape));
  const ranks = Int32Array.from(program.results, ({ shape }) => shape.length);
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

  const build = (inputs: readonly tf.Tensor[]): Handle => {
    const op = c.TFE_NewOp(context, "XlaCallModule", status);
    check(`preparing ${name}`);
    const handles = BigUint64Array.from(inputs, (tensor) => BigInt(store.handleOf(tensor)));
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

  // XLA compiles inside the first call that succeeds; what that took beyond a later one is the compilation.
  let first: number | undefined;
  let fastest = 0;
  const run = async (inputs: readonly tf.Tensor[], onThread: typeof callOnThread): Promise<BigUint64Array> => {
    const op = build(inputs);
    const results = new BigUint64Array(program.results.length);
    const count = Int32Array.of(results.length);
    const own = c.TF_NewStatus()!;
    const start = performance.now();
    try {
      await onThread(
        {
          address: tensorflow.address("TFE_Execute"),
          arguments: [BigInt(op), ptr(results), ptr(count), BigInt(own)],
          returns: "void",
        },
        { results, count, held },
      );
      check(`running ${name}`, own);
    } finally {
      c.TFE_DeleteOp(op);
      c.TF_DeleteStatus(own);
    }
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
      for (const handle of await run(inputs, callBeside)) c.TFE_DeleteTensorHandle(handle);
    },
    get compileMs() {
      return first === undefined ? null : Math.max(0, first - fastest);
    },
    dispose() {
      // The context caches kernels by op description; there is no call to drop a single one.
    },
  };
}
