// The ZMTP codec on golden bytes (written here by hand from RFC 37, and recorded from libzmq), at every split.

import { describe, expect, test } from "vitest";
import {
  concat,
  createDecoder,
  encodeCommand,
  encodeError,
  encodeGreeting,
  encodeMessage,
  encodePong,
  encodeReady,
  type WireEvent,
} from "#kernel/wire/codec.ts";
import recorded from "./recorded.json" with { type: "json" };

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
const limits = { maxMessageBytes: 1000, maxFrames: 8, maxCommandBytes: 300 };

const greeting = hex(`ff 00 00 00 00 00 00 00 00 7f 03 01 4e 55 4c 4c ${"00".repeat(48)}`);
const readyDealer = hex(`04 29 05 5245414459 0b 536f636b65742d54797065 00000006 4445414c4552
  08 4964656e74697479 00000000`);

/** Everything that the decoder says of these pieces, as plain values. */
function decode(pieces: readonly Uint8Array[], using = limits): WireEvent[] {
  const decoder = createDecoder(using);
  return pieces.flatMap((piece) => decoder.push(piece)).map(plain);
}

function plain(event: WireEvent): WireEvent {
  return structuredClone(event);
}

function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}

describe("what is written", () => {
  test("the greeting says ZMTP 3.1 and NULL in 64 bytes", () => {
    expect(encodeGreeting()).toEqual(greeting);
  });

  test("READY carries the socket type and an empty identity", () => {
    expect(encodeReady("DEALER")).toEqual(readyDealer);
  });

  test("frames say more, are short up to 255 bytes and long from 256", () => {
    expect(encodeMessage([ascii("ab"), new Uint8Array(0)])).toEqual(hex("01 02 6162 00 00"));
    const long = encodeMessage([new Uint8Array(255), new Uint8Array(256)]);
    expect(long.subarray(0, 2)).toEqual(hex("01 ff"));
    expect(long.subarray(257, 266)).toEqual(hex("02 00000000 00000100"));
    expect(long).toHaveLength(257 + 9 + 256);
  });

  test("commands: PONG repeats the context, ERROR has a length", () => {
    expect(encodePong(ascii("c"))).toEqual(hex("04 06 04 504f4e47 63"));
    expect(encodeError("no")).toEqual(hex("04 09 05 4552524f52 02 6e6f"));
  });
});

describe("what is read", () => {
  const session = concat([
    greeting,
    readyDealer,
    encodeMessage([ascii("one")]),
    encodeMessage([ascii("a"), new Uint8Array(300).fill(7), new Uint8Array(0)]),
    encodeCommand("SUBSCRIBE", [ascii("topic")]),
    encodeCommand("CANCEL", [ascii("topic")]),
    encodeCommand("PING", [hex("000a"), ascii("ctx")]),
    encodeCommand("NEWTHING", [ascii("ignored")]),
  ]);
  const events: WireEvent[] = [
    { type: "greeting", minor: 1, mechanism: "NULL" },
    { type: "ready", socketType: "DEALER", identity: new Uint8Array(0) },
    { type: "message", frames: [ascii("one")] },
    { type: "message", frames: [ascii("a"), new Uint8Array(300).fill(7), new Uint8Array(0)] },
    { type: "subscribe", topic: ascii("topic") },
    { type: "cancel", topic: ascii("topic") },
    { type: "ping", context: ascii("ctx") },
  ];

  test("a session in one piece", () => {
    expect(decode([session])).toEqual(events.map(plain));
  });

  test("the same session cut in two at every byte, and byte by byte", () => {
    for (let at = 1; at < session.length; at++) {
      expect(decode([session.subarray(0, at), session.subarray(at)])).toEqual(events.map(plain));
    }
    expect(decode(bytewise(session))).toEqual(events.map(plain));
  });

  test("frames handed out do not change when more bytes come", () => {
    const decoder = createDecoder(limits);
    const kept: Uint8Array[] = [];
    const bytes = concat([greeting, readyDealer, ...["x", "y", "z"].map((text) => encodeMessage([ascii(text)]))]);
    for (let i = 0; i < bytes.length; i++) {
      // A reader of sockets may reuse its buffer as soon as push returns only if nothing was kept: ours are fresh.
      for (const event of decoder.push(bytes.slice(i, i + 1)))
        if (event.type === "message") kept.push(event.frames[0]!);
    }
    expect(kept).toEqual([ascii("x"), ascii("y"), ascii("z")]);
  });

  test.each(["shell", "control", "stdin", "iopub", "hb"] as const)(
    "what libzmq sent to %s, whole and byte by byte",
    (socket) => {
      const bytes = Uint8Array.from(Buffer.from(recorded[socket], "base64"));
      const whole = decode([bytes], { ...limits, maxMessageBytes: 1e6 });
      expect(decode(bytewise(bytes), { ...limits, maxMessageBytes: 1e6 })).toEqual(whole);
      expect(whole.map((event) => event.type)).not.toContain("error");
      const types = whole.slice(2).map((event) => event.type);
      expect(new Set(types)).toEqual(new Set([socket === "iopub" ? "subscribe" : "message"]));
    },
  );
});

