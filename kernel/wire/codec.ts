// The ZMTP 3.x codec for the NULL mechanism: bytes in, events out; frames in, bytes out. It is a pure state machine:
// no socket, no timer, no knowledge of socket types, Jupyter or signatures. Every byte that comes in is hostile:
// lengths are checked before anything is stored, and a message above the limit is skipped without being buffered.
// Source: ZMTP 3.1, rfc.zeromq.org/spec/37 (greeting, framing, commands).

/** What a connection has told us. After `error` the decoder ignores all further bytes: the connection must be closed. */
export type WireEvent =
  | { readonly type: "greeting"; readonly minor: number; readonly mechanism: string }
  | { readonly type: "ready"; readonly socketType: string; readonly identity: Uint8Array }
  | { readonly type: "message"; readonly frames: readonly Uint8Array[] }
  | { readonly type: "subscribe" | "cancel"; readonly topic: Uint8Array }
  | { readonly type: "ping"; readonly context: Uint8Array }
  /** A message above the limits, thrown away while it arrived. */
  | { readonly type: "dropped"; readonly reason: string }
  | { readonly type: "error"; readonly reason: string };

export interface WireLimits {
  /** Bytes of all frames of one message together. */
  readonly maxMessageBytes: number;
  readonly maxFrames: number;
  /** A command is a few properties or a topic; nothing legal is near this. */
  readonly maxCommandBytes: number;
}

export const defaultLimits: WireLimits = {
  maxMessageBytes: 256 * 1024 * 1024,
  maxFrames: 4096,
  maxCommandBytes: 64 * 1024,
};

export interface Decoder {
  /** Feeds bytes, in any split. The frames in the events may be views of `bytes`, which the caller must not change. */
  push(bytes: Uint8Array): WireEvent[];
}

const greetingLength = 64;
const flagMore = 0x01;
const flagLong = 0x02;
const flagCommand = 0x04;
const empty = new Uint8Array(0);
const utf8 = new TextEncoder();
const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

type Phase = "greeting" | "header" | "body" | "skip" | "failed";

