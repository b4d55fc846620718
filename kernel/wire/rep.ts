// REP that repeats what it hears: the heartbeat. It lives in the parent process, so it answers while a cell computes.

import { bindEndpoint, type Endpoint, type EndpointOptions, encodeMessage } from "./endpoint.ts";

export function bindEcho(options: EndpointOptions): Endpoint {
  return bindEndpoint(options, {
    socketType: "REP",
    accepts: ["REQ", "DEALER"],
    // The envelope (REQ's empty delimiter and what stands before it) goes back as it came.
    onMessage: (peer, frames) => void peer.send(encodeMessage(frames)),
  });
}
