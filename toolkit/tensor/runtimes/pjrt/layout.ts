// The parts of pjrt_c_api.h that are used, as data: which functions the API table holds, in order, and the fields of
// each argument struct. The test beside it reads the header of an installed wheel and compares every offset. Not the
// whole header: functions after the last one used are left out, since the table only ever grows at its end.

/** `p`: pointer, size or 64-bit integer; `i`: C int or enum; `b`: bool. */
export type FieldType = "p" | "i" | "b";

/** Functions of PJRT_Api in order, after the size, the extension pointer and the version struct. */
export const apiFunctions = [
  "PJRT_Error_Destroy",
  "PJRT_Error_Message",
  "PJRT_Error_GetCode",
  "PJRT_Plugin_Initialize",
  "PJRT_Plugin_Attributes",
  "PJRT_Event_Destroy",
  "PJRT_Event_IsReady",
  "PJRT_Event_Error",
  "PJRT_Event_Await",
  "PJRT_Event_OnReady",
  "PJRT_Client_Create",
  "PJRT_Client_Destroy",
  "PJRT_Client_PlatformName",
  "PJRT_Client_ProcessIndex",
  "PJRT_Client_PlatformVersion",
  "PJRT_Client_Devices",
  "PJRT_Client_AddressableDevices",
  "PJRT_Client_LookupDevice",
  "PJRT_Client_LookupAddressableDevice",
  "PJRT_Client_AddressableMemories",
  "PJRT_Client_Compile",
  "PJRT_Client_DefaultDeviceAssignment",
  "PJRT_Client_BufferFromHostBuffer",
  "PJRT_DeviceDescription_Id",
  "PJRT_DeviceDescription_ProcessIndex",
  "PJRT_DeviceDescription_Attributes",
  "PJRT_DeviceDescription_Kind",
  "PJRT_DeviceDescription_DebugString",
  "PJRT_DeviceDescription_ToString",
  "PJRT_Device_GetDescription",
  "PJRT_Device_IsAddressable",
  "PJRT_Device_LocalHardwareId",
  "PJRT_Device_AddressableMemories",
  "PJRT_Device_DefaultMemory",
  "PJRT_Device_MemoryStats",
  "PJRT_Memory_Id",
  "PJRT_Memory_Kind",
  "PJRT_Memory_DebugString",
  "PJRT_Memory_ToString",
  "PJRT_Memory_AddressableByDevices",
  "PJRT_Executable_Destroy",
  "PJRT_Executable_Name",
  "PJRT_Executable_NumReplicas",
  "PJRT_Executable_NumPartitions",
  "PJRT_Executable_NumOutputs",
  "PJRT_Executable_SizeOfGeneratedCodeInBytes",
  "PJRT_Executable_GetCostAnalysis",
  "PJRT_Executable_OutputMemoryKinds",
  "PJRT_Executable_OptimizedProgram",
  "PJRT_Executable_Serialize",
  "PJRT_LoadedExecutable_Destroy",
  "PJRT_LoadedExecutable_GetExecutable",
  "PJRT_LoadedExecutable_AddressableDevices",
  "PJRT_LoadedExecutable_Delete",
  "PJRT_LoadedExecutable_IsDeleted",
  "PJRT_LoadedExecutable_Execute",
  "PJRT_Executable_DeserializeAndLoad",
  "PJRT_LoadedExecutable_Fingerprint",
  "PJRT_Buffer_Destroy",
  "PJRT_Buffer_ElementType",
  "PJRT_Buffer_Dimensions",
  "PJRT_Buffer_UnpaddedDimensions",
  "PJRT_Buffer_DynamicDimensionIndices",
  "PJRT_Buffer_GetMemoryLayout",
  "PJRT_Buffer_OnDeviceSizeInBytes",
  "PJRT_Buffer_Device",
  "PJRT_Buffer_Memory",
  "PJRT_Buffer_Delete",
  "PJRT_Buffer_IsDeleted",
  "PJRT_Buffer_CopyToDevice",
  "PJRT_Buffer_ToHostBuffer",
] as const;

export type ApiFunction = (typeof apiFunctions)[number];

/** Bytes in front of the function table: struct_size, extension_start, and PJRT_Api_Version's 24. */
export const apiHeaderBytes = 40;

/** Offset of the version's two ints within PJRT_Api: behind the version's own size and extension pointer. */
export const apiVersionOffset = 32;

type Fields = Readonly<Record<string, FieldType>>;
const error: Fields = { error: "p" };
const event: Fields = { event: "p" };
const client: Fields = { client: "p" };
const text = (name: string): Fields => ({ [name]: "p", [`${name}_size`]: "p" });

/** Fields of each struct after struct_size and extension_start. */
export type StructName =
  | "PJRT_Error_Destroy_Args"
  | "PJRT_Error_Message_Args"
  | "PJRT_Error_GetCode_Args"
  | "PJRT_Plugin_Initialize_Args"
  | "PJRT_Event_Destroy_Args"
  | "PJRT_Event_Await_Args"
  | "PJRT_Client_Create_Args"
  | "PJRT_NamedValue"
  | "PJRT_Client_Destroy_Args"
  | "PJRT_Client_PlatformName_Args"
  | "PJRT_Client_PlatformVersion_Args"
  | "PJRT_Client_AddressableDevices_Args"
  | "PJRT_Client_Compile_Args"
  | "PJRT_Program"
  | "PJRT_Client_BufferFromHostBuffer_Args"
  | "PJRT_Device_GetDescription_Args"
  | "PJRT_DeviceDescription_Kind_Args"
  | "PJRT_Device_MemoryStats_Args"
  | "PJRT_Buffer_Destroy_Args"
  | "PJRT_Buffer_ToHostBuffer_Args"
  | "PJRT_LoadedExecutable_Destroy_Args"
  | "PJRT_ExecuteOptions"
  | "PJRT_LoadedExecutable_Execute_Args";

