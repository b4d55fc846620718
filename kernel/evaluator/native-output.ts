// What a child writes to its descriptors 1 and 2 without JavaScript knowing: text, cut at the end-of-cell marks. A pure
// decoder; not here: to which cell the text belongs.

import { markPrefix } from "./frames.ts";

/** A piece of a native stream: text, or the mark of a cell's end. */
export type NativePiece = { readonly text: string } | { readonly mark: number };

/** Cuts one stream. A mark may arrive in pieces: what could begin one is held back. */
export class NativeDecoder {
  readonly #prefix: string;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(nonce: string) {
    this.#prefix = markPrefix(nonce);
  }

  push(chunk: Uint8Array): NativePiece[] {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    const pieces: NativePiece[] = [];
    let from = 0;
    for (;;) {
      const at = this.#rest.indexOf(this.#prefix, from);
      const end = at < 0 ? -1 : this.#rest.indexOf("\u0007", at);
      if (end < 0) break;
      if (at > from) pieces.push({ text: this.#rest.slice(from, at) });
      pieces.push({ mark: Number(this.#rest.slice(at + this.#prefix.length, end)) });
      from = end + 1;
    }
    const begin = this.#rest.lastIndexOf("\u001b");
    const tail = begin < from ? "" : this.#rest.slice(begin);
    const held = tail !== "" && (tail.startsWith(this.#prefix) || this.#prefix.startsWith(tail));
    const stop = held ? begin : this.#rest.length;
    if (stop > from) pieces.push({ text: this.#rest.slice(from, stop) });
    this.#rest = this.#rest.slice(stop);
    return pieces;
  }

  /** What was held back when the stream ends. */
  end(): string {
    const rest = this.#rest + this.#decoder.decode();
    this.#rest = "";
    return rest;
  }
}
