// tfjs-node's `TFJSBinding` contract over libtensorflow: tensors by number, ops by name. It replaces the native addon
// of @tensorflow/tfjs-node-gpu, whose JavaScript kernels call it. It also keeps weights that rest as bfloat16: they
// look like float32 to every kernel and are widened for the time of one op.
import { ptr, toArrayBuffer } from "bun:ffi";
import type { DataType } from "@tensorflow/tfjs-core";
import { type Handle, type Tensorflow, types } from "./library.ts";

type Values = Float32Array | Int32Array | Uint8Array | Uint8Array[] | BigInt64Array;

export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

export interface TensorMetadata {
  id: number;
  shape: number[];
  dtype: number;
}

const attributeTypes = {
  TF_ATTR_STRING: 0,
  TF_ATTR_INT: 1,
  TF_ATTR_FLOAT: 2,
  TF_ATTR_BOOL: 3,
  TF_ATTR_TYPE: 4,
  TF_ATTR_SHAPE: 5,
  TF_ATTR_RESOURCE: 9,
} as const;

/** Bytes of a TF_TString (tf_tstring.h). */
const stringBytes = 24;

/** The contract that `NodeJSKernelBackend` expects, and what the rest of this folder needs of it. */
export interface Binding {
  readonly [constant: string]: unknown;
  createTensor(shape: readonly number[], dtype: number, values: Values | ArrayLike<number>): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Values;
  executeOp(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): TensorMetadata[];
  /** A tensor of raw bytes: one copy, from wherever the view points (a mapped file) to the library's memory. */
  createFromBytes(shape: readonly number[], dtype: number, bytes: Uint8Array): number;
  /** A tensor whose bytes are written in place: nothing of its size lies in JavaScript's memory meanwhile. */
  createInPlace(shape: readonly number[], dtype: number, byteLength: number, fill: (bytes: Uint8Array) => void): number;
  /** Takes over a handle that the C API returned. */
  adopt(handle: Handle): TensorMetadata;
  handle(id: number): Handle;
  /** The TF_DataType that is stored, which for a resting weight is bfloat16. */
  storedType(id: number): number;
  getNumOfTensors(): number;
}

/** Allocates a C tensor, lets `fill` write its bytes, and wraps it in a handle. */
export function newTensor(
  { c, status, check }: Tensorflow,
  shape: readonly number[],
  dtype: number,
  byteLength: number,
  fill: (data: Uint8Array) => void,
): Handle {
  const dimensions = BigInt64Array.from(shape, BigInt);
  const tensor = c.TF_AllocateTensor(dtype, shape.length > 0 ? dimensions : null, shape.length, BigInt(byteLength));
  if (!tensor)
    throw new RangeError(`libtensorflow could not allocate ${byteLength} bytes for a tensor of shape [${shape}]`);
  if (byteLength > 0) fill(new Uint8Array(toArrayBuffer(c.TF_TensorData(tensor) as never, 0, byteLength)));
  const handle = c.TFE_NewTensorHandle(tensor, status);
  c.TF_DeleteTensor(tensor);
  check(`creating a tensor of shape [${shape}]`);
  return handle!;
}

