// Reading of safetensors files: the header is parsed and checked once, each tensor is mapped from the file when it is
// asked for (a window of its own, so that files over 4 GiB work). Writing is write.ts; folders are folder.ts.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { decode, elementSizes, type FileDtype, type Values } from "./dtypes.ts";
import { WeightsError } from "./errors.ts";

export interface TensorInfo {
  readonly dtype: FileDtype;
  readonly shape: readonly number[];
  /** First and one-past-last byte, counted from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface TensorData {
  readonly dtype: FileDtype;
  readonly shape: readonly number[];
  readonly values: Values;
}

export interface TensorBytes {
  readonly dtype: FileDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface SafetensorsFile extends Header {
  readonly path: string;
  /** The raw little-endian bytes of one tensor, mapped. @throws WeightsError */
  bytes(name: string): TensorBytes;
  /** The values of one tensor. F32 and I32 are mapped: nothing is read until it is used. @throws WeightsError */
  read(name: string): TensorData;
}

/** Largest header that is read; the reference implementation's limit. */
const headerLimit = 100_000_000;

/**
 * Checks the text of a header against the number of data bytes that follow it: known types, whole sizes, no overlap,
 * no hole, no name twice.
 * @throws WeightsError with every field that was expected and what came.
 */
export function parseHeader(text: string, dataBytes: number, path = "header"): Header {
  const fail = (message: string): never => {
    throw new WeightsError(`${path}: ${message}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new WeightsError(`${path}: the header is no valid JSON; the file is damaged or is no safetensors file`, {
      cause,
    });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    return fail("the header must be a JSON object of tensors");
  const repeated = repeatedKey(text);
  if (repeated !== undefined) fail(`the header names ${JSON.stringify(repeated)} twice`);
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(json)) {
    if (name === "__metadata__") {
      if (typeof entry !== "object" || entry === null || Object.values(entry).some((v) => typeof v !== "string"))
        fail("__metadata__ must map names to strings");
      metadata = entry;
      continue;
    }
    tensors.set(name, parseEntry(name, entry, fail));
  }
  let position = 0;
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  for (const [name, { begin, end }] of inOrder) {
    if (begin < position) fail(`the bytes of tensor ${name} overlap those of another`);
    if (begin > position) fail(`there is a hole of ${begin - position} bytes before tensor ${name}`);
    position = end;
  }
  if (position !== dataBytes)
    fail(`the header describes ${position} bytes of data, the file holds ${dataBytes}; it is cut off or damaged`);
  return { tensors, metadata };
}

function parseEntry(name: string, entry: unknown, fail: (message: string) => never): TensorInfo {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(elementSizes, dtype))
    return fail(`tensor ${name} has the unknown type ${JSON.stringify(dtype)}`);
  const count = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(count))
    return fail(`tensor ${name}: the shape must be whole numbers, not ${JSON.stringify(shape)}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(count))
    return fail(`tensor ${name}: data_offsets must be two whole numbers, not ${JSON.stringify(offsets)}`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) return fail(`tensor ${name}: data_offsets must grow, not ${JSON.stringify(offsets)}`);
  const elements = shape.reduce((product: number, size: number) => product * size, 1);
  const bytes = elements * elementSizes[dtype as FileDtype];
  if (!Number.isSafeInteger(bytes) || bytes !== end - begin)
    return fail(`tensor ${name}: ${dtype} [${shape}] needs ${bytes} bytes, data_offsets give ${end - begin}`);
  return { dtype: dtype as FileDtype, shape, begin, end };
}

/** A key that the outermost object of valid JSON text holds twice; JSON.parse would drop the first silently. */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === "\\") i++;
      if (depth === 1 && expectKey) {
        const key = JSON.parse(text.slice(start, i + 1)) as string;
        if (seen.has(key)) return key;
        seen.add(key);
        expectKey = false;
      }
    } else if (c === "{" || c === "[") {
      depth++;
      if (depth === 1) expectKey = true;
    } else if (c === "}" || c === "]") depth--;
    else if (c === "," && depth === 1) expectKey = true;
  }
  return undefined;
}

/**
 * Opens a safetensors file: reads and checks its header only.
 * @throws WeightsError where the file is missing, cut off, hostile or of another format.
 */
export function openSafetensors(path: string): SafetensorsFile {
  const { text, dataStart, dataBytes } = readHeaderText(path);
  const header = parseHeader(text, dataBytes, path);
  const bytes = (name: string): TensorBytes => {
    const info = header.tensors.get(name);
    if (!info)
      throw new WeightsError(
        `${path} holds no tensor ${JSON.stringify(name)}; it has ${[...header.tensors.keys()].slice(0, 8).join(", ")}${header.tensors.size > 8 ? ", …" : ""}`,
      );
    const size = info.end - info.begin;
    // A window per tensor, private: a mapping of a whole file over 4 GiB throws, and nobody may write through it.
    const window =
      size === 0 ? new Uint8Array(0) : Bun.mmap(path, { offset: dataStart + info.begin, size, shared: false });
    if (window.length < size)
      throw new WeightsError(`${path} became shorter while it was open: tensor ${name} is cut off`);
    return { dtype: info.dtype, shape: info.shape, bytes: window.subarray(0, size) };
  };
  return {
    path,
    ...header,
    bytes,
    read(name) {
      const { dtype, shape, bytes: raw } = bytes(name);
      return { dtype, shape, values: decode(raw, dtype, name) };
    },
  };
}

function readHeaderText(path: string): { text: string; dataStart: number; dataBytes: number } {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new WeightsError(`cannot open ${path}: ${(cause as Error).message}`, { cause });
  }
  try {
    const { size } = fstatSync(file);
    const start = new Uint8Array(8);
    if (readSync(file, start, 0, 8, 0) < 8)
      throw new WeightsError(`${path} is ${size} bytes long; a safetensors file begins with 8 bytes of header length`);
    const length = new DataView(start.buffer).getBigUint64(0, true);
    if (length > BigInt(headerLimit) || Number(length) + 8 > size)
      throw new WeightsError(
        `${path}: a header of ${length} bytes does not fit a file of ${size}; it is damaged or is no safetensors file`,
      );
    const bytes = new Uint8Array(Number(length));
    readSync(file, bytes, 0, bytes.length, 8);
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new WeightsError(`${path}: the header is no valid UTF-8`, { cause });
    }
    return { text, dataStart: bytes.length + 8, dataBytes: size - bytes.length - 8 };
  } finally {
    closeSync(file);
  }
}