export const structs: Readonly<Record<StructName, Fields>> = {
  PJRT_Error_Destroy_Args: error,
  PJRT_Error_Message_Args: { ...error, ...text("message") },
  PJRT_Error_GetCode_Args: { ...error, code: "i" },
  PJRT_Plugin_Initialize_Args: {},
  PJRT_Event_Destroy_Args: event,
  PJRT_Event_Await_Args: event,
  PJRT_Client_Create_Args: {
    create_options: "p",
    num_options: "p",
    kv_get_callback: "p",
    kv_get_user_arg: "p",
    kv_put_callback: "p",
    kv_put_user_arg: "p",
    client: "p",
    kv_try_get_callback: "p",
    kv_try_get_user_arg: "p",
  },
  PJRT_NamedValue: { ...text("name"), type: "i", value: "p", value_size: "p" },
  PJRT_Client_Destroy_Args: client,
  PJRT_Client_PlatformName_Args: { ...client, ...text("platform_name") },
  PJRT_Client_PlatformVersion_Args: { ...client, ...text("platform_version") },
  PJRT_Client_AddressableDevices_Args: { ...client, addressable_devices: "p", num_addressable_devices: "p" },
  PJRT_Client_Compile_Args: { ...client, program: "p", ...text("compile_options"), executable: "p" },
  PJRT_Program: { ...text("code"), ...text("format") },
  PJRT_Client_BufferFromHostBuffer_Args: {
    ...client,
    data: "p",
    type: "i",
    dims: "p",
    num_dims: "p",
    byte_strides: "p",
    num_byte_strides: "p",
    host_buffer_semantics: "i",
    device: "p",
    memory: "p",
    device_layout: "p",
    done_with_host_buffer: "p",
    buffer: "p",
  },
  PJRT_Device_GetDescription_Args: { device: "p", device_description: "p" },
  PJRT_DeviceDescription_Kind_Args: { device_description: "p", ...text("device_kind") },
  PJRT_Device_MemoryStats_Args: {
    device: "p",
    bytes_in_use: "p",
    peak_bytes_in_use: "p",
    peak_bytes_in_use_is_set: "b",
    num_allocs: "p",
    num_allocs_is_set: "b",
    largest_alloc_size: "p",
    largest_alloc_size_is_set: "b",
    bytes_limit: "p",
    bytes_limit_is_set: "b",
    bytes_reserved: "p",
    bytes_reserved_is_set: "b",
    peak_bytes_reserved: "p",
    peak_bytes_reserved_is_set: "b",
    bytes_reservable_limit: "p",
    bytes_reservable_limit_is_set: "b",
    largest_free_block_bytes: "p",
    largest_free_block_bytes_is_set: "b",
    pool_bytes: "p",
    pool_bytes_is_set: "b",
    peak_pool_bytes: "p",
    peak_pool_bytes_is_set: "b",
  },
  PJRT_Buffer_Destroy_Args: { buffer: "p" },
  PJRT_Buffer_ToHostBuffer_Args: { src: "p", host_layout: "p", dst: "p", dst_size: "p", event: "p" },
  PJRT_LoadedExecutable_Destroy_Args: { executable: "p" },
  PJRT_ExecuteOptions: {
    send_callbacks: "p",
    recv_callbacks: "p",
    num_send_ops: "p",
    num_recv_ops: "p",
    launch_id: "i",
    non_donatable_input_indices: "p",
    num_non_donatable_input_indices: "p",
    context: "p",
    call_location: "p",
    num_tasks: "p",
    task_ids: "p",
    incarnation_ids: "p",
  },
  PJRT_LoadedExecutable_Execute_Args: {
    executable: "p",
    options: "p",
    argument_lists: "p",
    num_devices: "p",
    num_args: "p",
    output_lists: "p",
    device_complete_events: "p",
    execute_device: "p",
  },
};

/** PJRT_Buffer_Type numbers of the types used here. */
export const bufferTypes = { pred: 1, s32: 4, f32: 11, bf16: 13 } as const;

export const fieldBytes: Readonly<Record<FieldType, number>> = { p: 8, i: 4, b: 1 };

/** Offset of every field, and the bytes up to the end of the last one, by C's rules of alignment. */
export function layoutOf(name: StructName): { readonly offsets: ReadonlyMap<string, number>; readonly size: number } {
  const offsets = new Map<string, number>();
  let end = 16;
  for (const [field, type] of Object.entries(structs[name]) as [string, FieldType][]) {
    const bytes = fieldBytes[type];
    const start = Math.ceil(end / bytes) * bytes;
    offsets.set(field, start);
    end = start + bytes;
  }
  return { offsets, size: end };
}
