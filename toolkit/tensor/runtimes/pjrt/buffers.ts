// Device buffers and executables of a PJRT client. Handles are plain numbers of the C API; who makes one destroys it.
import { ptr } from "bun:ffi";
import { callBeside, callOnThread } from "../../native/thread.ts";
import { type Element, type Program, sizeOf } from "../../stablehlo/builder.ts";
import { bufferTypes } from "./layout.ts";
import type { Client } from "./plugin.ts";
import { Struct } from "./struct.ts";

export interface DeviceBuffer {
  readonly handle: bigint;
  readonly element: Element;
}

const typeNumbers: Readonly<Record<Element, number>> = {
  f32: bufferTypes.f32,
  bf16: bufferTypes.bf16,
  i32: bufferTypes.s32,
  ui32: bufferTypes.s32,
  ui16: bufferTypes.s32,
  i1: bufferTypes.pred,
};
export const elementBytes: Readonly<Record<Element, number>> = { f32: 4, bf16: 2, i32: 4, ui32: 4, ui16: 2, i1: 1 };

/** Buffers and executables that are alive, for tests and `bunsen engines`. */
export const live = { buffers: 0, executables: 0 };

/** kImmutableOnlyDuringCall: the bytes are copied before the call returns. */
const copyNow = 0;

/** Copies bytes to the device. */
export function upload(client: Client, bytes: Uint8Array, shape: readonly number[], element: Element): DeviceBuffer {
  const dims = BigInt64Array.from(shape, BigInt);
  // An address is needed even for a tensor of no elements.
  const data = bytes.byteLength > 0 ? bytes : new Uint8Array(8);
  const args = new Struct("PJRT_Client_BufferFromHostBuffer_Args", {
    client: client.handle,
    data,
    type: typeNumbers[element],
    dims: dims.length > 0 ? dims : null,
    num_dims: dims.length,
    host_buffer_semantics: copyNow,
    device: client.device,
  });
  client.plugin.call("PJRT_Client_BufferFromHostBuffer", args, `copying a tensor of shape [${shape}] to the device`);
  awaitEvent(client, args.get("done_with_host_buffer"), "copying to the device");
  live.buffers += 1;
  return { handle: args.get("buffer"), element };
}

/** Copies a buffer to the host; waits until it has been computed. */
export function download(client: Client, buffer: DeviceBuffer, shape: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(sizeOf(shape) * elementBytes[buffer.element]));
  if (bytes.length === 0) return bytes;
  const args = new Struct("PJRT_Buffer_ToHostBuffer_Args", { src: buffer.handle, dst: bytes, dst_size: bytes.length });
  client.plugin.call("PJRT_Buffer_ToHostBuffer", args, "reading a tensor");
  awaitEvent(client, args.get("event"), "reading a tensor");
  return bytes;
}

interface Use {
  calls: number;
  free?: () => void;
}

/** Buffers and programs that calls on the engine thread have in hand. */
const inUse = new Map<DeviceBuffer | LoadedProgram, Use>();

/** Keeps what a call uses until it has ended: C is handed bare addresses, and reads them when the thread comes to it. */
async function holding<T>(used: ReadonlySet<DeviceBuffer | LoadedProgram>, call: () => Promise<T>): Promise<T> {
  for (const one of used) {
    const use = inUse.get(one);
    if (use) use.calls += 1;
    else inUse.set(one, { calls: 1 });
  }
  try {
    return await call();
  } finally {
    for (const one of used) {
      const use = inUse.get(one)!;
      use.calls -= 1;
      if (use.calls > 0) continue;
      inUse.delete(one);
      use.free?.();
    }
  }
}

/** Frees it now, or when the last call that uses it has ended. */
function freeUnused(one: DeviceBuffer | LoadedProgram, free: () => void): void {
  const use = inUse.get(one);
  if (use) use.free = free;
  else free();
}

/** Frees a buffer, as soon as no call uses it. */
export function destroy(client: Client, buffer: DeviceBuffer): void {
  freeUnused(buffer, () => {
    client.plugin.call(
      "PJRT_Buffer_Destroy",
      new Struct("PJRT_Buffer_Destroy_Args", { buffer: buffer.handle }),
      "freeing a tensor",
    );
    live.buffers -= 1;
  });
}

/** Waits for an event and frees it. */
function awaitEvent(client: Client, event: bigint, doing: string): void {
  if (event === 0n) return;
  try {
    client.plugin.call("PJRT_Event_Await", new Struct("PJRT_Event_Await_Args", { event }), doing);
  } finally {
    client.plugin.call("PJRT_Event_Destroy", new Struct("PJRT_Event_Destroy_Args", { event }), doing);
  }
}

/** CompileOptionsProto with one replica and one partition: executable_build_options {1: -1, 4: 1, 5: 1}. */
const compileOptions = Uint8Array.of(
  0x1a,
  15,
  0x08,
  0xff,
  0xff,
  0xff,
  0xff,
  0xff,
  0xff,
  0xff,
  0xff,
  0xff,
  0x01,
  0x20,
  0x01,
  0x28,
  0x01,
);

export interface LoadedProgram {
  readonly handle: bigint;
  readonly program: Program;
}

const mlir = Buffer.from("mlir");

function compileArgs(client: Client, text: string): Struct {
  const code = Buffer.from(text);
  const program = new Struct("PJRT_Program", { code, code_size: code.length, format: mlir, format_size: mlir.length });
  return new Struct("PJRT_Client_Compile_Args", {
    client: client.handle,
    program,
    compile_options: compileOptions,
    compile_options_size: compileOptions.length,
  });
}

