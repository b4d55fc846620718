// Fuzzing of everything between a socket and a handler: seeded mutations of exchanges recorded from libzmq, each decoded
// whole and byte by byte. 100,000 cases: no exception, no hang, and both ways give the same messages.

import { expect, test } from "vitest";
import { createEnvelope } from "#kernel/protocol/envelope.ts";
import { createSigner } from "#kernel/protocol/signature.ts";
import { createDecoder, encodeMessage, type WireEvent } from "#kernel/wire/codec.ts";
import recorded from "./recorded.json" with { type: "json" };

const cases = Number(process.env.BUNSEN_FUZZ_CASES ?? 100_000);
const limits = { maxMessageBytes: 4096, maxFrames: 16, maxCommandBytes: 512 };

/** A small generator with a seed, so that a failing case can be run again alone (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Handshakes and single messages, as libzmq framed them: short, so that a mutation hits structure and not only text. */
const seeds: Uint8Array[] = (["shell", "control", "stdin", "iopub", "hb"] as const).flatMap((socket) => {
  const bytes = Uint8Array.from(Buffer.from(recorded[socket], "base64"));
  const decoder = createDecoder();
  const messages = decoder.push(bytes).filter((event) => event.type === "message");
  const handshake = bytes.subarray(0, 64 + 2 + bytes[65]!);
  return [handshake, ...messages.slice(0, 6).map((event) => Buffer.concat([handshake, encodeMessage(event.frames)]))];
});

function mutate(seed: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = Array.from(seed);
  for (let left = 1 + random(4); left > 0; left--) {
    const at = random(bytes.length);
    switch (random(6)) {
      case 0:
        bytes[at]! ^= 1 << random(8);
        break;
      case 1:
        bytes[at] = [0, 1, 2, 4, 6, 0x7f, 0x80, 0xff][random(8)]!;
        break;
      case 2:
        bytes.splice(at, 1 + random(8));
        break;
      case 3:
        bytes.splice(at, 0, ...Array.from({ length: 1 + random(8) }, () => random(256)));
        break;
      case 4:
        bytes = bytes.slice(0, 1 + at);
        break;
      case 5:
        bytes.splice(at, 0, ...bytes.slice(random(bytes.length), random(bytes.length)));
        break;
    }
    if (bytes.length === 0) return new Uint8Array(0);
  }
  return Uint8Array.from(bytes.slice(0, 1024));
}

/** Events as one text, quickly: comparing 100,000 cases with deep equality would be most of the test's time. */
function fingerprint(events: readonly WireEvent[]): string {
  return events
    .map((event) => {
      switch (event.type) {
        case "message":
          return `message ${event.frames.map((frame) => Buffer.from(frame).toString("latin1")).join("|")}`;
        case "subscribe":
        case "cancel":
          return `${event.type} ${Buffer.from(event.topic).toString("latin1")}`;
        default:
          return JSON.stringify(event);
      }
    })
    .join("\n");
}

test(`${cases} mutated exchanges: no crash, and the same messages however they are cut`, { timeout: 300_000 }, () => {
  const signed = createEnvelope({ signer: createSigner(recorded.key, "sha256"), session: "fuzz" });
  const unsigned = createEnvelope({ signer: createSigner("", "sha256"), session: "fuzz" });
  const seen = { accepted: 0, dropped: 0, failed: 0 };
  const one = new Uint8Array(1);
  for (let i = 0; i < cases; i++) {
    const random = randomOf(i);
    const bytes = mutate(seeds[i % seeds.length]!, random);
    const whole = createDecoder(limits).push(bytes);
    const decoder = createDecoder(limits);
    const cut: WireEvent[] = [];
    for (let at = 0; at < bytes.length; at++) {
      const events = decoder.push(i % 16 === 0 ? one.fill(bytes[at]!).slice() : bytes.subarray(at, at + 1));
      if (events.length > 0) cut.push(...events);
    }
    if (fingerprint(cut) !== fingerprint(whole)) expect.fail(`case ${i}: a cut changes what is read`);
    for (const event of whole) {
      if (event.type === "error") seen.failed++;
      if (event.type !== "message") continue;
      // Without a key every mutation reaches the JSON parser; with one, none that touches a signed byte may pass.
      for (const envelope of [signed, unsigned]) {
        const decoded = envelope.decode(event.frames);
        if (!decoded.ok) seen.dropped++;
        else if (typeof decoded.message.header.msg_type !== "string")
          expect.fail(`case ${i}: a message without a type`);
        else seen.accepted++;
      }
    }
  }
  // The mutations reach every outcome: a fuzz that only ever fails at the greeting would prove nothing.
  expect(Math.min(seen.accepted, seen.dropped, seen.failed)).toBeGreaterThan(cases / 100);
});
