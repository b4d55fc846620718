// Which engine computes: the choice, made once per process, and the functions that go through it. Engines are found
// without configuration; `auto` takes the fastest one present. Not a registry of plugins: the table below is all.
import { basename } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import type { Compiled, CompileOptions, Engine, EngineChoice, TensorTree } from "./contract.ts";
import { EngineError, EngineUnavailableError, NativeLibraryError } from "./errors.ts";
import { plainCompile } from "./plain-compile.ts";
import type { Runtime, StoredType, WeightStore } from "./runtime.ts";
import { discoverTensorflow } from "./runtimes/libtensorflow/discover.ts";
import { startTensorflow } from "./runtimes/libtensorflow/runtime.ts";
import { discoverPlugin, type PluginDiscovery } from "./runtimes/pjrt/discover.ts";
import { startPjrt } from "./runtimes/pjrt/runtime.ts";
import { startWasm } from "./runtimes/wasm.ts";

const choices: readonly EngineChoice[] = ["auto", "cuda", "cpu", "wasm"];

let active: Runtime | undefined;
/** Started runtimes by name: switching back costs nothing, and no library is opened twice. */
const started = new Map<Engine["name"], Runtime>();
let pending: Promise<unknown> = Promise.resolve();

/** @throws RangeError naming the allowed words. */
export function parseEngineChoice(word: string): EngineChoice {
  if ((choices as readonly string[]).includes(word)) return word as EngineChoice;
  throw new RangeError(
    `engine ${JSON.stringify(word)} is unknown; expected one of ${choices.join(", ")} (--engine or BUNSEN_ENGINE)`,
  );
}

const starters: Readonly<Record<Engine["name"], () => Promise<Runtime>>> = {
  cuda: startCuda,
  cpu: startCpu,
  wasm: startWasm,
};

async function start(name: Engine["name"]): Promise<Runtime> {
  const known = started.get(name);
  if (known) return known;
  const runtime = await starters[name]();
  started.set(name, runtime);
  return runtime;
}

/** A plugin for the CPU that a person named comes before libtensorflow. */
async function startCpu(): Promise<Runtime> {
  if (/cpu/i.test(basename(process.env.BUNSEN_PJRT_PLUGIN ?? ""))) return startPjrt(discoverPlugin());
  return startTensorflow(discoverTensorflow());
}

async function startCuda(): Promise<Runtime> {
  const plugin = discoverPlugin();
  const runtime = plugin.path ? await startPjrt(plugin) : await tensorflowWithGpu(plugin);
  if (runtime.engine.name === "cuda") return runtime;
  throw new EngineUnavailableError(
    `the PJRT plugin ${plugin.path} drives no GPU but ${runtime.engine.device}; unset BUNSEN_PJRT_PLUGIN or take engine cpu`,
  );
}

/** Without a plugin, a TensorFlow built for CUDA serves as well. */
async function tensorflowWithGpu(plugin: PluginDiscovery): Promise<Runtime> {
  const tensorflow = discoverTensorflow();
  const runtime = tensorflow.path ? await startTensorflow(tensorflow) : undefined;
  return runtime?.engine.name === "cuda" ? runtime : startPjrt(plugin);
}

/** The fastest engine that works; reasons why faster ones do not are kept for `bunsen engines`. */
async function startFastest(): Promise<Runtime> {
  if (discoverPlugin().path) {
    try {
      return await start("cuda");
    } catch (error) {
      if (
        !(
          error instanceof EngineError ||
          error instanceof NativeLibraryError ||
          error instanceof EngineUnavailableError
        )
      )
        throw error;
      skipped.push(error.message);
    }
  }
  if (discoverTensorflow().path) {
    try {
      return await start("cpu");
    } catch (error) {
      if (!(error instanceof EngineError || error instanceof NativeLibraryError)) throw error;
      skipped.push(error.message);
    }
  }
  return start("wasm");
}

const skipped: string[] = [];

/** Why `auto` passed over engines that were found. */
export const skippedEngines = (): readonly string[] => skipped;

