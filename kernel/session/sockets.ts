// The five sockets of a connection file: bound together, or not at all. Which message means what is for kernel.ts.

import type { ConnectionInfo } from "../protocol/connection-file.ts";
import type { Channel } from "../protocol/messages.ts";
import type { Address, EndpointOptions, Peer } from "../wire/endpoint.ts";
import { bindEcho } from "../wire/rep.ts";
import { bindRouter, type Router } from "../wire/router.ts";
import { bindXpub, type Xpub } from "../wire/xpub.ts";

/** A port in use, an address that is not this machine's: told in one message without a stack. */
export class SocketError extends Error {
  override readonly name: string = "SocketError";
}

export interface Sockets {
  readonly connection: ConnectionInfo;
  readonly routers: Readonly<Record<Channel, Router>>;
  readonly iopub: Xpub;
  flushed(timeoutMs: number): Promise<void>;
  close(): void;
}

export interface SocketEvents {
  readonly log: (line: string) => void;
  readonly onMessage: (channel: Channel, identity: Uint8Array, frames: readonly Uint8Array[]) => void;
  readonly onStdinConnect: () => void;
  readonly onSubscribe: (peer: Peer, topic: Uint8Array) => void;
}

/** @throws SocketError */
export async function bindSockets(info: ConnectionInfo, events: SocketEvents): Promise<Sockets> {
  const { log, onMessage } = events;
  const bound: { close(): void }[] = [];
  const bind = async <T extends { close(): void }>(
    field: string,
    port: number,
    open: (options: EndpointOptions) => T,
  ): Promise<T> => {
    const address: Address =
      info.transport === "tcp"
        ? { transport: "tcp", hostname: info.ip === "*" ? "0.0.0.0" : info.ip, port }
        : { transport: "ipc", path: `${info.ip}-${port}` };
    try {
      const endpoint =
        address.transport === "ipc"
          ? await bindPath(address.path, () => open({ address, log }))
          : open({ address, log });
      bound.push(endpoint);
      return endpoint;
    } catch (error) {
      for (const endpoint of bound) endpoint.close();
      const code = String((error as { code?: unknown }).code ?? (error as Error).message);
      const where = address.transport === "tcp" ? `${address.hostname}:${port}` : address.path;
      const advice =
        code === "EADDRINUSE"
          ? "is in use by another process: stop it, or let Jupyter write a new connection file"
          : `cannot be bound (${code}): expected an address of this machine that this user may listen on`;
      throw new SocketError(`${field}: ${where} ${advice}`, { cause: error });
    }
  };
  const router = (channel: Channel, port: number, onConnect?: () => void): Promise<Router> =>
    bind(`${channel}_port`, port, (options) =>
      bindRouter(options, (identity, frames) => onMessage(channel, identity, frames), onConnect),
    );

  const shell = await router("shell", info.shellPort);
  const control = await router("control", info.controlPort);
  const stdin = await router("stdin", info.stdinPort, events.onStdinConnect);
  const iopub = await bind("iopub_port", info.iopubPort, (options) => bindXpub(options, events.onSubscribe));
  const heartbeat = await bind("hb_port", info.hbPort, bindEcho);
  const all = [shell, control, stdin, iopub, heartbeat];
  return {
    connection:
      info.transport === "ipc"
        ? info
        : {
            ...info,
            shellPort: shell.port,
            controlPort: control.port,
            stdinPort: stdin.port,
            iopubPort: iopub.port,
            hbPort: heartbeat.port,
          },
    routers: { shell, control, stdin },
    iopub,
    async flushed(timeoutMs) {
      await Promise.all(all.map((endpoint) => endpoint.flushed(timeoutMs)));
    },
    close() {
      for (const endpoint of all) endpoint.close();
    },
  };
}

/**
 * Binds a unix socket for its owner alone. A socket file that a dead process left behind is replaced; one that answers
 * is in use.
 */
async function bindPath<T>(path: string, open: () => T): Promise<T> {
  const { chmodSync, lstatSync, unlinkSync } = await import("node:fs");
  let there = false;
  try {
    there = lstatSync(path).isSocket();
  } catch {
    // No such file: the usual case.
  }
  if (there) {
    let alive = true;
    try {
      const probe = await Bun.connect({ unix: path, socket: { data() {} } });
      probe.end();
    } catch {
      alive = false;
    }
    if (alive) throw Object.assign(new Error("address in use"), { code: "EADDRINUSE" });
    unlinkSync(path);
  }
  const endpoint = open();
  chmodSync(path, 0o600);
  return endpoint;
}
