// The framing of language servers: golden bytes, and frames split at every byte.

import { describe, expect, test } from "vitest";
import { ConnectionClosedError, createConnection, createDecoder, encodeMessage } from "#kernel/language/rpc.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("frames", () => {
  test("count bytes, not characters", () => {
    expect(Buffer.from(encodeMessage({ method: "größe" })).toString()).toBe(
      'Content-Length: 36\r\n\r\n{"jsonrpc":"2.0","method":"größe"}',
    );
  });

  test("decode to the same messages however they are split", () => {
    const stream = Buffer.concat([
      encodeMessage({ method: "a", params: { text: "😀\r\n\r\n" } }),
      bytes('Content-Type: x\r\ncontent-length: 8\r\n\r\n{"id":1}'),
      encodeMessage({ id: 2, result: null }),
    ]);
    const whole = createDecoder()(stream);
    expect(whole).toHaveLength(3);
    for (let cut = 0; cut <= stream.length; cut++) {
      const decode = createDecoder();
      expect([...decode(stream.subarray(0, cut)), ...decode(stream.subarray(cut))]).toEqual(whole);
    }
    const single = createDecoder();
    expect([...stream].flatMap((byte) => single(Uint8Array.of(byte)))).toEqual(whole);
  });

  test("without a length or an end of their header are refused", () => {
    expect(() => createDecoder()(bytes("X: 1\r\n\r\n{}"))).toThrow("Content-Length");
    expect(() => createDecoder()(bytes("x".repeat(5000)))).toThrow("without a header");
  });
});

describe("a connection", () => {
  test("matches replies to requests, errors included, and answers the other side", async () => {
    const sent: string[] = [];
    const connection = createConnection(
      (frame) => sent.push(Buffer.from(frame).toString().split("\r\n\r\n")[1] as string),
      (method) => (method === "known" ? [1] : null),
    );
    const first = connection.request("first", { a: 1 });
    const second = connection.request("second");
    connection.receive(encodeMessage({ id: 2, error: { code: -1, message: "no" } }));
    connection.receive(encodeMessage({ id: 1, result: "yes" }));
    await expect(first).resolves.toBe("yes");
    await expect(second).rejects.toThrow("no (-1)");
    connection.receive(encodeMessage({ id: 7, method: "known" }));
    connection.receive(encodeMessage({ method: "a notification" }));
    expect(sent.map((text) => JSON.parse(text))).toEqual([
      { jsonrpc: "2.0", id: 1, method: "first", params: { a: 1 } },
      { jsonrpc: "2.0", id: 2, method: "second" },
      { jsonrpc: "2.0", id: 7, result: [1] },
    ]);
  });

  test("that closes rejects what waits and what comes", async () => {
    const connection = createConnection(
      () => undefined,
      () => null,
    );
    const waiting = connection.request("x");
    connection.close("gone");
    await expect(waiting).rejects.toBeInstanceOf(ConnectionClosedError);
    await expect(connection.request("y")).rejects.toThrow("gone");
  });
});
