// StableHLO through libtensorflow: the op XlaCallModule takes a module's text and XLA compiles it at the first call. One
// executable is one op description, or several that run one after the other (stablehlo/parts.ts); calls run on the engine
// thread. Donation is done by freeing: XlaCallModule ignores aliasing.
import type * as tf from "@tensorflow/tfjs-core";
import type { Executable } from "../../compile.ts";
import {
  besideEngine,
  forgetScript,
  runScript,
  type Script,
  type ScriptCall,
  type ScriptRunner,
} from "../../native/thread.ts";
import { bytesOf, type Element, type Program, range, type Value } from "../../stablehlo/builder.ts";
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

/** Slots of every script here: the status that all calls set, and the op that is being made. */
const [statusSlot, opSlot, firstSlot] = [0, 1, 2];

/** Where a call of a module finds its inputs, leaves its results, which follow each other, and keeps their number. */
interface Places {
  readonly inputs: readonly number[];
  readonly results: number;
  readonly count: number;
}

/** A module that XLA compiles once. */
interface Module {
  readonly results: number;
  /** One run of it, in a script. */
  calls(places: Places): readonly ScriptCall[];
  /** What C reads during such a run. */
  readonly held: unknown;
}

function moduleOf(tensorflow: Tensorflow, { text, takes, gives }: Part): Module {
  const platform = tensorflow.devices.some(({ type }) => type === "GPU") ? "CUDA" : "CPU";
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
  const held: unknown[] = [module, inputTypes, outputTypes, shapes, shapePointers, ranks];
  held.push(platforms, platformPointers, platformLengths);
  const word = (name: string): bigint => {
    const bytes = Buffer.from(`${name}\0`);
    held.push(bytes);
    return addressOf(bytes);
  };
  const [type, version, body, tin, tout, sout, wanted] = [
    "XlaCallModule",
    "version",
    "module",
    "Tin",
    "Tout",
    "Sout",
    "platforms",
  ].map(word) as [bigint, bigint, bigint, bigint, bigint, bigint, bigint];
  const [op, status] = [{ slot: opSlot }, { slot: statusSlot }];
  const step = (name: keyof Tensorflow["c"], ...args: ScriptCall["arguments"]): ScriptCall => ({
    address: tensorflow.address(name),
    arguments: args,
    returns: "void",
    isChecked: args.includes(status),
  });
  return {
    held,
    results: gives.length,
    calls: ({ inputs, results, count }) => [
      { ...step("TFE_NewOp", tensorflow.context as number, type, status), returns: "ptr", into: opSlot },
      ...inputs.map((slot) => step("TFE_OpAddInput", op, { slot }, status)),
      step("TFE_OpSetAttrInt", op, version, callingConvention),
      step("TFE_OpSetAttrString", op, body, addressOf(module), module.length),
      step("TFE_OpSetAttrTypeList", op, tin, inputTypes.length > 0 ? addressOf(inputTypes) : 0, inputTypes.length),
      step("TFE_OpSetAttrTypeList", op, tout, addressOf(outputTypes), outputTypes.length),
      step("TFE_OpSetAttrShapeList", op, sout, addressOf(shapePointers), addressOf(ranks), outputTypes.length, status),
      step("TFE_OpSetAttrStringList", op, wanted, addressOf(platformPointers), addressOf(platformLengths), 1),
      step("TFE_Execute", op, { addressOf: results }, { addressOf: count }, status),
      { ...step("TFE_DeleteOp", op), clears: opSlot },
    ],
  };
}

/** A script of modules, with the slots that a run begins with. */
interface ModuleScript {
  readonly script: Script;
  readonly slots: BigUint64Array;
  readonly held: unknown;
}

/** Runs a script in `slots`, in which the inputs' handles are; the results' are after it, the caller's to delete. */
async function runModules(
  { c, check }: Tensorflow,
  { script, held }: ModuleScript,
  slots: BigUint64Array,
  run: ScriptRunner,
  name: string,
): Promise<void> {
  const own = c.TF_NewStatus()!;
  slots[statusSlot] = BigInt(own);
  try {
    await run(script, slots, held);
    check(`running ${name}`, own);
  } finally {
    if (slots[opSlot] !== 0n) c.TFE_DeleteOp(slots[opSlot]!);
    c.TF_DeleteStatus(own);
  }
}

/** Slots that C may write to: in an ArrayBuffer of their own. */
const slotsFor = (count: number): BigUint64Array => new BigUint64Array(new ArrayBuffer(8 * count));

const codeOf = (tensorflow: Tensorflow): ScriptCall => ({
  address: tensorflow.address("TF_GetCode"),
  arguments: [{ slot: statusSlot }],
  returns: "i32",
});

