// ROUTER: every message comes with the identity of its peer, and goes to the peer of an identity. Nothing of Jupyter.

import { bindEndpoint, type Endpoint, type EndpointOptions, encodeMessage, keyOf, type Peer } from "./endpoint.ts";

export interface Router extends Endpoint {
  /** Sends to the peer of that identity. False where it is not connected or reads so slowly that its queue is full. */
  send(identity: Uint8Array, frames: readonly Uint8Array[]): boolean;
}

/**
 * A peer that comes back under an identity still in the table takes it over (libzmq's ROUTER_HANDOVER): a client that
 * reconnects after a broken connection must get its replies, and the old connection may take minutes to be seen dead.
 */
export function bindRouter(
  options: EndpointOptions,
  onMessage: (identity: Uint8Array, frames: readonly Uint8Array[]) => void,
  onConnect: (identity: Uint8Array) => void = () => {},
): Router {
  const byIdentity = new Map<string, Peer>();
  const endpoint = bindEndpoint(options, {
    socketType: "ROUTER",
    accepts: ["DEALER", "REQ", "ROUTER"],
    onReady(peer) {
      const former = byIdentity.get(peer.identityKey);
      byIdentity.set(peer.identityKey, peer);
      former?.close();
      onConnect(peer.identity);
    },
    onMessage: (peer, frames) => onMessage(peer.identity, frames),
    onClose(peer) {
      if (byIdentity.get(peer.identityKey) === peer) byIdentity.delete(peer.identityKey);
    },
  });
  return {
    ...endpoint,
    send(identity, frames) {
      const peer = byIdentity.get(keyOf(identity));
      if (peer === undefined) return false;
      const sent = peer.send(encodeMessage(frames));
      if (!sent) options.log("router: dropped a reply: the client does not read");
      return sent;
    },
  };
}
