// A PJRT plugin opened through bun:ffi: its function table, its errors as exceptions, and one client on the first
// device. Everything here is synchronous; what may take long goes through the engine thread (runtime.ts).
import { CFunction, dlopen, type Pointer, read, toArrayBuffer } from "bun:ffi";
import { EngineError, NativeLibraryError, OutOfDeviceMemoryError } from "../../errors.ts";
import { checkLibraryFile } from "../../native/elf.ts";
import { keepFreedMemory, setNativeDefault, withoutStderr } from "../../native/environment.ts";
import { statusCodes } from "../../native/status-codes.ts";
import { type ApiFunction, apiFunctions, apiHeaderBytes, apiVersionOffset } from "./layout.ts";
import { Struct } from "./struct.ts";

/** The one major version there is, and the oldest minor version whose structs are those of layout.ts. */
const supported = { major: 0, oldestMinor: 54 } as const;

/** An opened plugin. Plugins cannot be unloaded; it lives as long as the process. */
export interface Plugin {
  readonly path: string;
  readonly version: string;
  /** Calls a function with its struct. @throws EngineError; `doing` completes "while …". */
  call(name: ApiFunction, args: Struct, doing: string): void;
  /** Address of a function, for the engine thread. */
  address(name: ApiFunction): number;
  /** @throws the error that a PJRT_Error* holds, and frees it; 0 is no error. */
  check(error: bigint, doing: string): void;
}

export interface Client {
  readonly plugin: Plugin;
  readonly handle: bigint;
  readonly device: bigint;
  readonly platform: string;
  readonly platformVersion: string;
  readonly deviceKind: string;
  /** Bytes that the device may use, where it says so. */
  readonly memory: number | null;
}

const opened = new Map<string, Plugin>();

/** @throws NativeLibraryError when the file is no PJRT plugin, or one of another API version. */
export function openPlugin(path: string, librariesFirst: readonly string[] = []): Plugin {
  const known = opened.get(path);
  if (known) return known;
  checkLibraryFile(path);
  setNativeDefault("TF_CPP_MIN_LOG_LEVEL", "2");
  keepFreedMemory();
  for (const library of librariesFirst) preload(library);
  const plugin = pluginAt(path, Number(loadApi(path)));
  plugin.call("PJRT_Plugin_Initialize", new Struct("PJRT_Plugin_Initialize_Args"), `initialising ${path}`);
  opened.set(path, plugin);
  return plugin;
}

/**
 * The plugin whose function table lies at this address.
 * @throws NativeLibraryError when the table is of another version.
 */
export function pluginAt(path: string, table: number): Plugin {
  const [major, minor] = [
    read.i32(table as Pointer, apiVersionOffset),
    read.i32(table as Pointer, apiVersionOffset + 4),
  ];
  const size = Number(read.u64(table as Pointer, 0));
  if (major !== supported.major || minor < supported.oldestMinor || size < apiHeaderBytes + 8 * apiFunctions.length) {
    throw new NativeLibraryError(
      `${path} speaks PJRT API ${major}.${minor} (table of ${size} bytes); expected ${supported.major}.${supported.oldestMinor} or a later ${supported.major}.x. Install a plugin of this year, e.g. pip install "jax-cuda12-pjrt"`,
    );
  }
  const functions = new Map<ApiFunction, { readonly address: number; readonly call: (args: Uint8Array) => unknown }>();
  apiFunctions.forEach((name, index) => {
    const address = Number(read.u64(table as Pointer, apiHeaderBytes + 8 * index));
    functions.set(name, {
      address,
      call: CFunction({ ptr: address as Pointer, args: ["ptr"], returns: "ptr" }) as unknown as (
        args: Uint8Array,
      ) => unknown,
    });
  });
  const invoke = (name: ApiFunction, args: Struct): bigint =>
    BigInt((functions.get(name)!.call(args.bytes) as number | bigint | null) ?? 0);
  const plugin: Plugin = {
    path,
    version: `${major}.${minor}`,
    address: (name) => functions.get(name)!.address,
    call(name, args, doing) {
      plugin.check(invoke(name, args), doing);
    },
    check(error, doing) {
      if (error === 0n) return;
      const message = new Struct("PJRT_Error_Message_Args", { error });
      invoke("PJRT_Error_Message", message);
      const code = new Struct("PJRT_Error_GetCode_Args", { error });
      invoke("PJRT_Error_GetCode", code);
      const words = readText(message.get("message"), message.get("message_size"));
      invoke("PJRT_Error_Destroy", new Struct("PJRT_Error_Destroy_Args", { error }));
      throw pluginError(statusCodes[Number(code.get("code"))] ?? "UNKNOWN", words, doing);
    },
  };
  return plugin;
}