/** One line for whoever runs on wasm: what would be faster. Null on a native engine. Nothing is printed from here. */
export function engineAdvice(): string | null {
  if (active?.engine.name !== "wasm") return null;
  const reason = skipped[0]?.split("\n")[0];
  return `running on wasm; for more speed: pip install tensorflow-cpu onednn-cpu-gomp into the active venv or ./.venv (bunsen engines says more)${reason ? `. A native engine was found and does not work: ${reason}` : ""}`;
}

async function choose(choice: EngineChoice): Promise<Runtime> {
  return choice === "auto" ? startFastest() : start(choice);
}

/**
 * Makes an engine the one that `tf.*` and `compile` use. Without a choice: BUNSEN_ENGINE, else the one already in
 * use, else `auto`. Tensors of another engine stay readable and are copied over when an op needs them.
 * @throws EngineUnavailableError saying what was looked for and what to install.
 */
export function useEngine(choice?: EngineChoice): Promise<Engine> {
  const run = async (): Promise<Engine> => {
    const wanted = choice ?? (process.env.BUNSEN_ENGINE ? parseEngineChoice(process.env.BUNSEN_ENGINE) : undefined);
    if (!wanted && active) return active.engine;
    const runtime = await choose(parseEngineChoice(wanted ?? "auto"));
    await tf.setBackend(runtime.engine.backend);
    active = runtime;
    return runtime.engine;
  };
  // One after the other: two concurrent callers must not open the same library twice or leave the later choice behind.
  const result = pending.then(run);
  pending = result.catch(() => undefined);
  return result;
}

/** The engine in use. @throws EngineUnavailableError before the first `useEngine`. */
export function currentEngine(): Engine {
  return currentRuntime().engine;
}

function currentRuntime(): Runtime {
  if (!active) throw new EngineUnavailableError('no engine is in use yet; call "await useEngine()" first');
  return active;
}

/**
 * Compiles `fn` for the engine in use when it is first called. `fn` must be a pure function of tensors: it runs once
 * per input signature, to be recorded; its own side effects happen then only. See `Compiled` for what a call does.
 */
export function compile<Args extends readonly TensorTree[], Out extends TensorTree>(
  fn: (...args: Args) => Out,
  options: CompileOptions = {},
): Compiled<Args, Out> {
  let inner: Compiled<Args, Out> | undefined;
  let disposed = false;
  const start = (args: Args): Compiled<Args, Out> => {
    const runtime = currentRuntime();
    const isPlain = runtime.nativeOps === true && options.small?.(args) === true;
    return isPlain ? plainCompile(fn, options) : runtime.compile(fn, options);
  };
  const onEngine = async (args: Args): Promise<Compiled<Args, Out>> => {
    if (!active) await useEngine();
    if (!disposed) inner ??= start(args);
    if (!inner) throw new EngineUnavailableError("the compiled function was disposed before its first call");
    return inner;
  };
  const compiled = async (...args: Args): Promise<Out> => (await onEngine(args))(...args);
  return Object.defineProperties(compiled, {
    prepare: { value: async (...args: Args): Promise<void> => (await onEngine(args)).prepare(...args) },
    stats: { get: () => inner?.stats ?? { executables: 0, calls: 0, traceMs: 0, compileMs: 0, parts: 0, flops: 0 } },
    dispose: {
      value: (): void => {
        disposed = true;
        inner?.dispose();
      },
    },
  }) as Compiled<Args, Out>;
}

/**
 * A tensor of raw little-endian bytes, straight to the device: `bytes` may be a view of a memory-mapped file and is
 * not kept. `store: "bf16"` keeps a float weight as bfloat16 where the engine can (it still reads as float32).
 * @throws RangeError when the bytes do not fit the shape.
 */
export function tensorFromBytes(
  bytes: Uint8Array,
  stored: StoredType,
  shape: readonly number[],
  options: { readonly store?: WeightStore } = {},
): tf.Tensor {
  return currentRuntime().upload(bytes, stored, shape, options.store ?? "f32");
}