/** A decoder for one connection. It expects the peer's greeting first, then READY, then traffic. */
export function createDecoder(limits: WireLimits = defaultLimits): Decoder {
  let phase: Phase = "greeting";
  // Unread bytes are storage[start, end). Frames already handed out are views of storage before `start`; bytes are
  // only ever appended after `end`, so a view never changes under its reader.
  let storage: Uint8Array = empty;
  let start = 0;
  let end = 0;
  let owned = false;

  let ready = false;
  let flags = 0;
  let bodyLength = 0;
  let frames: Uint8Array[] = [];
  let messageBytes = 0;
  let skipReason: string | null = null;
  let skipLeft = 0;

  const append = (bytes: Uint8Array): void => {
    const unread = end - start;
    if (unread === 0) {
      storage = bytes;
      start = 0;
      end = bytes.length;
      owned = false;
      return;
    }
    if (!owned || end + bytes.length > storage.length) {
      // Doubling keeps a frame that arrives byte by byte linear, and never reserves what a header only claims.
      const grown = new Uint8Array(Math.max(256, 2 * (unread + bytes.length)));
      grown.set(storage.subarray(start, end));
      storage = grown;
      start = 0;
      end = unread;
      owned = true;
    }
    storage.set(bytes, end);
    end += bytes.length;
  };

  const fail = (events: WireEvent[], reason: string): void => {
    phase = "failed";
    storage = empty;
    start = end = 0;
    frames = [];
    events.push({ type: "error", reason });
  };

  /** One step; false when more bytes are needed (or the connection has failed). */
  const step = (events: WireEvent[]): boolean => {
    const available = end - start;
    switch (phase) {
      case "greeting": {
        if (available >= 1 && storage[start] !== 0xff) {
          fail(events, `expected a ZMTP greeting (first byte 0xff), got 0x${storage[start]!.toString(16)}`);
          return false;
        }
        if (available < greetingLength) return false;
        const greeting = storage.subarray(start, start + greetingLength);
        start += greetingLength;
        if (greeting[9] !== 0x7f || greeting[10]! < 3) {
          fail(events, `expected ZMTP 3, got signature end 0x${greeting[9]!.toString(16)}, version ${greeting[10]}`);
          return false;
        }
        const mechanism = latin1(greeting.subarray(12, 32)).replace(/\0+$/, "");
        if (mechanism !== "NULL") {
          fail(events, `expected the NULL mechanism, got ${JSON.stringify(mechanism)}`);
          return false;
        }
        events.push({ type: "greeting", minor: greeting[11]!, mechanism });
        phase = "header";
        return true;
      }
      case "header": {
        if (available < 1) return false;
        flags = storage[start]!;
        if ((flags & 0xf8) !== 0 || ((flags & flagCommand) !== 0 && (flags & flagMore) !== 0)) {
          fail(events, `malformed frame: flags 0x${flags.toString(16)}`);
          return false;
        }
        const headerLength = (flags & flagLong) !== 0 ? 9 : 2;
        if (available < headerLength) return false;
        if (headerLength === 2) bodyLength = storage[start + 1]!;
        else {
          const view = new DataView(storage.buffer, storage.byteOffset + start + 1, 8);
          const high = view.getUint32(0);
          if (high > 0x1fffff) {
            fail(events, "malformed frame: a length above 2^53");
            return false;
          }
          bodyLength = high * 2 ** 32 + view.getUint32(4);
        }
        start += headerLength;
        if ((flags & flagCommand) !== 0) {
          if (bodyLength > limits.maxCommandBytes) {
            fail(events, `command of ${bodyLength} bytes is above the limit of ${limits.maxCommandBytes}`);
            return false;
          }
          phase = "body";
          return true;
        }
        if (!ready) {
          fail(events, "expected READY, got a message");
          return false;
        }
        messageBytes += bodyLength;
        if (messageBytes > limits.maxMessageBytes || frames.length >= limits.maxFrames) {
          skipReason ??=
            messageBytes > limits.maxMessageBytes
              ? `a message above the limit of ${limits.maxMessageBytes} bytes`
              : `a message of more than ${limits.maxFrames} frames`;
          frames = [];
        }
        if (skipReason !== null) {
          skipLeft = bodyLength;
          phase = "skip";
        } else phase = "body";
        return true;
      }
      case "skip": {
        const taken = Math.min(available, skipLeft);
        start += taken;
        skipLeft -= taken;
        if (skipLeft > 0) return false;
        phase = "header";
        if ((flags & flagMore) === 0) {
          events.push({ type: "dropped", reason: skipReason ?? "" });
          skipReason = null;
          messageBytes = 0;
        }
        return true;
      }
      case "body": {
        if (available < bodyLength) return false;
        const body = storage.subarray(start, start + bodyLength);
        start += bodyLength;
        phase = "header";
        if ((flags & flagCommand) !== 0) {
          const event = parseCommand(body);
          if (event === null) return true;
          if (event.type === "error") {
            fail(events, event.reason);
            return false;
          }
          if (event.type === "ready") {
            if (ready) {
              fail(events, "a second READY");
              return false;
            }
            ready = true;
          } else if (!ready) {
            fail(events, `expected READY, got ${event.type}`);
            return false;
          }
          events.push(event);
          return true;
        }
        frames.push(body);
        if ((flags & flagMore) === 0) {
          events.push({ type: "message", frames });
          frames = [];
          messageBytes = 0;
        }
        return true;
      }
      case "failed":
        return false;
    }
  };

  return {
    push(bytes) {
      const events: WireEvent[] = [];
      if (phase === "failed" || bytes.length === 0) return events;
      append(bytes);
      while (step(events));
      if (start === end) {
        storage = empty;
        start = end = 0;
        owned = false;
      }
      return events;
    },
  };
}

/** A command's body as an event; null for one that asks nothing of us (PONG, an unknown name). */
function parseCommand(body: Uint8Array): WireEvent | null {
  const nameLength = body[0];
  if (nameLength === undefined || nameLength === 0 || body.length < 1 + nameLength) {
    return { type: "error", reason: "malformed command: no name" };
  }
  const name = latin1(body.subarray(1, 1 + nameLength));
  const data = body.subarray(1 + nameLength);
  switch (name) {
    case "READY": {
      const properties = parseProperties(data);
      if (properties === null) return { type: "error", reason: "malformed READY: a property runs past the end" };
      const socketType = properties.get("socket-type");
      const identity = properties.get("identity") ?? empty;
      if (identity.length > 255) {
        return { type: "error", reason: `malformed READY: an identity of ${identity.length} bytes (at most 255)` };
      }
      return {
        type: "ready",
        socketType: socketType === undefined ? "" : latin1(socketType.subarray(0, 255)),
        identity,
      };
    }
    case "ERROR":
      return { type: "error", reason: `the peer refused: ${latin1(data.subarray(1, 1 + (data[0] ?? 0)))}` };
    case "SUBSCRIBE":
      return { type: "subscribe", topic: data };
    case "CANCEL":
      return { type: "cancel", topic: data };
    case "PING":
      // Two bytes of time to live, then up to 16 bytes of context that PONG must repeat.
      return data.length < 2 || data.length > 18
        ? { type: "error", reason: `malformed PING of ${data.length} bytes` }
        : { type: "ping", context: data.subarray(2) };
    default:
      return null;
  }
}

