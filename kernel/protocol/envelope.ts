// The signed envelope: frames of a ZMTP message ↔ a Jupyter message. The signature is checked over the very bytes
// received, before any of them is parsed. No socket, no state but the digests already seen.

import {
  type Content,
  type Header,
  isRecord,
  type Message,
  type OutgoingMessage,
  protocolVersion,
} from "./messages.ts";
import type { Signer } from "./signature.ts";

const delimiter = new TextEncoder().encode("<IDS|MSG>");
const encoder = new TextEncoder();
const empty: Uint8Array = encoder.encode("{}");

export type Decoded =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly reason: string };

export interface Envelope {
  /** A message, or why it must be dropped. Never throws, whatever the frames hold. */
  decode(frames: readonly Uint8Array[]): Decoded;
  /** Frames with a fresh header, signed, without a routing prefix. */
  encode(message: OutgoingMessage): { readonly header: Header; readonly frames: Uint8Array[] };
}

export interface EnvelopeOptions {
  readonly signer: Signer;
  /** This kernel's session id: every message it sends carries it. */
  readonly session: string;
  readonly username?: string;
  /** How many signatures are remembered to recognise a message sent twice. */
  readonly rememberedDigests?: number;
}

/** At least as many again as this are remembered: more than any client sends within minutes. Two tables of 512 KiB. */
const defaultRememberedDigests = 65_536;

export function createEnvelope(options: EnvelopeOptions): Envelope {
  const { signer, session, username = "kernel" } = options;
  // A fatal decoder: bytes that are no UTF-8 are malformed, not replaced.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const seen = rememberRecent(options.rememberedDigests ?? defaultRememberedDigests);
  const idPrefix = `${session}_${process.pid}_`;
  let sequence = 0;

  /** All messages of one request have the same parent: its bytes are made once. */
  let parent: object | null = null;
  let encodedParent = empty;
  const parentBytes = (header: OutgoingMessage["parent"]): Uint8Array => {
    if (header === null) return empty;
    if (header !== parent) {
      encodedParent = encoder.encode(stringify(header));
      parent = header;
    }
    return encodedParent;
  };

  return {
    decode(frames) {
      const at = frames.findIndex((frame) => equalBytes(frame, delimiter));
      if (at < 0) return { ok: false, reason: "no <IDS|MSG> delimiter" };
      const body = frames.slice(at + 1);
      if (body.length < 5)
        return { ok: false, reason: `${body.length} frames after the delimiter, expected at least 5` };
      const signature = body[0]!;
      const signed = body.slice(1, 5);
      if (signer.active) {
        if (!signer.verify(signature, signed)) return { ok: false, reason: "a wrong signature" };
        if (!seen(signature)) return { ok: false, reason: "a signature seen before (replay)" };
      }
      const parts: Content[] = [];
      for (const [i, bytes] of signed.entries()) {
        let value: unknown;
        try {
          value = JSON.parse(decoder.decode(bytes));
        } catch (error) {
          return { ok: false, reason: `${partNames[i]}: ${error instanceof Error ? error.message : "no JSON"}` };
        }
        if (!isRecord(value)) return { ok: false, reason: `${partNames[i]}: expected a JSON object` };
        parts.push(value);
      }
      const [header, parent, metadata, content] = parts as [Content, Content, Content, Content];
      if (typeof header.msg_type !== "string" || typeof header.msg_id !== "string") {
        return { ok: false, reason: "header: expected msg_id and msg_type to be strings" };
      }
      return {
        ok: true,
        message: {
          identities: frames.slice(0, at),
          // Kept as the client wrote it: the parent_header of every answer must be this header.
          header: header as unknown as Header,
          parentHeader: parent,
          metadata,
          content,
          buffers: body.slice(5),
        },
      };
    },

    encode(message) {
      const header: Header = {
        msg_id: `${idPrefix}${++sequence}`,
        msg_type: message.type,
        session,
        username,
        date: new Date().toISOString(),
        version: protocolVersion,
      };
      const signed = [
        encoder.encode(JSON.stringify(header)),
        parentBytes(message.parent),
        message.metadata === undefined ? empty : encoder.encode(stringify(message.metadata)),
        encoder.encode(stringify(message.content)),
      ];
      return { header, frames: [delimiter, signer.sign(signed), ...signed, ...(message.buffers ?? [])] };
    },
  };
}

const partNames = ["header", "parent_header", "metadata", "content"] as const;

/** JSON that every client can read: a bigint, which JSON cannot carry, becomes its digits; an object inside itself a word. */
function stringify(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch {
    const ancestors: unknown[] = [];
    return JSON.stringify(value, function (this: unknown, _key, part: unknown) {
      if (typeof part === "bigint") return part.toString();
      if (typeof part !== "object" || part === null) return part;
      while (ancestors.length > 0 && ancestors.at(-1) !== this) ancestors.pop();
      if (ancestors.includes(part)) return "[Circular]";
      ancestors.push(part);
      return part;
    });
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * True for a signature not met lately. Two fixed tables of 52-bit prefixes, the older forgotten when the younger is half
 * full: memory is spent once and never grows, and a prefix met by chance (1 in 10^11) drops a message, never lets one in.
 */
function rememberRecent(limit: number): (signature: Uint8Array) => boolean {
  const size = 2 ** Math.ceil(Math.log2(Math.max(2, limit)));
  let young = new Float64Array(size);
  let old = new Float64Array(size);
  let count = 0;
  const find = (table: Float64Array, prefix: number): number => {
    let at = prefix % size;
    while (table[at] !== 0 && table[at] !== prefix) at = (at + 1) % size;
    return at;
  };
  return (signature) => {
    // Zero marks an empty place; the digits 0…0 then stand as 1.
    const prefix = Number.parseInt(String.fromCharCode(...signature.subarray(0, 13)), 16) || 1;
    const at = find(young, prefix);
    if (young[at] === prefix || old[find(old, prefix)] === prefix) return false;
    young[at] = prefix;
    if (++count >= size / 2) {
      const forgotten = old.fill(0);
      old = young;
      young = forgotten;
      count = 0;
    }
    return true;
  };
}