/** Another handle of the same tensor. */
function share({ c, status, check }: Tensorflow, handle: bigint, name: string): bigint {
  const other = c.TFE_TensorHandleCopySharingTensor(handle, status);
  // It sets the status only where it fails: another one's error may still be there.
  if (!other) check(`passing a tensor to ${name}`);
  return BigInt(other!);
}

/** Handles in, handles out, which are the caller's to delete. What goes in may be deleted meanwhile. */
type Runner = (inputs: readonly bigint[], run: ScriptRunner) => Promise<BigUint64Array>;

/** Runs one module. */
function runnerOf(tensorflow: Tensorflow, module: Module, inputs: number, name: string) {
  const places = {
    inputs: range(inputs).map((index) => firstSlot + index),
    count: firstSlot + inputs,
    results: firstSlot + inputs + 1,
  };
  const one: ModuleScript = {
    script: { calls: module.calls(places), check: codeOf(tensorflow) },
    slots: slotsFor(places.results + module.results),
    held: module.held,
  };
  one.slots[places.count] = BigInt(module.results);
  const run: Runner = async (handles, onThread) => {
    const slots = slotsFor(one.slots.length);
    slots.set(one.slots);
    try {
      for (const [index, handle] of handles.entries()) slots[places.inputs[index]!] = share(tensorflow, handle, name);
      await runModules(tensorflow, one, slots, onThread, name);
      return slots.slice(places.results);
    } finally {
      for (const slot of places.inputs) if (slots[slot] !== 0n) tensorflow.c.TFE_DeleteTensorHandle(slots[slot]!);
    }
  };
  return { run, forget: () => forgetScript(one.script) };
}

/** The parts of a program as one script: what no later one reads is freed as soon as that is so. */
function scriptOfParts(
  tensorflow: Tensorflow,
  modules: readonly Module[],
  calls: Parts["calls"],
  program: Program,
  lastReader: ReadonlyMap<string, number>,
) {
  const slotOf = new Map<string, number>();
  let slot = firstSlot;
  for (const { value } of program.arguments) slotOf.set(value.name, slot++);
  const script: ScriptCall[] = [];
  const counts = new Map<number, number>();
  for (const [index, { part, takes, gives }] of calls.entries()) {
    const places = { inputs: takes.map((value) => slotOf.get(value)!), count: slot++, results: slot };
    counts.set(places.count, gives.length);
    for (const value of gives) slotOf.set(value, slot++);
    script.push(...modules[part]!.calls(places));
    for (const value of new Set([...takes, ...gives])) {
      if ((lastReader.get(value) ?? -1) > index) continue;
      const clears = slotOf.get(value)!;
      const address = tensorflow.address("TFE_DeleteTensorHandle");
      script.push({ address, arguments: [{ slot: clears }], returns: "void", clears });
    }
  }
  const slots = slotsFor(slot);
  for (const [place, count] of counts) slots[place] = BigInt(count);
  const held = modules.map((module) => module.held);
  return { script: { calls: script, check: codeOf(tensorflow) }, slots, held, slotOf };
}

/** The last call that reads each value; results are read after all. */
function lastReaders(calls: Parts["calls"], results: readonly string[]): ReadonlyMap<string, number> {
  const lastReader = new Map<string, number>();
  for (const [index, { takes }] of calls.entries()) for (const taken of takes) lastReader.set(taken, index);
  for (const result of results) lastReader.set(result, calls.length);
  return lastReader;
}

/**
 * Runs the parts one after the other. In the first run, which compiles them, threads beside it do so from the last one on;
 * later ones are one script.
 */
