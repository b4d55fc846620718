// Signed envelopes: what is accepted, what is dropped and why, and that what goes out can be read by the other side.

import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { createEnvelope, type Envelope } from "#kernel/protocol/envelope.ts";
import { createSigner, digests } from "#kernel/protocol/signature.ts";

const key = "a-key";
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const open = (withKey = key): Envelope => createEnvelope({ signer: createSigner(withKey, "sha256"), session: "s" });

/** A message as a client frames it; `parts` are the four JSON texts. */
function frames(
  parts: readonly string[],
  { prefix = [] as Uint8Array[], signedWith = key, buffers = [] as Uint8Array[] } = {},
): Uint8Array[] {
  const signature = createHmac("sha256", signedWith).update(parts.join("")).digest("hex");
  return [...prefix, bytes("<IDS|MSG>"), bytes(signature), ...parts.map(bytes), ...buffers];
}

const header = '{"msg_id": "1", "msg_type": "kernel_info_request",  "extra": 1}';

test("a signed message is read: prefix, header as it came, content, buffers", () => {
  const decoded = open().decode(
    frames([header, "{}", '{"m":1}', '{"a":"é"}'], { prefix: [bytes("id")], buffers: [Uint8Array.of(0, 255)] }),
  );
  expect(decoded).toEqual({
    ok: true,
    message: {
      identities: [bytes("id")],
      header: { msg_id: "1", msg_type: "kernel_info_request", extra: 1 },
      parentHeader: {},
      metadata: { m: 1 },
      content: { a: "é" },
      buffers: [Uint8Array.of(0, 255)],
    },
  });
});

test.each([
  ["no delimiter", [bytes("hello")], "no <IDS|MSG> delimiter"],
  ["too few frames", [bytes("<IDS|MSG>"), bytes("x")], "1 frames after the delimiter, expected at least 5"],
  ["another key", frames([header, "{}", "{}", "{}"], { signedWith: "guess" }), "a wrong signature"],
  ["a header that is no JSON", frames(["{", "{}", "{}", "{}"]), /^header: /],
  ["a content that is a list", frames([header, "{}", "{}", "[]"]), "content: expected a JSON object"],
  ["a header without a type", frames(['{"msg_id":"1"}', "{}", "{}", "{}"]), /msg_id and msg_type to be strings/],
])("%s is dropped with its reason", (_name, message, reason) => {
  expect(open().decode(message)).toEqual({ ok: false, reason: expect.stringMatching(reason) });
});

test("bytes that are no UTF-8 are malformed, even where the signature is right", () => {
  const broken = Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d);
  const parts = [bytes(header), bytes("{}"), bytes("{}"), broken];
  const signature = createHmac("sha256", key).update(Buffer.concat(parts)).digest("hex");
  expect(open().decode([bytes("<IDS|MSG>"), bytes(signature), ...parts])).toMatchObject({
    ok: false,
    reason: /^content: / as never,
  });
});

test("the signature is checked over the bytes received: other spaces are another message", () => {
  const message = frames([header, "{}", "{}", "{}"]);
  const index = message.findIndex((frame) => frame.length === header.length);
  message[index] = bytes(header.replace("  ", " "));
  expect(open().decode(message)).toEqual({ ok: false, reason: "a wrong signature" });
});

test("a message sent twice is dropped the second time, and still after thousands of others", () => {
  const envelope = createEnvelope({ signer: createSigner(key, "sha256"), session: "s", rememberedDigests: 4096 });
  const first = frames([header, "{}", "{}", "{}"]);
  expect(envelope.decode(first).ok).toBe(true);
  expect(envelope.decode(first)).toEqual({ ok: false, reason: "a signature seen before (replay)" });
  for (let i = 0; i < 2000; i++) expect(envelope.decode(frames([header, "{}", "{}", `{"i":${i}}`])).ok).toBe(true);
  expect(envelope.decode(first).ok).toBe(false);
});

test("without a key everything is accepted, also twice", () => {
  const envelope = open("");
  const message = frames([header, "{}", "{}", "{}"], { signedWith: "whatever" });
  expect(envelope.decode(message).ok).toBe(true);
  expect(envelope.decode(message).ok).toBe(true);
});

test("what goes out carries the parent, a fresh id and a right signature", () => {
  const envelope = open();
  const parent = { msg_id: "1", msg_type: "execute_request" };
  const { header: made, frames: out } = envelope.encode({
    type: "stream",
    parent,
    content: { text: "x" },
    buffers: [bytes("b")],
  });
  expect(made).toMatchObject({ msg_type: "stream", session: "s", version: "5.5" });
  expect(envelope.encode({ type: "stream", parent, content: {} }).header.msg_id).not.toBe(made.msg_id);
  const read = open().decode(out);
  expect(read).toMatchObject({ ok: true, message: { header: made, parentHeader: parent, content: { text: "x" } } });
  expect(out.at(-1)).toEqual(bytes("b"));
});

test("a bigint in a content goes out as its digits", () => {
  const { frames: out } = open().encode({ type: "comm_msg", parent: null, content: { big: 2n ** 70n } });
  expect(new TextDecoder().decode(out[5])).toBe('{"big":"1180591620717411303424"}');
});

test("an object inside itself does not stop a message; one that is there twice is there twice", () => {
  const loop: Record<string, unknown> = { a: 1 };
  loop.self = loop;
  const twice = { b: 2 };
  const { frames: out } = open().encode({ type: "comm_msg", parent: null, content: { loop, list: [twice, twice] } });
  expect(JSON.parse(new TextDecoder().decode(out[5]))).toEqual({
    loop: { a: 1, self: "[Circular]" },
    list: [{ b: 2 }, { b: 2 }],
  });
});

test.each(digests)("hmac-%s equals node:crypto's", (name) => {
  const signed = createSigner(key, name).sign([bytes("a"), bytes("b")]);
  expect(new TextDecoder().decode(signed)).toBe(createHmac(name, key).update("ab").digest("hex"));
});