function pluginError(code: string, words: string, doing: string): EngineError {
  const text = `the PJRT plugin failed while ${doing}: ${code}: ${words.trim()}`;
  if (code !== "RESOURCE_EXHAUSTED") return new EngineError(text, code);
  return new OutOfDeviceMemoryError(
    `${text}. Use a smaller batch, bf16 weights, or free tensors that are no longer needed`,
    code,
  );
}

function loadApi(path: string): bigint {
  let get: () => unknown;
  try {
    get = withoutStderr(
      () => dlopen(path, { GetPjrtApi: { args: [], returns: "ptr" } }).symbols.GetPjrtApi,
    ) as () => unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NativeLibraryError(
      `${path} cannot be used as a PJRT plugin: ${reason}. Expected a library that exports GetPjrtApi, with its CUDA libraries installed beside it (pip install "jax-cuda12-pjrt" "jax-cuda12-plugin[with-cuda]")`,
      { cause },
    );
  }
  const table = BigInt((get() as number | bigint | null) ?? 0);
  if (table === 0n) throw new NativeLibraryError(`${path} returned no PJRT API; reinstall the package it came with`);
  return table;
}

/** Opens a library that the plugin needs and cannot find itself; those that do not open are the plugin's to report. */
function preload(path: string): void {
  try {
    withoutStderr(() => dlopen(path, {}));
  } catch {
    // Some depend on ones that come later in the list, and some are not needed at all.
  }
}

export function readText(address: bigint, size: bigint): string {
  return size === 0n ? "" : Buffer.from(toArrayBuffer(Number(address) as Pointer, 0, Number(size))).toString();
}

/** Creates the client. @throws EngineError, without a GPU for instance, in the plugin's words. */
export function createClient(plugin: Plugin, options: Readonly<Record<string, boolean>> = {}): Client {
  const values = Object.entries(options).map(([name, value]) => {
    const bytes = Buffer.from(name);
    // 4 is PJRT_NamedValue_kBool.
    return new Struct("PJRT_NamedValue", {
      name: bytes,
      name_size: bytes.length,
      type: 4,
      value: value ? 1n : 0n,
      value_size: 1,
    });
  });
  // C walks these as an array by each element's struct_size, which is why there can only be one.
  if (values.length > 1) throw new RangeError("at most one option is passed to a PJRT client");
  const create = new Struct("PJRT_Client_Create_Args", {
    create_options: values[0] ?? null,
    num_options: values.length,
  });
  plugin.call("PJRT_Client_Create", create, "creating a client (is there a device, and its driver?)");
  const handle = create.get("client");
  const devices = new Struct("PJRT_Client_AddressableDevices_Args", { client: handle });
  plugin.call("PJRT_Client_AddressableDevices", devices, "listing devices");
  if (devices.get("num_addressable_devices") === 0n)
    throw new EngineError(
      `${plugin.path} found no device; check its driver (nvidia-smi) and visible devices`,
      "NOT_FOUND",
    );
  const device = read.u64(Number(devices.get("addressable_devices")) as Pointer, 0);
  const description = new Struct("PJRT_Device_GetDescription_Args", { device });
  plugin.call("PJRT_Device_GetDescription", description, "describing the device");
  const kind = new Struct("PJRT_DeviceDescription_Kind_Args", {
    device_description: description.get("device_description"),
  });
  plugin.call("PJRT_DeviceDescription_Kind", kind, "describing the device");
  const name = new Struct("PJRT_Client_PlatformName_Args", { client: handle });
  plugin.call("PJRT_Client_PlatformName", name, "naming the platform");
  const version = new Struct("PJRT_Client_PlatformVersion_Args", { client: handle });
  plugin.call("PJRT_Client_PlatformVersion", version, "naming the platform's version");
  return {
    plugin,
    handle,
    device,
    platform: readText(name.get("platform_name"), name.get("platform_name_size")),
    platformVersion: readText(version.get("platform_version"), version.get("platform_version_size")),
    deviceKind: readText(kind.get("device_kind"), kind.get("device_kind_size")),
    memory: memoryOf(plugin, device),
  };
}

function memoryOf(plugin: Plugin, device: bigint): number | null {
  const stats = new Struct("PJRT_Device_MemoryStats_Args", { device });
  try {
    plugin.call("PJRT_Device_MemoryStats", stats, "reading memory statistics");
  } catch {
    // Many devices keep no statistics; it is only shown.
    return null;
  }
  return stats.get("bytes_limit_is_set") === 1n ? Number(stats.get("bytes_limit")) : null;
}
