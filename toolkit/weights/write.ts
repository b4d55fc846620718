// Writing of safetensors files: whole or not at all (a temporary file beside the target, synced, then renamed).
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { elementSizes, encode, type Values, type WritableDtype } from "./dtypes.ts";
import { WriteError } from "./errors.ts";

export interface WritableTensor {
  readonly shape: readonly number[];
  readonly values: Values;
  /** Default: F32 for Float32Array, I32 for Int32Array. */
  readonly dtype?: WritableDtype;
}

/**
 * Writes tensors to `path`, atomically. The order in the file is that of the reference implementation: larger element
 * types first, then by name, so that equal tensors give equal bytes.
 * @throws Error where a shape does not fit its values; WriteError where the disk refuses. The old file then stays as it was.
 */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, WritableTensor>>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): void {
  const entries = Object.entries(tensors).map(([name, tensor]) => {
    const dtype = tensor.dtype ?? (tensor.values instanceof Int32Array ? "I32" : "F32");
    const elements = tensor.shape.reduce((product, size) => product * size, 1);
    if (elements !== tensor.values.length)
      throw new Error(`tensor ${name}: shape [${tensor.shape}] has ${elements} elements, ${tensor.values.length} came`);
    return { name, dtype, shape: tensor.shape, values: tensor.values, bytes: elements * elementSizes[dtype] };
  });
  entries.sort((a, b) => elementSizes[b.dtype] - elementSizes[a.dtype] || (a.name < b.name ? -1 : 1));
  const header: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {};
  let position = 0;
  for (const { name, dtype, shape, bytes } of entries) {
    header[name] = { dtype, shape, data_offsets: [position, position + bytes] };
    position += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // The data begins at a multiple of 8, so that readers can map it in place.
  const start = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(json, 8);
  const pieces = function* (): Generator<Uint8Array> {
    yield start;
    for (const { values, dtype } of entries) yield encode(values, dtype);
  };
  writeAtomic(path, pieces, start.length + position);
}

/** Makes a folder and those above it, where they are missing. @throws WriteError where the disk refuses */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new WriteError(path, null, cause);
  }
}

/**
 * Writes pieces to a temporary file beside `path`, syncs it and renames it over `path`; on failure removes it.
 * @param bytes the length of all pieces together, for a refusal's message; counted where it is not given
 * @throws WriteError where the disk refuses; the old file then stays as it was
 */
export function writeAtomic(path: string, pieces: () => Iterable<Uint8Array>, bytes?: number): void {
  try {
    replaceFile(path, pieces);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause)) throw cause; // what makes the pieces failed, not the disk
    let total = bytes ?? 0;
    if (bytes === undefined) for (const piece of pieces()) total += piece.length;
    throw new WriteError(path, total, cause);
  }
}

function replaceFile(path: string, pieces: () => Iterable<Uint8Array>): void {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`;
  const file = openSync(temporary, "wx");
  try {
    try {
      for (const piece of pieces()) for (let done = 0; done < piece.length; ) done += writeSync(file, piece, done);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Writes JSON as PEFT and transformers do (two spaces, keys sorted where asked), atomically. */
export function writeJson(path: string, value: unknown, options: { readonly sortKeys?: boolean } = {}): void {
  const sorted = (_key: string, item: unknown): unknown =>
    options.sortKeys && typeof item === "object" && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item;
  const text = `${JSON.stringify(value, sorted, 2)}\n`;
  writeAtomic(path, () => [new TextEncoder().encode(text)]);
}
