// XPUB: topics, subscriptions and the broadcast. A slow subscriber loses messages and never holds up anyone.

import {
  bindEndpoint,
  defaultHighWaterMark,
  type Endpoint,
  type EndpointOptions,
  encodeMessage,
  keyOf,
  type Peer,
} from "./endpoint.ts";

export interface Xpub extends Endpoint {
  /**
   * Sends to every peer with a subscription that is a prefix of the topic (the first frame).
   * `essential` messages (a request's busy and idle) have a quarter of the high-water mark to themselves, so that a
   * client which fell behind and catches up is not left waiting for the end of a cell.
   */
  publish(frames: readonly Uint8Array[], essential?: boolean): void;
  /** Sends to one subscriber. */
  publishTo(peer: Peer, frames: readonly Uint8Array[]): void;
}

/** `onSubscribe` is called for every subscription, repeated ones too (libzmq's XPUB_VERBOSE). */
export function bindXpub(options: EndpointOptions, onSubscribe: (peer: Peer, topic: Uint8Array) => void): Xpub {
  const mark = options.highWaterMark ?? defaultHighWaterMark;
  const topics = new Map<Peer, Map<string, number>>();
  const missed = new Map<Peer, number>();

  const change = (peer: Peer, kind: "subscribe" | "cancel", topic: Uint8Array): void => {
    if (topic.length > maxTopicBytes) {
      options.log(`xpub: dropped a subscription: a topic of ${topic.length} bytes`);
      return;
    }
    const key = keyOf(topic);
    const counts = topics.get(peer);
    if (counts === undefined) return;
    const count = counts.get(key) ?? 0;
    if (kind === "cancel") {
      if (count > 1) counts.set(key, count - 1);
      else counts.delete(key);
      return;
    }
    if (count === 0 && counts.size >= maxTopics) {
      options.log(`xpub: dropped a subscription: the client has ${maxTopics}`);
      return;
    }
    counts.set(key, count + 1);
    onSubscribe(peer, topic);
  };

  const endpoint = bindEndpoint(options, {
    socketType: "XPUB",
    accepts: ["SUB", "XSUB"],
    onReady(peer) {
      topics.set(peer, new Map());
    },
    onSubscription: change,
    onMessage(peer, frames) {
      // ZMTP 3.0 peers subscribe by messages: a byte 1 or 0, then the topic. Anything else a subscriber says is ignored.
      const first = frames[0]!;
      if (frames.length === 1 && (first[0] === 1 || first[0] === 0)) {
        change(peer, first[0] === 1 ? "subscribe" : "cancel", first.subarray(1));
      }
    },
    onClose(peer) {
      topics.delete(peer);
      missed.delete(peer);
    },
  });

  const deliver = (peer: Peer, bytes: Uint8Array, essential: boolean): void => {
    if (peer.send(bytes, essential ? mark + mark / 4 : mark)) {
      const count = missed.get(peer);
      if (count !== undefined && !essential) {
        missed.delete(peer);
        options.log(`xpub: a slow subscriber reads again; it missed ${count} messages`);
      }
      return;
    }
    const count = missed.get(peer) ?? 0;
    missed.set(peer, count + 1);
    if (count === 0) options.log(`xpub: a subscriber is ${peer.pendingBytes} bytes behind; messages to it are dropped`);
  };

  return {
    ...endpoint,
    publish(frames, essential = false) {
      if (topics.size === 0) return;
      const topic = keyOf(frames[0]!);
      let bytes: Uint8Array | null = null;
      for (const [peer, counts] of topics) {
        if (!matches(counts, topic)) continue;
        bytes ??= encodeMessage(frames);
        deliver(peer, bytes, essential);
      }
    },
    publishTo: (peer, frames) => deliver(peer, encodeMessage(frames), true),
  };
}

/** A Jupyter client has one topic, the empty one. */
const maxTopics = 1024;
const maxTopicBytes = 4096;

function matches(counts: ReadonlyMap<string, number>, topic: string): boolean {
  for (const prefix of counts.keys()) if (topic.startsWith(prefix)) return true;
  return false;
}
