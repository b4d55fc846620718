// What crosses between the kernel and its child: the frames and how they are laid out, the commands, the marks. Pure functions
// and types, used by both sides. Not the port that the session sees (port.ts).
//
// Child → parent on descriptor 3, parent → child on descriptor 5: u32 length of the rest, u32 length of the JSON head, the head,
// then each buffer as u32 length + bytes (all little-endian). Answers to blocking input are lines on descriptor 4. (Bun's own IPC
// costs a structured clone each way, ten times as much.)

import type { CellRequest, CommMessage, Output, Payload, RuntimeProperty } from "./port.ts";

export const OUTPUT_DESCRIPTOR = 3;
export const ANSWER_DESCRIPTOR = 4;
export const COMMAND_DESCRIPTOR = 5;

/** What the child tells the parent. */
export type Frame =
  | Output
  | { readonly type: "result"; readonly sequence: number; readonly result: FrameResult }
  | { readonly type: "comm_done"; readonly sequence: number }
  | { readonly type: "properties"; readonly sequence: number; readonly properties: readonly RuntimeProperty[] }
  | { readonly type: "inspected"; readonly sequence: number; readonly data: Record<string, unknown> | null }
  | { readonly type: "interrupt_seen"; readonly sequence: number }
  | { readonly type: "ready" };

export interface FrameResult {
  readonly status: "ok" | "error";
  readonly ename?: string;
  readonly evalue?: string;
  readonly traceback?: readonly string[];
  readonly userExpressions: Record<string, unknown>;
  readonly payload: readonly Payload[];
}

/** What the parent asks of the child. */
export type Command =
  | { readonly type: "run"; readonly sequence: number; readonly cell: CellRequest }
  | {
      readonly type: "comm";
      readonly sequence: number;
      readonly cell: string;
      readonly message: CommMessage;
      readonly subshellId: string | null;
    }
  | { readonly type: "interrupt"; readonly sequence: number; readonly cells: readonly string[] }
  | { readonly type: "settle_signals"; readonly signals: number }
  | { readonly type: "answer"; readonly inputId: number; readonly value: string }
  | { readonly type: "properties"; readonly sequence: number; readonly expression: string }
  | { readonly type: "inspect"; readonly sequence: number; readonly expression: string };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes of one frame. Buffers of outputs travel beside the JSON head. */
export function encodeFrame(frame: Frame): Uint8Array {
  const buffers = "buffers" in frame && frame.buffers !== undefined ? frame.buffers : [];
  return encode(buffers.length > 0 ? { ...frame, buffers: undefined } : frame, buffers);
}

/** Bytes of one command. */
export function encodeCommand(command: Command): Uint8Array {
  if (command.type !== "comm") return encode(command, []);
  const { message } = command;
  return encode({ ...command, message: { ...message, buffers: [] } }, message.buffers);
}

function encode(value: object, buffers: readonly Uint8Array[]): Uint8Array {
  const head = encoder.encode(JSON.stringify(value));
  let length = 4 + head.length;
  for (const buffer of buffers) length += 4 + buffer.byteLength;
  const bytes = new Uint8Array(4 + length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  view.setUint32(4, head.length, true);
  bytes.set(head, 8);
  let offset = 8 + head.length;
  for (const buffer of buffers) {
    view.setUint32(offset, buffer.byteLength, true);
    bytes.set(buffer, offset + 4);
    offset += 4 + buffer.byteLength;
  }
  return bytes;
}

/** Cuts a byte stream into frames or commands; `decode` is {@link decodeFrame} or {@link decodeCommand}. */
export class FrameDecoder<T> {
  readonly #decode: (head: string, buffers: Uint8Array[]) => T;
  #chunks: Uint8Array[] = [];
  #length = 0;

  constructor(decode: (head: string, buffers: Uint8Array[]) => T) {
    this.#decode = decode;
  }

  /** Adds bytes; gives what is whole now. */
  push(chunk: Uint8Array): T[] {
    // The socket reuses its memory: what is kept must be copied (a Buffer's own `slice` does not).
    this.#chunks.push(new Uint8Array(chunk));
    this.#length += chunk.length;
    const frames: T[] = [];
    while (this.#length >= 4) {
      const first = this.#head(4);
      const length = 4 + new DataView(first.buffer, first.byteOffset).getUint32(0, true);
      if (this.#length < length) break;
      const bytes = this.#head(length);
      frames.push(this.#take(bytes.subarray(0, length)));
      const rest = bytes.subarray(length);
      this.#chunks.shift();
      if (rest.length > 0) this.#chunks.unshift(rest);
      this.#length -= length;
    }
    return frames;
  }

  #take(bytes: Uint8Array): T {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const headLength = view.getUint32(4, true);
    const buffers: Uint8Array[] = [];
    for (let offset = 8 + headLength; offset < bytes.length; ) {
      const length = view.getUint32(offset, true);
      buffers.push(bytes.slice(offset + 4, offset + 4 + length));
      offset += 4 + length;
    }
    return this.#decode(decoder.decode(bytes.subarray(8, 8 + headLength)), buffers);
  }

  /** The first chunk, joined with later ones until it has `count` bytes. */
  #head(count: number): Uint8Array {
    let first = this.#chunks[0] as Uint8Array;
    if (first.length >= count) return first;
    let size = 0;
    let used = 0;
    while (size < count) size += (this.#chunks[used++] as Uint8Array).length;
    const joined = new Uint8Array(size);
    let offset = 0;
    for (const chunk of this.#chunks.splice(0, used)) {
      joined.set(chunk, offset);
      offset += chunk.length;
    }
    this.#chunks.unshift(joined);
    first = joined;
    return first;
  }
}

/** What the child told. */
export function decodeFrame(head: string, buffers: Uint8Array[]): Frame {
  const frame = JSON.parse(head) as Frame;
  if (buffers.length > 0) return { ...frame, buffers } as Frame;
  if (frame.type === "comm_open" || frame.type === "comm_msg" || frame.type === "comm_close") {
    return { ...frame, buffers };
  }
  return frame;
}

/** What the parent asks. */
export function decodeCommand(head: string, buffers: Uint8Array[]): Command {
  const command = JSON.parse(head) as Command;
  return command.type === "comm" ? { ...command, message: { ...command.message, buffers } } : command;
}

/** The end-of-cell mark on descriptors 1 and 2; `nonce` is random, so that no program prints it by chance. */
export function endMark(nonce: string, sequence: number): string {
  return `${markPrefix(nonce)}${sequence}\u0007`;
}

/** What every mark of one child begins with. */
export function markPrefix(nonce: string): string {
  return `\u001b]bunsen;${nonce};`;
}
