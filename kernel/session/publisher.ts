// Publishes on iopub: every message a child of its request. It makes envelopes and topics; it decides nothing about
// what is published or when.

import type { Envelope } from "../protocol/envelope.ts";
import type { Content, Header } from "../protocol/messages.ts";
import type { Peer } from "../wire/endpoint.ts";
import type { Xpub } from "../wire/xpub.ts";

export type Parent = Partial<Header> | null;

export interface Publisher {
  publish(
    parent: Parent,
    type: string,
    content: Content,
    extra?: { readonly metadata?: Content; readonly buffers?: readonly Uint8Array[] },
  ): void;
  status(parent: Parent, state: "busy" | "idle"): void;
  /** JEP 65: tells a new subscriber that its subscription holds, under the topic it asked for. */
  welcome(peer: Peer, topic: Uint8Array): void;
}

export function createPublisher(iopub: () => Xpub, envelope: Envelope): Publisher {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  const topics = new Map<string, Uint8Array>();
  const topicOf = (type: string): Uint8Array => {
    let topic = topics.get(type);
    if (topic === undefined) {
      topic = encoder.encode(`kernel.${type}`);
      topics.set(type, topic);
    }
    return topic;
  };
  let started = false;

  const publish: Publisher["publish"] = (parent, type, content, extra) => {
    const { frames } = envelope.encode({ type, parent, content, ...extra });
    iopub().publish([topicOf(type), ...frames], type === "status");
  };
  return {
    publish,
    status(parent, state) {
      started = true;
      publish(parent, "status", { execution_state: state });
    },
    welcome(peer, topic) {
      const subscription = decoder.decode(topic);
      const welcome = envelope.encode({ type: "iopub_welcome", parent: null, content: { subscription } });
      iopub().publishTo(peer, [topic, ...welcome.frames]);
      if (started) return;
      // At the moment a kernel starts nobody is subscribed, so a `starting` sent then is never seen: it is sent to
      // whoever subscribes before the first request.
      const starting = envelope.encode({ type: "status", parent: null, content: { execution_state: "starting" } });
      iopub().publishTo(peer, [topicOf("status"), ...starting.frames]);
    },
  };
}
