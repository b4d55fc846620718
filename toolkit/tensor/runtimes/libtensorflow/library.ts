// libtensorflow's C API through bun:ffi: the symbols used, one context, and status codes as named errors. Knows
// nothing of tfjs. Rule for every call here: `ptr()` keeps nothing alive, so whatever C reads is either passed as the
// typed array itself (kept for the call) or kept in a variable that is used again after the call.

import { type ConvertFns, dlopen, type Pointer } from "bun:ffi";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism, cpus, homedir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { EngineError, NativeLibraryError, OutOfDeviceMemoryError } from "../../errors.ts";
import { checkLibraryFile, symbolsMatching } from "../../native/elf.ts";
import { keepFreedMemory, setNativeDefault, withoutStderr } from "../../native/environment.ts";
import { memoryMappings } from "../../native/mappings.ts";
import { statusCodes } from "../../native/status-codes.ts";

const table = {
  TF_Version: { args: [], returns: "cstring" },
  TF_NewStatus: { args: [], returns: "ptr" },
  TF_DeleteStatus: { args: ["ptr"], returns: "void" },
  TF_GetCode: { args: ["ptr"], returns: "i32" },
  TF_Message: { args: ["ptr"], returns: "cstring" },
  TF_AllocateTensor: { args: ["i32", "ptr", "i32", "u64"], returns: "ptr" },
  TF_DeleteTensor: { args: ["ptr"], returns: "void" },
  TF_TensorData: { args: ["ptr"], returns: "ptr" },
  TF_TensorByteSize: { args: ["ptr"], returns: "u64" },
  TF_TensorType: { args: ["ptr"], returns: "i32" },
  TF_StringInit: { args: ["ptr"], returns: "void" },
  TF_StringCopy: { args: ["ptr", "ptr", "u64"], returns: "void" },
  TF_StringGetDataPointer: { args: ["ptr"], returns: "ptr" },
  TF_StringGetSize: { args: ["ptr"], returns: "u64" },
  TF_DeviceListCount: { args: ["ptr"], returns: "i32" },
  TF_DeviceListName: { args: ["ptr", "i32", "ptr"], returns: "cstring" },
  TF_DeviceListType: { args: ["ptr", "i32", "ptr"], returns: "cstring" },
  TF_DeviceListMemoryBytes: { args: ["ptr", "i32", "ptr"], returns: "i64" },
  TF_DeleteDeviceList: { args: ["ptr"], returns: "void" },
  TFE_NewContextOptions: { args: [], returns: "ptr" },
  TFE_ContextOptionsSetConfig: { args: ["ptr", "ptr", "u64", "ptr"], returns: "void" },
  TFE_DeleteContextOptions: { args: ["ptr"], returns: "void" },
  TFE_NewContext: { args: ["ptr", "ptr"], returns: "ptr" },
  TFE_ContextListDevices: { args: ["ptr", "ptr"], returns: "ptr" },
  TFE_ContextClearCaches: { args: ["ptr"], returns: "void" },
  TFE_NewOp: { args: ["ptr", "cstring", "ptr"], returns: "ptr" },
  TFE_DeleteOp: { args: ["ptr"], returns: "void" },
  TFE_OpSetDevice: { args: ["ptr", "cstring", "ptr"], returns: "void" },
  TFE_OpAddInput: { args: ["ptr", "ptr", "ptr"], returns: "void" },
  TFE_OpAddInputList: { args: ["ptr", "ptr", "i32", "ptr"], returns: "void" },
  TFE_OpSetAttrBool: { args: ["ptr", "cstring", "u8"], returns: "void" },
  TFE_OpSetAttrInt: { args: ["ptr", "cstring", "i64"], returns: "void" },
  TFE_OpSetAttrIntList: { args: ["ptr", "cstring", "ptr", "i32"], returns: "void" },
  TFE_OpSetAttrFloat: { args: ["ptr", "cstring", "f32"], returns: "void" },
  TFE_OpSetAttrType: { args: ["ptr", "cstring", "i32"], returns: "void" },
  TFE_OpSetAttrTypeList: { args: ["ptr", "cstring", "ptr", "i32"], returns: "void" },
  TFE_OpSetAttrString: { args: ["ptr", "cstring", "ptr", "u64"], returns: "void" },
  TFE_OpSetAttrStringList: { args: ["ptr", "cstring", "ptr", "ptr", "i32"], returns: "void" },
  TFE_OpSetAttrShape: { args: ["ptr", "cstring", "ptr", "i32", "ptr"], returns: "void" },
  TFE_OpSetAttrShapeList: { args: ["ptr", "cstring", "ptr", "ptr", "i32", "ptr"], returns: "void" },
  TFE_Execute: { args: ["ptr", "ptr", "ptr", "ptr"], returns: "void" },
  TFE_NewTensorHandle: { args: ["ptr", "ptr"], returns: "ptr" },
  TFE_DeleteTensorHandle: { args: ["ptr"], returns: "void" },
  TFE_TensorHandleCopySharingTensor: { args: ["ptr", "ptr"], returns: "ptr" },
  TFE_TensorHandleResolve: { args: ["ptr", "ptr"], returns: "ptr" },
  TFE_TensorHandleDataType: { args: ["ptr"], returns: "i32" },
  TFE_TensorHandleNumDims: { args: ["ptr", "ptr"], returns: "i32" },
  TFE_TensorHandleDim: { args: ["ptr", "i32", "ptr"], returns: "i64" },
  TFE_TensorHandleCopyToDevice: { args: ["ptr", "ptr", "cstring", "ptr"], returns: "ptr" },
} as const;

