// A listening ZMTP endpoint over Bun's TCP and unix sockets: handshakes, the byte queue of each peer and its high-water
// mark. It runs the codec against real sockets; which peer gets which message is for router.ts, xpub.ts and rep.ts.

import {
  concat,
  createDecoder,
  defaultLimits,
  encodeError,
  encodeGreeting,
  encodeMessage,
  encodePong,
  encodeReady,
  type WireEvent,
  type WireLimits,
} from "./codec.ts";

/** Where an endpoint listens. Port 0 asks for a free port. */
export type Address =
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly transport: "ipc"; readonly path: string };

export interface EndpointOptions {
  readonly address: Address;
  readonly limits?: WireLimits;
  /** Bytes that may wait for one peer; see {@link Peer.send}. */
  readonly highWaterMark?: number;
  /** One line for the kernel's log. */
  readonly log: (line: string) => void;
}

/** A connected peer that has finished its handshake. */
export interface Peer {
  /** What READY named, or five bytes made up here (zero first, as libzmq does, so that they never meet a named one). */
  readonly identity: Uint8Array;
  readonly identityKey: string;
  /** Bytes handed to `send` which the operating system has not taken yet. */
  readonly pendingBytes: number;
  /** Queues one encoded message whole, or drops it whole: false where more than `highWaterMark` bytes wait, or the peer has gone. */
  send(message: Uint8Array, highWaterMark?: number): boolean;
  close(): void;
}

/** What a socket type does with its peers. */
export interface EndpointRole {
  readonly socketType: "ROUTER" | "XPUB" | "REP";
  readonly accepts: readonly string[];
  readonly onReady?: (peer: Peer) => void;
  readonly onMessage: (peer: Peer, frames: readonly Uint8Array[]) => void;
  readonly onSubscription?: (peer: Peer, kind: "subscribe" | "cancel", topic: Uint8Array) => void;
  readonly onClose?: (peer: Peer) => void;
}

export interface Endpoint {
  /** The port really bound; 0 for ipc. */
  readonly port: number;
  readonly peers: ReadonlySet<Peer>;
  /** Resolves when nothing waits to be written, or after `timeoutMs`. */
  flushed(timeoutMs: number): Promise<void>;
  close(): void;
}

/**
 * 64 MiB for each peer. A subscriber that reads nothing costs at most that much; what it misses is dropped
 * message by message, as PUB sockets do, and it never holds up the kernel or another client.
 */
export const defaultHighWaterMark: number = 64 * 1024 * 1024;

/** What leaves in one write; more than this is written at once, as it comes. */
const joinedBytes = 256 * 1024;

/** A peer must finish its handshake within this time: a port scanner holds no descriptor for longer. */
const handshakeTimeoutMs = 30_000;

const keepAliveMs = 60_000;

/** More connections than any real use of one notebook; it bounds what strangers on a shared machine can open. */
const maxPeers = 512;

interface PeerState {
  peer: Peer;
  receive(bytes: Uint8Array): void;
  writable(): void;
  closed(): void;
}

let generatedIdentities = 0;

/**
 * Binds at once.
 * @throws Error with `code` (`EADDRINUSE`, `EACCES`, …) where the address cannot be bound.
 */