export function createBinding(tensorflow: Tensorflow): Binding {
  const { c, context, status, check } = tensorflow;
  const handles = new Map<number, { readonly handle: Handle; readonly type: number }>();
  let nextId = 1;
  const hasGpu = tensorflow.devices.some((device) => device.type === "GPU");

  const register = (handle: Handle, type: number): number => {
    handles.set(nextId, { handle, type });
    return nextId++;
  };
  const entry = (id: number): { readonly handle: Handle; readonly type: number } => {
    const found = handles.get(id);
    if (!found) throw new ReferenceError(`tensor ${id} is not on libtensorflow: it was disposed`);
    return found;
  };

  const allocate = (
    shape: readonly number[],
    dtype: number,
    byteLength: number,
    fill: (data: Uint8Array) => void,
  ): number => register(newTensor(tensorflow, shape, dtype, byteLength, fill), dtype);

  const binding: Binding = {
    ...attributeTypes,
    TF_FLOAT: types.float32,
    TF_INT32: types.int32,
    TF_UINT8: types.uint8,
    TF_STRING: types.string,
    TF_COMPLEX64: types.complex64,
    TF_INT64: types.int64,
    TF_BOOL: types.bool,
    TF_RESOURCE: types.resource,
    TF_Version: tensorflow.version,
    TensorMetadata: class {},
    TFEOpAttr: class {},
    isUsingGpuDevice: () => hasGpu,
    getNumOfTensors: () => handles.size,
    getNumOfSavedModels: () => 0,
    loadSavedModel: unsupported,
    deleteSavedModel: unsupported,
    runSavedModel: unsupported,

    createTensor(shape, dtype, values) {
      if (dtype === types.string) return createStrings(values as Uint8Array[]);
      const array = typed(values as ArrayLike<number>, dtype);
      return binding.createFromBytes(shape, dtype, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));

      function createStrings(items: Uint8Array[]): number {
        return allocate(shape, types.string, items.length * stringBytes, (data) => {
          items.forEach((item, index) => {
            const at = data.subarray(index * stringBytes, (index + 1) * stringBytes);
            c.TF_StringInit(at);
            c.TF_StringCopy(at, item, BigInt(item.byteLength));
          });
        });
      }
    },

    createFromBytes(shape, dtype, bytes) {
      return allocate(shape, dtype, bytes.byteLength, (data) => data.set(bytes));
    },

    createInPlace: allocate,

    deleteTensor(id) {
      c.TFE_DeleteTensorHandle(entry(id).handle);
      handles.delete(id);
    },

    tensorDataSync(id) {
      const { handle, type } = entry(id);
      if (type === types.bfloat16) {
        const wide = widen(handle);
        try {
          return read(wide);
        } finally {
          c.TFE_DeleteTensorHandle(wide);
        }
      }
      return read(handle);
    },

    executeOp(name, attributes, inputs, outputs) {
      const widened: Handle[] = [];
      const op = c.TFE_NewOp(context, name, status);
      check(`creating op ${name}`);
      try {
        for (const id of inputs) {
          const { handle, type } = entry(id);
          const input = type === types.bfloat16 ? widen(handle) : handle;
          if (input !== handle) widened.push(input);
          c.TFE_OpAddInput(op, input, status);
          check(`adding an input of op ${name}`);
        }
        for (const attribute of attributes) setAttribute(op!, attribute, name);
        const results = new BigUint64Array(outputs);
        const count = Int32Array.of(outputs);
        c.TFE_Execute(op, results, count, status);
        check(`running op ${name}`);
        return Array.from(results.subarray(0, count[0]), (handle) => binding.adopt(handle));
      } finally {
        c.TFE_DeleteOp(op);
        for (const handle of widened) c.TFE_DeleteTensorHandle(handle);
      }
    },

    adopt(handle) {
      const rank = c.TFE_TensorHandleNumDims(handle, status);
      const shape = Array.from({ length: rank }, (_, index) => Number(c.TFE_TensorHandleDim(handle, index, status)));
      const dtype = c.TFE_TensorHandleDataType(handle);
      return { id: register(handle, dtype), shape, dtype };
    },

    handle: (id) => entry(id).handle,
    storedType: (id) => entry(id).type,
  };
  return binding;

  function unsupported(): never {
    throw new Error("SavedModel is not supported: load the weights as safetensors instead");
  }

  /** float32 copy of a bfloat16 tensor; the caller deletes it. */
  function widen(handle: Handle): Handle {
    const op = c.TFE_NewOp(context, "Cast", status);
    c.TFE_OpAddInput(op, handle, status);
    c.TFE_OpSetAttrType(op, "SrcT", types.bfloat16);
    c.TFE_OpSetAttrType(op, "DstT", types.float32);
    const results = new BigUint64Array(1);
    const count = Int32Array.of(1);
    c.TFE_Execute(op, results, count, status);
    c.TFE_DeleteOp(op);
    check("widening a bfloat16 weight");
    return results[0]!;
  }

  function read(handle: Handle): Values {
    const tensor = c.TFE_TensorHandleResolve(handle, status);
    check("reading a tensor");
    try {
      const type = c.TF_TensorType(tensor);
      const size = Number(c.TF_TensorByteSize(tensor));
      if (size === 0) return typed([], type);
      // The memory belongs to the tensor, which is deleted below: copy first.
      const data = toArrayBuffer(c.TF_TensorData(tensor) as never, 0, size);
      if (type === types.string) return readStrings(new Uint8Array(data));
      const copy = data.slice(0);
      if (type === types.float32 || type === types.complex64) return new Float32Array(copy);
      if (type === types.int32) return new Int32Array(copy);
      if (type === types.int64) return new BigInt64Array(copy);
      return new Uint8Array(copy);
    } finally {
      c.TF_DeleteTensor(tensor);
    }
  }

  function readStrings(data: Uint8Array): Uint8Array[] {
    return Array.from({ length: data.length / stringBytes }, (_, index) => {
      const at = data.subarray(index * stringBytes, (index + 1) * stringBytes);
      const size = Number(c.TF_StringGetSize(at));
      const start = c.TF_StringGetDataPointer(at);
      return size === 0 ? new Uint8Array(0) : new Uint8Array(toArrayBuffer(start as never, 0, size).slice(0));
    });
  }

  function setAttribute(op: Handle, { name, type, value }: OpAttribute, opName: string): void {
    switch (type) {
      case attributeTypes.TF_ATTR_INT:
        if (Array.isArray(value)) {
          const list = BigInt64Array.from(value as number[], BigInt);
          c.TFE_OpSetAttrIntList(op, name, list.length > 0 ? list : null, list.length);
          // A seed may be any number; as in the native addon, its whole part counts.
        } else c.TFE_OpSetAttrInt(op, name, BigInt(Math.trunc(value as number)));
        return;
      case attributeTypes.TF_ATTR_FLOAT:
        c.TFE_OpSetAttrFloat(op, name, value as number);
        return;
      case attributeTypes.TF_ATTR_BOOL:
        c.TFE_OpSetAttrBool(op, name, value ? 1 : 0);
        return;
      case attributeTypes.TF_ATTR_TYPE:
        c.TFE_OpSetAttrType(op, name, value as number);
        return;
      case attributeTypes.TF_ATTR_STRING: {
        const bytes = Buffer.from(value as string);
        c.TFE_OpSetAttrString(op, name, bytes.length > 0 ? bytes : null, BigInt(bytes.length));
        return;
      }
      case attributeTypes.TF_ATTR_SHAPE: {
        const dimensions = BigInt64Array.from((value as number[] | null) ?? [], BigInt);
        c.TFE_OpSetAttrShape(
          op,
          name,
          dimensions.length > 0 ? dimensions : null,
          value ? dimensions.length : -1,
          status,
        );
        check(`setting attribute ${name} of op ${opName}`);
        return;
      }
      default:
        throw new TypeError(`attribute ${name} of op ${opName} has type ${type}, which this binding does not know`);
    }
  }
}

/** Values as the typed array of a TF_DataType; arrays of the right class are passed through. */
function typed(values: ArrayLike<number>, dtype: number): Exclude<Values, Uint8Array[]> {
  switch (dtype) {
    case types.float32:
    case types.complex64:
      return values instanceof Float32Array ? values : Float32Array.from(values);
    case types.int32:
      return values instanceof Int32Array ? values : Int32Array.from(values);
    case types.int64:
      // tfjs-node packs an int64 into two int32 words.
      return values instanceof Int32Array ? values : BigInt64Array.from(Array.from(values, (value) => BigInt(value)));
    default:
      return values instanceof Uint8Array ? values : Uint8Array.from(values);
  }
}

/** The TF_DataType of a tfjs dtype. */
export const typeOf: Readonly<Record<DataType, number>> = {
  float32: types.float32,
  int32: types.int32,
  bool: types.bool,
  complex64: types.complex64,
  string: types.string,
};

/** `ptr` for pointer tables inside C structures; the caller keeps `array` alive for as long as C may read it. */
export const addressOf = (array: NodeJS.TypedArray): bigint => BigInt(ptr(array));
