// A ZMTP peer for tests, over the project's own codec: connects, subscribes, sends and collects. Real libzmq peers are in
// test/conformance/kernel; this one can misbehave (not read, send raw bytes).

import {
  createDecoder,
  encodeCommand,
  encodeGreeting,
  encodeMessage,
  encodeReady,
  type WireEvent,
} from "#kernel/wire/codec.ts";
import type { Address } from "#kernel/wire/endpoint.ts";

export interface Client {
  send(...frames: (string | Uint8Array)[]): void;
  raw(bytes: Uint8Array): void;
  subscribe(topic: string): void;
  /** The next event that fulfils the predicate, past or future. */
  next(predicate: (event: WireEvent) => boolean): Promise<WireEvent>;
  /** The next message not yet taken. */
  message(): Promise<readonly Uint8Array[]>;
  readonly closed: Promise<void>;
  readonly isClosed: () => boolean;
  pause(): void;
  resume(): void;
  close(): void;
}

export async function connectClient(address: Address, socketType: string, identity = ""): Promise<Client> {
  const bytes = (part: string | Uint8Array): Uint8Array =>
    typeof part === "string" ? new TextEncoder().encode(part) : part;
  const decoder = createDecoder();
  const events: WireEvent[] = [];
  let waiting: { predicate: (event: WireEvent) => boolean; resolve: (event: WireEvent) => void }[] = [];
  const settle = (): void => {
    waiting = waiting.filter(({ predicate, resolve }) => {
      const at = events.findIndex(predicate);
      if (at < 0) return true;
      resolve(events.splice(at, 1)[0]!);
      return false;
    });
  };
  const { promise: closed, resolve: onClose } = Promise.withResolvers<void>();
  let isClosed = false;
  let queue: Uint8Array[] = [];
  const flush = (): void => {
    while (queue.length > 0) {
      const written = socket.write(queue[0]!);
      if (written < 0) return;
      if (written < queue[0]!.length) {
        queue[0] = queue[0]!.subarray(written);
        return;
      }
      queue.shift();
    }
  };
  const handlers: Bun.SocketHandler<undefined> = {
    data(_socket, data) {
      events.push(...decoder.push(data));
      settle();
    },
    drain: () => flush(),
    close() {
      isClosed = true;
      onClose();
    },
    error() {},
  };
  const socket: Bun.Socket<undefined> =
    address.transport === "tcp"
      ? await Bun.connect({ hostname: address.hostname, port: address.port, socket: handlers })
      : await Bun.connect({ unix: address.path, socket: handlers });
  const raw = (data: Uint8Array): void => {
    queue.push(data);
    if (queue.length === 1) flush();
  };
  const client: Client = {
    send: (...frames) => raw(encodeMessage(frames.map(bytes))),
    raw,
    subscribe: (topic) => raw(encodeCommand("SUBSCRIBE", [bytes(topic)])),
    next: (predicate) =>
      new Promise((resolve) => {
        waiting.push({ predicate, resolve });
        settle();
      }),
    async message() {
      const event = await client.next((each) => each.type === "message");
      return event.type === "message" ? event.frames : [];
    },
    closed,
    isClosed: () => isClosed,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close() {
      queue = [];
      socket.end();
    },
  };
  if (socketType !== "") {
    raw(encodeGreeting());
    raw(encodeReady(socketType, bytes(identity)));
    await client.next((event) => event.type === "ready" || event.type === "error");
  }
  return client;
}