/** Names are compared without case (ZMTP 3.1, 2.4), so the map's keys are in lower case. */
function parseProperties(data: Uint8Array): Map<string, Uint8Array> | null {
  const properties = new Map<string, Uint8Array>();
  let at = 0;
  while (at < data.length) {
    const nameEnd = at + 1 + data[at]!;
    if (nameEnd + 4 > data.length) return null;
    const valueLength = new DataView(data.buffer, data.byteOffset + nameEnd, 4).getUint32(0);
    const valueEnd = nameEnd + 4 + valueLength;
    if (valueEnd > data.length) return null;
    properties.set(latin1(data.subarray(at + 1, nameEnd)).toLowerCase(), data.subarray(nameEnd + 4, valueEnd));
    at = valueEnd;
  }
  return properties;
}

/** The 64 bytes that open a connection: ZMTP 3.1, NULL, not a server in the sense of a security mechanism. */
export function encodeGreeting(): Uint8Array {
  const bytes = new Uint8Array(greetingLength);
  bytes[0] = 0xff;
  bytes[9] = 0x7f;
  bytes[10] = 3;
  bytes[11] = 1;
  bytes.set(utf8.encode("NULL"), 12);
  return bytes;
}

/** READY with the socket type and, where there is one, the identity. */
export function encodeReady(socketType: string, identity: Uint8Array = empty): Uint8Array {
  const property = (name: string, value: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(1 + name.length + 4 + value.length);
    bytes[0] = name.length;
    bytes.set(utf8.encode(name), 1);
    new DataView(bytes.buffer).setUint32(1 + name.length, value.length);
    bytes.set(value, 5 + name.length);
    return bytes;
  };
  return encodeCommand("READY", [property("Socket-Type", utf8.encode(socketType)), property("Identity", identity)]);
}

export function encodePong(context: Uint8Array): Uint8Array {
  return encodeCommand("PONG", [context]);
}

/** ERROR tells the peer why the connection ends; `reason` is cut at 255 bytes. */
export function encodeError(reason: string): Uint8Array {
  const text = utf8.encode(reason).subarray(0, 255);
  return encodeCommand("ERROR", [Uint8Array.of(text.length), text]);
}

/** A command frame: its name, then the parts of its data. */
export function encodeCommand(name: string, parts: readonly Uint8Array[]): Uint8Array {
  const body = concat([Uint8Array.of(name.length), utf8.encode(name), ...parts]);
  const bytes = new Uint8Array(frameHeaderLength(body.length) + body.length);
  writeFrame(bytes, 0, body, flagCommand);
  return bytes;
}

/** A whole message in one buffer, so that it can be written by one call: a reader never sees half a message. */
export function encodeMessage(frames: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const frame of frames) length += frameHeaderLength(frame.length) + frame.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < frames.length; i++) {
    at = writeFrame(bytes, at, frames[i]!, i < frames.length - 1 ? flagMore : 0);
  }
  return bytes;
}

function frameHeaderLength(bodyLength: number): number {
  return bodyLength > 255 ? 9 : 2;
}

function writeFrame(bytes: Uint8Array, at: number, body: Uint8Array, flags: number): number {
  if (body.length > 255) {
    bytes[at] = flags | flagLong;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at + 1, 8);
    view.setUint32(0, Math.floor(body.length / 2 ** 32));
    view.setUint32(4, body.length >>> 0);
    bytes.set(body, at + 9);
    return at + 9 + body.length;
  }
  bytes[at] = flags;
  bytes[at + 1] = body.length;
  bytes.set(body, at + 2);
  return at + 2 + body.length;
}

/** Joins byte arrays into a new one. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