function inParts(tensorflow: Tensorflow, { parts, calls }: Parts, program: Program, name: string) {
  const { c } = tensorflow;
  const modules = parts.map((part) => moduleOf(tensorflow, part));
  const runners = modules.map((module, part) => runnerOf(tensorflow, module, parts[part]!.takes.length, name));
  const results = program.results.map((value) => value.name);
  const lastReader = lastReaders(calls, results);

  /** A tensor of the value's type; only whole numbers, which may be positions, have a value: 0, or another in each byte. */
  const anyTensor = (value: Value, byte = 0): bigint => {
    const isFloat = value.element === "f32" || value.element === "bf16";
    const handle = newTensor(tensorflow, value.shape, typeNumbers[value.element], bytesOf(value), (data) => {
      if (!isFloat) data.fill(byte);
    });
    return BigInt(handle);
  };

  /** XLA compiles what it runs, so a part is run once, without its products, on what it takes as far as that exists. */
  const compilePart = async (part: number, made: ReadonlyMap<string, bigint>, run: ScriptRunner): Promise<void> => {
    const inputs: bigint[] = [];
    try {
      // Their names are those of the part's first call.
      for (const value of parts[part]!.takes) {
        const known = made.get(value.name);
        if (value.name === program.rehearsal?.name) inputs.push(anyTensor(value, 1));
        else inputs.push(known === undefined ? anyTensor(value) : share(tensorflow, known, name));
      }
      for (const handle of await runners[part]!.run(inputs, run)) c.TFE_DeleteTensorHandle(handle);
    } finally {
      for (const handle of inputs) c.TFE_DeleteTensorHandle(handle);
    }
  };

  const runFirst: Runner = async (inputs, onThread) => {
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
      besideEngine(async (thread) => {
        while (--ahead > reached) await compilePart(ahead, made, thread.runScript);
        // What fails here fails again where it is called, and is told there.
      }).catch(() => undefined);
    try {
      // References of our own: a tensor may be freed while an early part runs that a later one reads.
      for (const [index, { value }] of program.arguments.entries())
        made.set(value.name, share(tensorflow, inputs[index]!, name));
      for (let helper = 1; helper < Math.min(tensorflow.threads, 4); helper++) helpers.push(help());
      for (const [index, { part, takes, gives }] of calls.entries()) {
        reached = Math.max(reached, part);
        const handles = await runners[part]!.run(
          takes.map((value) => made.get(value)!),
          onThread,
        );
        for (const [place, value] of gives.entries()) made.set(value, handles[place]!);
        for (const value of [...takes, ...gives]) if ((lastReader.get(value) ?? -1) <= index) free(value);
      }
      // A handle for each result: two may be one value.
      return BigUint64Array.from(results, (value) => share(tensorflow, made.get(value)!, name));
    } finally {
      ahead = 0;
      await Promise.all(helpers);
      for (const value of [...made.keys()]) free(value);
      for (const runner of runners) runner.forget();
    }
  };

  const whole = scriptOfParts(tensorflow, modules, calls, program, lastReader);
  const runAgain: Runner = async (inputs, onThread) => {
    const slots = slotsFor(whole.slots.length);
    slots.set(whole.slots);
    try {
      for (const [index, handle] of inputs.entries()) slots[firstSlot + index] = share(tensorflow, handle, name);
      await runModules(tensorflow, whole, slots, onThread, name);
      return BigUint64Array.from(results, (value) => share(tensorflow, slots[whole.slotOf.get(value)!]!, name));
    } finally {
      for (const slot of whole.slotOf.values()) if (slots[slot] !== 0n) c.TFE_DeleteTensorHandle(slots[slot]!);
    }
  };
  let isFirst = true;
  return {
    run: ((inputs, onThread) => {
      const run = isFirst ? runFirst : runAgain;
      isFirst = false;
      return run(inputs, onThread);
    }) as Runner,
    forget: () => forgetScript(whole.script),
  };
}

const wholeOf = ({ text, arguments: takes, results }: Program): Part => ({
  text,
  takes: takes.map(({ value }) => value),
  gives: results,
});

export function prepareXla(tensorflow: Tensorflow, store: HandleStore, program: Program, name: string): Executable {
  const { c } = tensorflow;
  const whole = wholeOf(program);
  const { run: runOn, forget } = program.parts
    ? inParts(tensorflow, program.parts, program, name)
    : runnerOf(tensorflow, moduleOf(tensorflow, whole), whole.takes.length, name);
  // XLA compiles inside the first call that succeeds; what that took beyond a later one is the compilation.
  let first: number | undefined;
  let fastest = 0;
  const run = async (inputs: readonly tf.Tensor[], onThread: ScriptRunner): Promise<BigUint64Array> => {
    const handles = inputs.map((tensor) => BigInt(store.handleOf(tensor)));
    const start = performance.now();
    const results = await runOn(handles, onThread);
    const took = performance.now() - start;
    if (first === undefined) first = took;
    else fastest = fastest === 0 ? took : Math.min(fastest, took);
    return results;
  };
  return {
    async call(inputs) {
      if (program.results.length === 0) return [];
      return Array.from(await run(inputs, runScript), (handle) => store.adopt(handle));
    },
    async prepare(inputs) {
      if (program.results.length === 0 || first !== undefined) return;
      const results = await besideEngine((thread) => run(inputs, thread.runScript));
      for (const handle of results) c.TFE_DeleteTensorHandle(handle);
    },
    get compileMs() {
      return first === undefined ? null : Math.max(0, first - fastest);
    },
    dispose() {
      // The context caches kernels by op description; there is no call to drop a single one.
      forget();
    },
  };
}
