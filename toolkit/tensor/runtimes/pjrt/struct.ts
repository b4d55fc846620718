// One C struct of the PJRT API in memory: fields are set and read by name. Whatever a pointer field points to is kept
// alive with the struct. Offsets are those of layout.ts.
import { ptr } from "bun:ffi";
import { type FieldType, layoutOf, type StructName, structs } from "./layout.ts";

/**
 * Zero bytes after the fields known here, counted into struct_size: a newer plugin finds fields that were added since
 * as "not given" instead of refusing a struct that is too short.
 */
const slack = 64;

type FieldValue = number | bigint | NodeJS.TypedArray | Struct | null;

export class Struct {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: StructName;
  readonly #kept: unknown[] = [];

  constructor(name: StructName, values: Readonly<Record<string, FieldValue>> = {}) {
    const { size } = layoutOf(name);
    // An ArrayBuffer of its own: its address stays where it is for as long as the struct lives.
    this.#view = new DataView(new ArrayBuffer(Math.ceil(size / 8) * 8 + slack));
    this.bytes = new Uint8Array(this.#view.buffer);
    this.#name = name;
    this.#view.setBigUint64(0, BigInt(this.#view.byteLength), true);
    for (const [field, value] of Object.entries(values)) this.set(field, value);
  }

  get address(): bigint {
    return BigInt(ptr(this.bytes));
  }

  set(field: string, value: FieldValue): void {
    const { offset, type } = this.#locate(field);
    if (value instanceof Struct || ArrayBuffer.isView(value)) this.#kept.push(value);
    const number = addressOrNumber(value);
    if (type === "p") this.#view.setBigUint64(offset, BigInt.asUintN(64, number), true);
    else if (type === "i") this.#view.setInt32(offset, Number(number), true);
    else this.#view.setUint8(offset, Number(number));
  }

  get(field: string): bigint {
    const { offset, type } = this.#locate(field);
    if (type === "p") return this.#view.getBigUint64(offset, true);
    return BigInt(type === "i" ? this.#view.getInt32(offset, true) : this.#view.getUint8(offset));
  }

  #locate(field: string): { offset: number; type: FieldType } {
    const offset = layoutOf(this.#name).offsets.get(field);
    const type = structs[this.#name][field];
    if (offset === undefined || type === undefined) throw new RangeError(`${this.#name} has no field ${field}`);
    return { offset, type };
  }
}

function addressOrNumber(value: FieldValue): bigint {
  if (value === null) return 0n;
  if (value instanceof Struct) return value.address;
  if (typeof value === "number" || typeof value === "bigint") return BigInt(value);
  return value.byteLength > 0 ? BigInt(ptr(value)) : 0n;
}
