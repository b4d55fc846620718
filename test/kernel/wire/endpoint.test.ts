// ROUTER, XPUB and REP on real sockets, with well-behaved and ill-behaved peers. Port 0, both transports.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Address, Endpoint, EndpointOptions, Peer } from "#kernel/wire/endpoint.ts";
import { bindEcho } from "#kernel/wire/rep.ts";
import { bindRouter } from "#kernel/wire/router.ts";
import { bindXpub, type Xpub } from "#kernel/wire/xpub.ts";
import { type Client, connectClient } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-wire-"));
const tcp: Address = { transport: "tcp", hostname: "127.0.0.1", port: 0 };
let open: { close(): void }[] = [];
let logged: string[] = [];
let paths = 0;

afterEach(() => {
  for (const each of open) each.close();
  open = [];
  logged = [];
  if (paths > 0) rmSync(folder, { recursive: true, force: true });
});

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);
const options = (address: Address, more: Partial<EndpointOptions> = {}): EndpointOptions => ({
  address,
  log: (line) => logged.push(line),
  ...more,
});
const keep = <T extends { close(): void }>(each: T): T => {
  open.push(each);
  return each;
};
const at = (endpoint: Endpoint): Address => ({ transport: "tcp", hostname: "127.0.0.1", port: endpoint.port });
const dial = async (address: Address, type: string, identity?: string): Promise<Client> =>
  keep(await connectClient(address, type, identity));

describe.each(["tcp", "ipc"] as const)("over %s", (transport) => {
  test("ROUTER gives a peer's identity and answers to it", async () => {
    const address: Address = transport === "tcp" ? tcp : { transport, path: join(folder, `router-${paths++}`) };
    if (transport === "ipc") await Bun.$`mkdir -p ${folder}`.quiet();
    const router = keep(
      bindRouter(options(address), (identity, frames) => router.send(identity, [bytes("to"), identity, ...frames])),
    );
    const place = transport === "tcp" ? at(router) : address;
    const named = await dial(place, "DEALER", "me");
    const nameless = await dial(place, "DEALER");
    named.send("a", "b");
    nameless.send("c");
    expect((await named.message()).map(text)).toEqual(["to", "me", "a", "b"]);
    const made = (await nameless.message())[1]!;
    expect([made.length, made[0]]).toEqual([5, 0]);
  });
});

test("ROUTER: a peer that comes back under its identity takes it over, and the old connection is closed", async () => {
  const router = keep(bindRouter(options(tcp), () => {}));
  const old = await dial(at(router), "DEALER", "same");
  const fresh = await dial(at(router), "DEALER", "same");
  await old.closed;
  expect(router.send(bytes("same"), [bytes("hello")])).toBe(true);
  expect((await fresh.message()).map(text)).toEqual(["hello"]);
  expect(router.send(bytes("nobody"), [bytes("hello")])).toBe(false);
});

test("REP repeats, a second listener on its port is refused", async () => {
  const echo = keep(bindEcho(options(tcp)));
  const client = await dial(at(echo), "REQ");
  client.send("", "ping");
  expect((await client.message()).map(text)).toEqual(["", "ping"]);
  expect(() => bindEcho(options(at(echo)))).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
});

test("a peer of a wrong type, one that speaks no ZMTP: refused with a line, the endpoint lives", async () => {
  const echo = keep(bindEcho(options(tcp)));
  const wrong = await dial(at(echo), "SUB");
  const error = await wrong.next((event) => event.type === "error");
  expect(error).toEqual({
    type: "error",
    reason: expect.stringMatching(/expected a peer of type REQ or DEALER, got "SUB"/),
  });
  const browser = await dial(at(echo), "");
  browser.raw(bytes("GET / HTTP/1.1\r\n\r\n"));
  await Promise.all([wrong.closed, browser.closed]);
  expect(logged).toHaveLength(2);
  const client = await dial(at(echo), "REQ");
  client.send("", "still there");
  expect(text((await client.message())[1])).toBe("still there");
});

describe("XPUB", () => {
  const bind = (more: Partial<EndpointOptions> = {}): { xpub: Xpub; subscribed: () => Promise<[Peer, string]> } => {
    const seen: [Peer, string][] = [];
    let wake: (() => void) | null = null;
    const xpub = keep(
      bindXpub(options(tcp, more), (peer, topic) => {
        seen.push([peer, text(topic)]);
        wake?.();
      }),
    );
    return {
      xpub,
      async subscribed() {
        while (seen.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        return seen.shift()!;
      },
    };
  };

  test("delivers by prefix, and tells of every subscription", async () => {
    const { xpub, subscribed } = bind();
    const all = await dial(at(xpub), "SUB");
    const some = await dial(at(xpub), "SUB");
    all.subscribe("");
    expect((await subscribed())[1]).toBe("");
    some.raw(Uint8Array.of(0, 3, 1, 0x61, 0x62)); // ZMTP 3.0: a message 0x01 "ab"
    expect((await subscribed())[1]).toBe("ab");
    some.subscribe("ab");
    expect((await subscribed())[1]).toBe("ab");
    for (const topic of ["a", "abc", "b"]) xpub.publish([bytes(topic), bytes("x")]);
    expect(text((await all.message())[0])).toBe("a");
    expect(text((await all.message())[0])).toBe("abc");
    expect(text((await some.message())[0])).toBe("abc");
    expect(text((await all.message())[0])).toBe("b");
  });

  test("a subscriber that reads nothing costs at most the high-water mark, and delays nobody", async () => {
    const mark = 1024 * 1024;
    const { xpub, subscribed } = bind({ highWaterMark: mark });
    const slow = await dial(at(xpub), "SUB");
    const quick = await dial(at(xpub), "SUB");
    slow.subscribe("");
    const [slowPeer] = await subscribed();
    quick.subscribe("");
    await subscribed();
    slow.pause();
    const block = new Uint8Array(64 * 1024);
    const count = 400;
    for (let i = 0; i < count; i++) {
      xpub.publish([bytes("t"), bytes(String(i)), block]);
      const last = String(i);
      if (i % 8 === 7) await quick.next((event) => event.type === "message" && text(event.frames[1]) === last);
    }
    expect(slowPeer.pendingBytes).toBeGreaterThan(0);
    expect(slowPeer.pendingBytes).toBeLessThanOrEqual(mark);
    // The end of a cell still has room in the queue of the slow one.
    xpub.publish([bytes("t"), bytes("idle")], true);
    expect(logged.filter((line) => /behind; messages to it are dropped/.test(line))).toHaveLength(1);
    slow.resume();
    await slow.next((event) => event.type === "message" && text(event.frames[1]) === "idle");
    xpub.publish([bytes("t"), bytes("after")]);
    await slow.next((event) => event.type === "message" && text(event.frames[1]) === "after");
    expect(logged.at(-1)).toMatch(/reads again; it missed \d+ messages/);
  });

  test("a subscriber that vanishes is forgotten", async () => {
    const { xpub, subscribed } = bind();
    const client = await dial(at(xpub), "SUB");
    client.subscribe("");
    await subscribed();
    client.close();
    while (xpub.peers.size > 0) await new Promise((resolve) => setImmediate(resolve));
    xpub.publish([bytes("t")]);
    await xpub.flushed(1000);
    expect(xpub.peers.size).toBe(0);
  });
});
