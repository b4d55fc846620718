// JSON-RPC 2.0 over a byte stream with `Content-Length` frames, as language servers speak it: a decoder that takes bytes
// split anywhere, and a connection that matches replies to requests. It knows no method by name and starts no process.

/** A message of either side, as parsed. */
export interface RpcMessage {
  readonly jsonrpc?: string;
  readonly id?: number | string | null;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

/** Frames one message. */
export function encodeMessage(message: RpcMessage): Uint8Array {
  const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]);
}

const headerEnd = Buffer.from("\r\n\r\n");
const longestHeader = 4096;

/** Bytes in, messages out. A frame may come in any number of parts. */
export function createDecoder(): (chunk: Uint8Array) => RpcMessage[] {
  let parts: Uint8Array[] = [];
  let held = 0;
  /** How many bytes must be there before looking again is worth it. */
  let wanted = 0;
  return (chunk) => {
    parts.push(chunk);
    held += chunk.length;
    if (held < wanted) return [];
    let bytes = parts.length === 1 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat(parts);
    const messages: RpcMessage[] = [];
    for (;;) {
      const end = bytes.indexOf(headerEnd);
      if (end < 0) {
        if (bytes.length > longestHeader) throw new Error("The language server sent a frame without a header.");
        wanted = bytes.length + 1;
        break;
      }
      const header = /(?:^|\r\n)content-length: *(\d+)/i.exec(bytes.toString("latin1", 0, end));
      if (header === null) throw new Error("The language server sent a frame without Content-Length.");
      const start = end + headerEnd.length;
      const stop = start + Number(header[1]);
      if (bytes.length < stop) {
        wanted = stop;
        break;
      }
      messages.push(JSON.parse(bytes.toString("utf8", start, stop)) as RpcMessage);
      bytes = bytes.subarray(stop);
    }
    parts = bytes.length === 0 ? [] : [bytes];
    held = bytes.length;
    return messages;
  };
}

/** The server went away, or was never there. */
export class ConnectionClosedError extends Error {
  override readonly name = "ConnectionClosedError";
}

export interface RpcConnection {
  request(method: string, params?: unknown): Promise<unknown>;
  notify(method: string, params?: unknown): void;
  /** Feeds bytes that came from the other side. */
  receive(chunk: Uint8Array): void;
  /** Rejects all that is still waiting, and everything later. */
  close(reason: string): void;
}

/**
 * @param write sends bytes to the other side
 * @param answer the result for a request of the other side; what it gives for unknown methods is sent as it is
 */
export function createConnection(
  write: (bytes: Uint8Array) => void,
  answer: (method: string, params: unknown) => unknown,
): RpcConnection {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const decode = createDecoder();
  let lastId = 0;
  let closed: string | null = null;

  const handle = (message: RpcMessage): void => {
    if (message.method !== undefined) {
      if (message.id !== undefined && message.id !== null) {
        write(encodeMessage({ id: message.id, result: answer(message.method, message.params) ?? null }));
      }
      return;
    }
    const request = waiting.get(message.id as number);
    if (request === undefined) return;
    waiting.delete(message.id as number);
    if (message.error !== undefined) request.reject(new Error(`${message.error.message} (${message.error.code})`));
    else request.resolve(message.result ?? null);
  };

  return {
    request: (method, params) => {
      if (closed !== null) return Promise.reject(new ConnectionClosedError(closed));
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        write(encodeMessage({ id, method, ...(params === undefined ? {} : { params }) }));
      });
    },
    notify: (method, params) => {
      if (closed === null) write(encodeMessage({ method, ...(params === undefined ? {} : { params }) }));
    },
    receive: (chunk) => {
      for (const message of decode(chunk)) handle(message);
    },
    close: (reason) => {
      closed ??= reason;
      for (const { reject } of waiting.values()) reject(new ConnectionClosedError(reason));
      waiting.clear();
    },
  };
}