describe("what is refused", () => {
  const opened = concat([greeting, readyDealer]);
  const reason = (bytes: Uint8Array): string => {
    const last = decode(bytewise(bytes)).at(-1);
    expect(decode([bytes]).at(-1)).toEqual(last);
    return last?.type === "error" ? last.reason : `no error: ${JSON.stringify(last)}`;
  };
  const altered = (at: number, value: number): Uint8Array => {
    const bytes = greeting.slice();
    bytes[at] = value;
    return bytes;
  };

  test("a browser, an older ZMTP, another mechanism", () => {
    expect(reason(ascii("GET / HTTP/1.1"))).toMatch(/expected a ZMTP greeting .*0x47/);
    expect(reason(altered(10, 1))).toMatch(/expected ZMTP 3, .*version 1/);
    expect(reason(altered(12, 0x50))).toMatch(/expected the NULL mechanism, got "PULL"/);
  });

  test("a message or a subscription before READY, a second READY", () => {
    expect(reason(concat([greeting, encodeMessage([ascii("x")])]))).toBe("expected READY, got a message");
    expect(reason(concat([greeting, encodeCommand("SUBSCRIBE", [])]))).toBe("expected READY, got subscribe");
    expect(reason(concat([opened, readyDealer]))).toBe("a second READY");
  });

  test("reserved flags, a command that says more, a length above 2^53", () => {
    expect(reason(concat([opened, hex("08 00")]))).toMatch(/flags 0x8/);
    expect(reason(concat([opened, hex("05 00")]))).toMatch(/flags 0x5/);
    expect(reason(concat([opened, hex("02 ffffffffffffffff")]))).toMatch(/above 2\^53/);
  });

  test("commands without a name, properties past the end, huge commands", () => {
    expect(reason(concat([opened, hex("04 00")]))).toMatch(/no name/);
    expect(reason(concat([opened, hex("04 02 09 41")]))).toMatch(/no name/);
    expect(reason(concat([greeting, hex("04 0c 05 5245414459 01 41 000000ff")]))).toMatch(/runs past the end/);
    expect(reason(concat([opened, hex("06 0000000000001000")]))).toMatch(/above the limit of 300/);
  });

  test("a huge message is skipped as it comes, and the next one is read", () => {
    const huge = encodeMessage([ascii("head"), new Uint8Array(5000), ascii("tail")]);
    const bytes = concat([opened, huge, encodeMessage([ascii("next")])]);
    const expected = [
      { type: "dropped", reason: "a message above the limit of 1000 bytes" },
      { type: "message", frames: [ascii("next")] },
    ];
    expect(decode([bytes]).slice(2)).toEqual(expected.map((event) => plain(event as WireEvent)));
    expect(decode(bytewise(bytes)).slice(2)).toEqual(expected.map((event) => plain(event as WireEvent)));
  });

  test("a header that claims 2^50 bytes reserves nothing", () => {
    const decoder = createDecoder({ ...limits, maxMessageBytes: 2 ** 52 });
    decoder.push(opened);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 100; i++) decoder.push(i === 0 ? hex("02 0004000000000000") : new Uint8Array(1000));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
  });

  test("a message of too many frames is skipped too", () => {
    const bytes = concat([opened, encodeMessage(Array(9).fill(ascii("f"))), encodeMessage(Array(8).fill(ascii("f")))]);
    expect(
      decode([bytes])
        .slice(2)
        .map((event) => event.type),
    ).toEqual(["dropped", "message"]);
  });
});