/** Compiles on the engine thread, or on one of its own `beside` it: a model's step takes seconds. */
export async function compileProgram(
  client: Client,
  program: Program,
  text: string,
  name: string,
  beside = false,
): Promise<LoadedProgram> {
  const args = compileArgs(client, text);
  const error = await (beside ? callBeside : callOnThread)(
    { address: client.plugin.address("PJRT_Client_Compile"), arguments: [args.address], returns: "ptr" },
    args,
  );
  client.plugin.check(error, `compiling ${name}`);
  live.executables += 1;
  return { handle: args.get("executable"), program };
}

export function compileProgramNow(client: Client, program: Program, name: string): LoadedProgram {
  const args = compileArgs(client, program.text);
  client.plugin.call("PJRT_Client_Compile", args, `compiling ${name}`);
  live.executables += 1;
  return { handle: args.get("executable"), program };
}

/** Frees a program, as soon as no call uses it. What only computes still (`executeNow`), PJRT itself lets end before. */
export function destroyProgram(client: Client, loaded: LoadedProgram): void {
  freeUnused(loaded, () => {
    client.plugin.call(
      "PJRT_LoadedExecutable_Destroy",
      new Struct("PJRT_LoadedExecutable_Destroy_Args", { executable: loaded.handle }),
      "freeing an executable",
    );
    live.executables -= 1;
  });
}

interface Execution {
  readonly args: Struct;
  readonly outputs: BigUint64Array;
  readonly events: BigUint64Array;
}

/** `shared`: positions of arguments that must not be reused although the program would. */
function executeArgs(loaded: LoadedProgram, inputs: readonly DeviceBuffer[], shared: readonly number[]): Execution {
  const nonDonatable = BigInt64Array.from(shared, BigInt);
  const options = new Struct("PJRT_ExecuteOptions", {
    non_donatable_input_indices: shared.length > 0 ? nonDonatable : null,
    num_non_donatable_input_indices: shared.length,
  });
  const argumentList = BigUint64Array.from(inputs.length > 0 ? inputs.map(({ handle }) => handle) : [0n]);
  const outputs = new BigUint64Array(Math.max(1, loaded.program.results.length));
  const events = new BigUint64Array(1);
  // Lists of lists: one inner list per device, and there is one device.
  const argumentLists = BigUint64Array.of(BigInt(ptr(argumentList)));
  const outputLists = BigUint64Array.of(BigInt(ptr(outputs)));
  const args = new Struct("PJRT_LoadedExecutable_Execute_Args", {
    executable: loaded.handle,
    options,
    argument_lists: argumentLists,
    num_devices: 1,
    num_args: inputs.length,
    output_lists: outputLists,
    device_complete_events: events,
  });
  keepAlive.set(args, [argumentList, outputs]);
  return { args, outputs, events };
}

/** Inner lists live as long as the struct that points to them through another list. */
const keepAlive = new WeakMap<object, readonly unknown[]>();

function outputsOf(loaded: LoadedProgram, { outputs }: Execution): DeviceBuffer[] {
  live.buffers += loaded.program.results.length;
  return loaded.program.results.map(({ element }, index) => ({ handle: outputs[index]!, element }));
}

/** Runs and waits on the engine thread, so that the main loop goes on. Program and inputs may be freed meanwhile. */
export function execute(
  client: Client,
  loaded: LoadedProgram,
  inputs: readonly DeviceBuffer[],
  shared: readonly number[],
  name: string,
): Promise<DeviceBuffer[]> {
  return holding(new Set([loaded, ...inputs]), () => executeHeld(client, loaded, inputs, shared, name));
}

async function executeHeld(
  client: Client,
  loaded: LoadedProgram,
  inputs: readonly DeviceBuffer[],
  shared: readonly number[],
  name: string,
): Promise<DeviceBuffer[]> {
  const execution = executeArgs(loaded, inputs, shared);
  const { plugin } = client;
  plugin.check(
    await callOnThread(
      { address: plugin.address("PJRT_LoadedExecutable_Execute"), arguments: [execution.args.address], returns: "ptr" },
      [execution, keepAlive.get(execution.args)],
    ),
    `running ${name}`,
  );
  const results = outputsOf(loaded, execution);
  const event = execution.events[0]!;
  if (event !== 0n) {
    const wait = new Struct("PJRT_Event_Await_Args", { event });
    const error = await callOnThread(
      { address: plugin.address("PJRT_Event_Await"), arguments: [wait.address], returns: "ptr" },
      wait,
    );
    plugin.call("PJRT_Event_Destroy", new Struct("PJRT_Event_Destroy_Args", { event }), `running ${name}`);
    try {
      plugin.check(error, `running ${name}`);
    } catch (failure) {
      for (const buffer of results) destroy(client, buffer);
      throw failure;
    }
  }
  return results;
}

/** Runs without waiting: for single eager ops, whose results are waited for when they are read. */
export function executeNow(
  client: Client,
  loaded: LoadedProgram,
  inputs: readonly DeviceBuffer[],
  name: string,
): DeviceBuffer[] {
  const execution = executeArgs(loaded, inputs, []);
  execution.args.set("device_complete_events", null);
  client.plugin.call("PJRT_LoadedExecutable_Execute", execution.args, `running ${name}`);
  keepAlive.get(execution.args);
  return outputsOf(loaded, execution);
}