export function bindEndpoint(options: EndpointOptions, role: EndpointRole): Endpoint {
  const { log, limits = defaultLimits, highWaterMark = defaultHighWaterMark } = options;
  const peers = new Set<Peer>();
  const open = new Set<PeerState>();
  let waiting: (() => void)[] = [];

  const idle = (): boolean => {
    for (const state of open) if (state.peer.pendingBytes > 0) return false;
    return true;
  };
  const settle = (): void => {
    if (waiting.length > 0 && idle()) {
      const resolved = waiting;
      waiting = [];
      for (const resolve of resolved) resolve();
    }
  };

  const connect = (socket: Bun.Socket<PeerState>): PeerState => {
    const decoder = createDecoder(limits);
    let queue: Uint8Array[] = [];
    let pendingBytes = 0;
    let ready = false;
    let gone = false;
    /** The operating system's buffer is full; `drain` will say when it is not. */
    let blocked = false;
    let scheduled = false;
    let identity: Uint8Array = new Uint8Array(0);
    let identityKey = "";

    /** Hands the queue to the operating system, as far as that takes it. */
    const flush = (): void => {
      scheduled = false;
      if (gone || blocked) return;
      // Small messages of one turn leave by one system call, which also wakes the reader once.
      if (queue.length > 1 && pendingBytes <= joinedBytes) queue = [concat(queue)];
      while (queue.length > 0) {
        const head = queue[0]!;
        const written = socket.write(head);
        if (written < 0) return;
        pendingBytes -= written;
        if (written < head.length) {
          queue[0] = head.subarray(written);
          blocked = true;
          return;
        }
        queue.shift();
      }
      settle();
    };
    const write = (bytes: Uint8Array): void => {
      queue.push(bytes);
      pendingBytes += bytes.length;
      if (blocked) return;
      if (pendingBytes > joinedBytes) flush();
      else if (!scheduled) {
        scheduled = true;
        setImmediate(flush);
      }
    };

    const peer: Peer = {
      get identity() {
        return identity;
      },
      get identityKey() {
        return identityKey;
      },
      get pendingBytes() {
        return pendingBytes;
      },
      send(message, mark = highWaterMark) {
        if (gone || pendingBytes + message.length > mark) {
          // One message may be larger than the mark; it goes out where nothing else waits.
          if (gone || pendingBytes > 0) return false;
        }
        write(message);
        return true;
      },
      close() {
        if (gone) return;
        state.closed();
        socket.end();
      },
    };

    const refuse = (reason: string): void => {
      log(`${role.socketType.toLowerCase()}: dropped a connection: ${reason}`);
      if (!gone) write(encodeError(reason));
      flush();
      peer.close();
    };

    const handle = (event: WireEvent): void => {
      switch (event.type) {
        case "greeting":
          break;
        case "ready": {
          if (!role.accepts.includes(event.socketType)) {
            refuse(`expected a peer of type ${role.accepts.join(" or ")}, got ${JSON.stringify(event.socketType)}`);
            return;
          }
          clearTimeout(timer);
          ready = true;
          identity = event.identity.length > 0 ? event.identity.slice() : generatedIdentity();
          identityKey = keyOf(identity);
          peers.add(peer);
          role.onReady?.(peer);
          break;
        }
        case "message":
          role.onMessage(peer, event.frames);
          break;
        case "subscribe":
        case "cancel":
          role.onSubscription?.(peer, event.type, event.topic);
          break;
        case "ping":
          write(encodePong(event.context));
          break;
        case "dropped":
          log(`${role.socketType.toLowerCase()}: dropped ${event.reason}`);
          break;
        case "error":
          refuse(event.reason);
          break;
      }
    };

    const timer = setTimeout(() => refuse(`no handshake within ${handshakeTimeoutMs / 1000} s`), handshakeTimeoutMs);
    timer.unref();

    const state: PeerState = {
      peer,
      receive(bytes) {
        for (const event of decoder.push(bytes)) {
          if (gone) return;
          handle(event);
        }
      },
      writable() {
        blocked = false;
        flush();
      },
      closed() {
        if (gone) return;
        gone = true;
        clearTimeout(timer);
        queue = [];
        pendingBytes = 0;
        open.delete(state);
        if (ready) {
          peers.delete(peer);
          role.onClose?.(peer);
        }
        settle();
      },
    };
    open.add(state);
    // Both sides may speak at once: one write saves a round trip, and libzmq reads it in pieces as it likes.
    write(encodeGreeting());
    write(encodeReady(role.socketType));
    return state;
  };

  const socket: Bun.SocketHandler<PeerState> = {
    open(connection) {
      if (open.size >= maxPeers) {
        log(`${role.socketType.toLowerCase()}: refused a connection: ${maxPeers} are open`);
        connection.terminate();
        return;
      }
      connection.setNoDelay?.(true);
      // A peer whose machine vanished says no goodbye; it is noticed after some minutes.
      connection.setKeepAlive?.(true, keepAliveMs);
      connection.data = connect(connection);
    },
    data(connection, bytes) {
      connection.data?.receive(bytes);
    },
    drain(connection) {
      connection.data?.writable();
    },
    close(connection) {
      connection.data?.closed();
    },
    error(connection, error) {
      log(`${role.socketType.toLowerCase()}: ${error.message}`);
      connection.data?.closed();
    },
  };

  const { address } = options;
  const listener =
    address.transport === "tcp"
      ? Bun.listen<PeerState>({ hostname: address.hostname, port: address.port, exclusive: true, socket })
      : Bun.listen<PeerState>({ unix: address.path, socket });

  return {
    port: address.transport === "tcp" ? (listener as Bun.TCPSocketListener<PeerState>).port : 0,
    peers,
    flushed(timeoutMs) {
      if (idle()) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
    close() {
      for (const state of [...open]) state.peer.close();
      listener.stop(true);
    },
  };
}

/** Identities as map keys: byte for byte, whatever they hold. */
export function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function generatedIdentity(): Uint8Array {
  const bytes = new Uint8Array(5);
  new DataView(bytes.buffer).setUint32(1, ++generatedIdentities);
  return bytes;
}

/** For a broadcast: encoded once, written to each peer. */
export { encodeMessage };