/**
 * What XLA is told, unless the user does. Three things took more time to compile than steps gained, and one costs steps:
 * - It would cut each sum of more than 32 numbers into windows, as code of its own that fuses with nothing: a quarter of a T5
 *   step's kernels. Builder does so where it is needed for accuracy.
 * - Its newer emitter takes each loop through a dozen passes of MLIR; the older one writes LLVM's code at once. That one is
 *   slow where it writes in place, so it is for builders that avoid it (called products), and drops a NaN that is the second
 *   operand of a minimum or maximum, unless it is told to look.
 * - LLVM would write out loops of eight turns, a target's positions, eight times.
 * - Sums and maxima of whole tensors' rows would be YNNPACK's, which takes one thread for each and fuses with nothing: a
 *   quarter of what a bf16 step of T5 does between its products. With the newer emitter it makes no difference.
 */
function xlaFlags({ calledProducts }: OpenOptions, version: string): string {
  // A name that XLA does not know ends the process.
  const isSince = (first: string): boolean => Bun.semver.satisfies(version, `>=${first}`);
  return [
    "--xla_disable_hlo_passes=tree_reduction_rewriter",
    ...(calledProducts && isSince("2.20.0")
      ? [
          "--xla_cpu_use_fusion_emitters=false",
          "--xla_cpu_enable_fast_min_max=false",
          ...(isSince("2.21.0") ? ["--xla_cpu_experimental_ynn_fusion_type=-reduce"] : []),
        ]
      : []),
    "--xla_backend_extra_options=xla_cpu_disable_loop_unrolling",
  ].join(" ");
}

export interface OpenOptions {
  /** Programs will call a library for their products. */
  readonly calledProducts: boolean;
}

export type Handle = Pointer | bigint;

/** The symbols of `table`, typed. */
export type Symbols = ConvertFns<typeof table>;

/** TF_DataType numbers (tf_datatype.h) of the types that tensors here have. */
export const types = {
  float32: 1,
  int32: 3,
  uint8: 4,
  string: 7,
  complex64: 8,
  int64: 9,
  bool: 10,
  bfloat16: 14,
  uint16: 17,
  resource: 20,
  uint32: 22,
} as const;

export interface Device {
  readonly name: string;
  readonly type: string;
  readonly memory: number;
}

/** The opened library with its one eager context. It lives as long as the process: TensorFlow cannot be unloaded. */
export interface Tensorflow {
  readonly path: string;
  readonly version: string;
  readonly c: Symbols;
  readonly context: Handle;
  /** The main thread's status; calls on the engine thread bring their own. */
  readonly status: Handle;
  readonly devices: readonly Device[];
  /** Threads of one op, fixed when the context was made. */
  readonly threads: number;
  /** Folder of compiled programs, if they are kept. */
  readonly programCache: string | null;
  /** @throws EngineError when `status` holds an error; `doing` completes "while …". */
  check(doing: string, status?: Handle): void;
  /** Address of a function, for the engine thread. */
  address(name: keyof Symbols): number;
}

const opened = new Map<string, Tensorflow>();

/** Bytes that tensors may take: nine tenths of the machine's memory, or of the container's around this process. */
function memoryLimit(): number {
  const constrained = process.constrainedMemory();
  return 0.9 * (constrained > 0 ? Math.min(constrained, totalmem()) : totalmem());
}

/** The version of the wheel that a library came with; 0.0.0 where none is beside it. */
export function wheelVersion(path: string): string {
  const packages = dirname(dirname(path));
  if (!existsSync(packages)) return "0.0.0";
  const names = readdirSync(packages).map(
    (name) => /^tensorflow(?:_[a-z]+)?-(\d+\.\d+\.\d+)\.dist-info$/.exec(name)?.[1],
  );
  return names.find((version) => version !== undefined) ?? "0.0.0";
}

/** @throws NativeLibraryError when the file is no usable libtensorflow. */
export function openTensorflow(path: string, options: OpenOptions = { calledProducts: false }): Tensorflow {
  const known = opened.get(path);
  if (known) return known;
  checkLibraryFile(path);
  // Read when the library is loaded: only errors may reach a notebook's stderr.
  setNativeDefault("TF_CPP_MIN_LOG_LEVEL", "3");
  // All before it is loaded: C must not read its environment on one thread while another one writes there.
  const flags = xlaFlags(options, wheelVersion(path));
  const programCache = programCacheFor(path, flags);
  if (programCache !== null)
    setNativeDefault(
      "TF_XLA_FLAGS",
      `--tf_xla_persistent_cache_directory=${programCache} --tf_xla_persistent_cache_device_types=CPU`,
    );
  setNativeDefault("XLA_FLAGS", flags);
  // A thread of OpenMP that waits for the next product would keep a core from XLA. oneDNN's library reads it, which is loaded
  // later; but by then the environment must not be written any more, since TensorFlow's threads, and another JavaScript
  // thread that loads it too, may be reading it.
  if (options.calledProducts) setNativeDefault("OMP_WAIT_POLICY", "passive");
  // TensorFlow's own allocator keeps what a step frees. From malloc a program's buffers, hundreds of MiB in one, come anew
  // from the system at every step, page by page: a tenth of a step.
  setNativeDefault("TF_CPU_ALLOCATOR_USE_BFC", "true");
  // It takes what it needs, and this at most: more than the machine has is then an error and not the end of the process, which Linux kills.
  // (It waits ten seconds for others to free some before it says so.)
  setNativeDefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", String(Math.floor(memoryLimit() / 2 ** 20)));
  keepFreedMemory();
  const c = load(path);
  silenceLogs(path);
  const status = c.TF_NewStatus()!;
  const check = (doing: string, of: Handle = status): void => {
    const code = c.TF_GetCode(of);
    if (code !== 0) throw statusError(statusCodes[code] ?? `code ${code}`, c.TF_Message(of) ?? "", doing);
  };
  const threads = threadCount();
  const contextOptions = c.TFE_NewContextOptions();
  const configuration = threadConfiguration(threads);
  c.TFE_ContextOptionsSetConfig(contextOptions, configuration, BigInt(configuration.length), status);
  check("setting the number of threads");
  const context = c.TFE_NewContext(contextOptions, status);
  c.TFE_DeleteContextOptions(contextOptions);
  check("opening a TensorFlow context");
  const library: Tensorflow = {
    path,
    version: c.TF_Version() ?? "unknown",
    c,
    context: context!,
    status,
    devices: listDevices(c, context!, status),
    threads,
    programCache,
    check,
    address: (name) => Number((c[name] as unknown as { readonly ptr: number }).ptr),
  };
  opened.set(path, library);
  return library;
}

/** @throws RangeError where BUNSEN_THREADS is no count. */
function threadCount(): number {
  const asked = process.env.BUNSEN_THREADS;
  if (asked === undefined || asked === "") return availableParallelism();
  const threads = Number(asked);
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw new RangeError(`BUNSEN_THREADS: expected an integer from 1 to 1024, got ${JSON.stringify(asked)}`);
}

/** A serialised ConfigProto with intra_op_parallelism_threads, its field 2, alone. */
function threadConfiguration(threads: number): Uint8Array {
  return Uint8Array.of(0x10, ...(threads < 128 ? [threads] : [(threads & 0x7f) | 0x80, threads >> 7]));
}

function load(path: string): Symbols {
  try {
    return withoutStderr(() => dlopen(path, table).symbols);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NativeLibraryError(
      `${path} cannot be used as libtensorflow: ${reason}. Expected the library of the tensorflow-cpu or tensorflow wheel (2.16 or later); ` +
        `reinstall it (pip install tensorflow-cpu) or unset BUNSEN_TENSORFLOW`,
      { cause },
    );
  }
}

/**
 * Compiled programs are kept over processes, keyed by the library and the processor: code for one processor's
 * instructions may not run on another. BUNSEN_XLA_CACHE names another folder, or is `off`.
 */
function programCacheFor(path: string, flags: string): string | null {
  const asked = process.env.BUNSEN_XLA_CACHE;
  // Whoever sets the flags says themselves whether there is a cache.
  if (asked === "off" || process.env.TF_XLA_FLAGS !== undefined) return null;
  const caches = process.env.BUNSEN_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "bunsen");
  const folder = join(asked ?? join(caches, "xla"), cacheKey(path, flags));
  try {
    mkdirSync(folder, { recursive: true });
  } catch {
    // A folder that cannot be written: every process compiles for itself.
    return null;
  }
  return folder;
}

function cacheKey(path: string, flags: string): string {
  const features =
    process.platform === "linux" ? (/^flags\s*:.*$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[0] ?? "") : "";
  const { size, mtimeMs } = statSync(path);
  const threads = threadCount();
  const fewer = threads === availableParallelism() ? "" : `, ${threads} threads`;
  const machine = `${process.arch} ${cpus().length}${fewer} ${process.env.XLA_FLAGS ?? flags} ${features}`;
  return Bun.hash(`${path} ${size} ${mtimeMs} ${machine}`).toString(16);
}

/**
 * Errors come back as status codes. What the library logs besides (alarms about slow compiles, remarks on its cache)
 * would stand in a notebook's output, and no environment variable reaches those lines.
 */
function silenceLogs(path: string): void {
  const framework = join(dirname(path), "libtensorflow_framework.so.2");
  if (!existsSync(framework)) return;
  try {
    const [name] = symbolsMatching(framework, /_ZN4absl\w*14SetMinLogLevelENS\w*LogSeverityAtLeastE/);
    // 3 is kFatal.
    if (name) dlopen(framework, { [name]: { args: ["i32"], returns: "void" } }).symbols[name]!(3);
  } catch {
    // Another build of the library: its logs stay.
  }
}

function listDevices(c: Symbols, context: Handle, status: Handle): Device[] {
  const list = c.TFE_ContextListDevices(context, status);
  if (!list || c.TF_GetCode(status) !== 0) return [];
  const devices: Device[] = [];
  for (let i = 0; i < c.TF_DeviceListCount(list); i++) {
    devices.push({
      name: c.TF_DeviceListName(list, i, status) ?? "",
      type: c.TF_DeviceListType(list, i, status) ?? "",
      memory: Number(c.TF_DeviceListMemoryBytes(list, i, status)),
    });
  }
  c.TF_DeleteDeviceList(list);
  return devices;
}

function statusError(code: string, message: string, doing: string): EngineError {
  const text = `TensorFlow failed while ${doing}: ${code}: ${message.trim()}`;
  if (text.includes("Failed to materialize symbols")) {
    const mappings = memoryMappings();
    const held = mappings === null ? "" : ` (it holds ${mappings.held} of at most ${mappings.most})`;
    return new EngineError(
      `${text}. This process has no memory mappings left for one more compiled program${held}. Start a new process: runs go on from their checkpoints. Fewer input lengths (lengths: "merged") compile fewer programs; vm.max_map_count allows more.`,
      code,
    );
  }
  if (code !== "RESOURCE_EXHAUSTED") return new EngineError(text, code);
  return new OutOfDeviceMemoryError(
    `${text}. Use a smaller batch, bf16 weights, or free tensors that are no longer needed`,
    code,
  );
}
