// The session on real sockets with an evaluator in memory: what is answered when, to whom, and in which order, where the
// test decides how long a cell takes.

import { afterEach, describe, expect, test } from "vitest";
import type { ConnectionInfo } from "#kernel/protocol/connection-file.ts";
import { createEnvelope } from "#kernel/protocol/envelope.ts";
import type { Content, Message } from "#kernel/protocol/messages.ts";
import { createSigner } from "#kernel/protocol/signature.ts";
import { openHistory } from "#kernel/session/history.ts";
import { type Kernel, type KernelOptions, startKernel } from "#kernel/session/kernel.ts";
import { type Client, connectClient } from "../wire/client.ts";
import { createInMemoryEvaluator, type InMemoryEvaluator } from "./in-memory-evaluator.ts";

const key = "test";
const free: ConnectionInfo = {
  transport: "tcp",
  ip: "127.0.0.1",
  shellPort: 0,
  controlPort: 0,
  stdinPort: 0,
  iopubPort: 0,
  hbPort: 0,
  key,
  digest: "sha256",
};

interface FrontEnd {
  /** Sends a request; gives its msg_id. */
  send(
    type: string,
    content?: Content,
    more?: { channel?: "shell" | "control" | "stdin"; subshell?: string; parent?: Message },
  ): string;
  reply(id: string, channel?: "shell" | "control"): Promise<Message>;
  question(): Promise<Message>;
  /** Everything on iopub up to the idle of this request, as [type or state, parent id]. */
  until(id: string): Promise<Message[]>;
  close(): void;
}

interface Running {
  readonly kernel: Kernel;
  readonly evaluator: () => Promise<InMemoryEvaluator>;
  readonly exited: Promise<number>;
  readonly logged: string[];
  connect(): Promise<FrontEnd>;
}

let running: Running[] = [];
let clients: Client[] = [];
afterEach(async () => {
  for (const client of clients) client.close();
  for (const each of running) await each.kernel.end(0);
  running = [];
  clients = [];
});

async function start(more: Partial<KernelOptions> = {}): Promise<Running> {
  const { promise: exited, resolve: exit } = Promise.withResolvers<number>();
  const { promise: evaluator, resolve: made } = Promise.withResolvers<InMemoryEvaluator>();
  const logged: string[] = [];
  const kernel = await startKernel({
    connection: free,
    cwd: "/",
    log: (_level, line) => void logged.push(line),
    loadEvaluator: async () => (options) => {
      const each = createInMemoryEvaluator(options);
      made(each);
      return each;
    },
    loadLanguage: () => Promise.reject(new Error("no language server in this test")),
    typeErrors: "warn",
    openHistory: async () => openHistory(":memory:"),
    exit,
    ...more,
  });
  const each: Running = { kernel, evaluator: () => evaluator, exited, logged, connect: () => connect(kernel) };
  running.push(each);
  return each;
}

let sessions = 0;

async function connect(kernel: Kernel): Promise<FrontEnd> {
  const session = `client-${++sessions}`;
  const envelope = createEnvelope({ signer: createSigner(key, "sha256"), session });
  const { shellPort, controlPort, stdinPort, iopubPort } = kernel.connection;
  const dial = async (port: number, type: string): Promise<Client> => {
    const client = await connectClient(
      { transport: "tcp", hostname: "127.0.0.1", port },
      type,
      type === "SUB" ? "" : session,
    );
    clients.push(client);
    return client;
  };
  const sockets = {
    shell: await dial(shellPort, "DEALER"),
    control: await dial(controlPort, "DEALER"),
    stdin: await dial(stdinPort, "DEALER"),
  };
  const iopub = await dial(iopubPort, "SUB");
  const read = async (client: Client): Promise<Message> => {
    const decoded = envelope.decode(await client.message());
    if (!decoded.ok) throw new Error(decoded.reason);
    return decoded.message;
  };
  iopub.subscribe("");
  expect((await read(iopub)).header.msg_type).toBe("iopub_welcome");
  return {
    send(type, content = {}, { channel = "shell", subshell, parent } = {}) {
      const { header } = envelope.encode({ type, parent: null, content });
      const named = subshell === undefined ? header : { ...header, subshell_id: subshell };
      const parts = [named, parent?.header ?? {}, {}, content].map((part) =>
        new TextEncoder().encode(JSON.stringify(part)),
      );
      sockets[channel].send("<IDS|MSG>", createSigner(key, "sha256").sign(parts), ...parts);
      return header.msg_id;
    },
    async reply(id, channel = "shell") {
      const message = await read(sockets[channel]);
      expect(message.parentHeader.msg_id).toBe(id);
      return message;
    },
    question: () => read(sockets.stdin),
    async until(id) {
      const messages: Message[] = [];
      for (;;) {
        const message = await read(iopub);
        // Only who subscribes before the first request is told of the start.
        if (message.content.execution_state === "starting") continue;
        messages.push(message);
        if (message.parentHeader.msg_id === id && message.content.execution_state === "idle") return messages;
      }
    },
    close: () => {
      for (const socket of [...Object.values(sockets), iopub]) socket.close();
    },
  };
}

const kinds = (messages: readonly Message[]): unknown[] =>
  messages.map(
    ({ header, content }) => content.execution_state ?? (content.text as string | undefined)?.trim() ?? header.msg_type,
  );
const execute = (front: FrontEnd, code: string, more: Content = {}, subshell?: string): string =>
  front.send("execute_request", { code, allow_stdin: true, ...more }, subshell === undefined ? {} : { subshell });

test("kernel_info is answered before the evaluator is loaded", async () => {
  const { promise: loaded, resolve: load } = Promise.withResolvers<void>();
  const each = await start({
    loadEvaluator: async () => {
      await loaded;
      return createInMemoryEvaluator;
    },
  });
  const front = await each.connect();
  const info = await front.reply(front.send("kernel_info_request"));
  expect(info.content).toMatchObject({ status: "ok", implementation: "bunsen", protocol_version: "5.5" });
  const cell = execute(front, "result early");
  load();
  expect((await front.reply(cell)).content).toMatchObject({ status: "ok", execution_count: 1 });
});

test("an evaluator that cannot be loaded is an error of each cell, not of the kernel", async () => {
  const each = await start({ loadEvaluator: () => Promise.reject(new Error("no such file")) });
  const front = await each.connect();
  const cell = execute(front, "result 1");
  const failed = await front.reply(cell);
  expect(failed.content).toMatchObject({ status: "error", evalue: "no such file", execution_count: 1 });
  expect(kinds(await front.until(cell))).toEqual(["busy", "execute_input", "error", "idle"]);
  expect((await front.reply(front.send("kernel_info_request"))).content.status).toBe("ok");
});

describe("while a cell runs", () => {
  test("other requests are answered, and busy stays the last state until the cell's idle", async () => {
    const each = await start();
    const front = await each.connect();
    const cell = execute(front, "out begun\nwait go");
    const info = front.send("kernel_info_request");
    await front.reply(info);
    const seen = await front.until(info);
    (await each.evaluator()).release("go");
    await front.reply(cell);
    seen.push(...(await front.until(cell)));
    const states = seen.filter((message) => message.header.msg_type === "status");
    expect(
      states.map(({ content, parentHeader }) => [
        content.execution_state,
        parentHeader.msg_id === cell ? "cell" : "info",
      ]),
    ).toEqual([
      ["busy", "cell"],
      ["busy", "info"],
      ["idle", "info"],
      ["busy", "cell"],
      ["idle", "cell"],
    ]);
  });

  test("completion without a language server is an error that says so", async () => {
    const each = await start();
    const front = await each.connect();
    const complete = await front.reply(front.send("complete_request", { code: "x", cursor_pos: 1 }));
    expect(complete.content).toMatchObject({ status: "error", evalue: "no language server in this test" });
  });
});

test("what fails aborts what its own client queued behind it, and no one else's", async () => {
  const each = await start();
  const [front, other] = [await each.connect(), await each.connect()];
  const first = execute(front, "wait go\nfail RangeError");
  const behind = execute(front, "result 2");
  await front.reply(front.send("kernel_info_request")); // both have arrived
  const theirs = execute(other, "result theirs");
  await other.reply(other.send("kernel_info_request"));
  (await each.evaluator()).release("go");
  expect((await front.reply(first)).content).toMatchObject({
    status: "error",
    ename: "RangeError",
    execution_count: 1,
  });
  expect((await front.reply(behind)).content).toMatchObject({ status: "error", ename: "Aborted", execution_count: 1 });
  expect((await other.reply(theirs)).content).toMatchObject({ status: "ok", execution_count: 2 });
  expect((await each.evaluator()).cells.map((cell) => cell.code)).toEqual([
    "wait go\nfail RangeError",
    "result theirs",
  ]);
  const seen = await front.until(behind);
  expect(kinds(seen.filter((message) => message.parentHeader.msg_id === behind))).toEqual(["busy", "idle"]);
});

test("late output goes to its own cell while the next one runs", async () => {
  const each = await start();
  const front = await each.connect();
  const first = execute(front, "later tick from the first");
  await front.reply(first);
  await front.until(first);
  const second = execute(front, "wait go\nout mine");
  await front.reply(front.send("kernel_info_request"));
  const evaluator = await each.evaluator();
  evaluator.release("tick");
  await new Promise((resolve) => setImmediate(resolve));
  evaluator.release("go");
  await front.reply(second);
  const streams: [unknown, string | undefined][] = [];
  while (streams.length < 2) {
    for (const { header, content, parentHeader } of await front.until(front.send("kernel_info_request"))) {
      if (header.msg_type === "stream") streams.push([content.text, parentHeader.msg_id]);
    }
  }
  expect(streams.sort()).toEqual([
    ["from the first\n", first],
    ["mine\n", second],
  ]);
});

test("a question goes to the client that ran the cell; answers of others are dropped", async () => {
  const each = await start();
  const [front, other] = [await each.connect(), await each.connect()];
  const cell = execute(front, "ask Name?");
  const asked = await front.question();
  expect(asked.content).toEqual({ prompt: "Name?", password: false });
  expect(asked.parentHeader.msg_id).toBe(cell);
  other.send("input_reply", { value: "Eve" }, { channel: "stdin", parent: asked });
  await other.reply(other.send("kernel_info_request"));
  front.send("input_reply", { value: "Ada" }, { channel: "stdin" });
  await front.reply(cell);
  const results = (await front.until(cell)).filter((message) => message.header.msg_type === "execute_result");
  expect(results.map(({ content }) => content.data)).toEqual([{ "text/plain": "Ada" }]);
  expect(each.logged).toContainEqual(expect.stringMatching(/dropped an input_reply/));
});

test("subshells have queues and counts of their own", async () => {
  const each = await start();
  const front = await each.connect();
  const made = await front.reply(front.send("create_subshell_request", {}, { channel: "control" }), "control");
  const subshell = made.content.subshell_id as string;
  const main = execute(front, "wait go");
  const side = execute(front, "result side", {}, subshell);
  expect((await front.reply(side)).content).toMatchObject({ status: "ok", execution_count: 1 });
  const evaluator = await each.evaluator();
  expect(evaluator.cells.map((cell) => cell.subshellId)).toEqual([null, subshell]);
  evaluator.release("go");
  expect((await front.reply(main)).content).toMatchObject({ status: "ok", execution_count: 1 });
  await front.reply(
    front.send("delete_subshell_request", { subshell_id: subshell }, { channel: "control" }),
    "control",
  );
  const gone = await front.reply(execute(front, "result 1", {}, subshell));
  expect(gone.content).toMatchObject({ status: "error", ename: "UnknownSubshell" });
});

test("comms: both sides' opens are counted, buffers pass, messages of unknown comms are dropped", async () => {
  const each = await start();
  const front = await each.connect();
  const cell = execute(front, "comm ours target");
  await front.reply(cell);
  const opened = (await front.until(cell)).find((message) => message.header.msg_type === "comm_open");
  expect(opened?.content).toEqual({ comm_id: "ours", target_name: "target", data: { hello: 1 } });
  expect(opened?.buffers.map((buffer) => [...buffer])).toEqual([[1, 2, 3]]);
  const theirs = front.send("comm_open", { comm_id: "theirs", target_name: "widget", data: { x: 1 } });
  expect(kinds(await front.until(theirs))).toEqual(["busy", "comm comm_open", "idle"]);
  await front.until(front.send("comm_msg", { comm_id: "nobody", data: {} }));
  const info = await front.reply(front.send("comm_info_request"));
  expect(info.content.comms).toEqual({ ours: { target_name: "target" }, theirs: { target_name: "widget" } });
  expect((await each.evaluator()).comms.map(({ message }) => [message.type, message.commId, message.data])).toEqual([
    ["comm_open", "theirs", { x: 1 }],
  ]);
});

test("an interrupt reaches the evaluator, on control", async () => {
  const each = await start();
  const front = await each.connect();
  const cell = execute(front, "wait forever");
  await front.reply(front.send("kernel_info_request"));
  await front.reply(front.send("interrupt_request", {}, { channel: "control" }), "control");
  expect((await front.reply(cell)).content).toMatchObject({ status: "error", ename: "InterruptedError" });
});

test("history is kept by shell, without blank cells", async () => {
  const each = await start();
  const front = await each.connect();
  for (const code of ["result 1", "  ", "out 2"]) await front.reply(execute(front, code));
  await front.reply(execute(front, "result unstored", { store_history: false }));
  const { content } = await front.reply(
    front.send("history_request", { hist_access_type: "tail", n: 10, output: true }),
  );
  expect(content.history).toEqual([
    [1, 1, ["result 1", "1"]],
    [1, 2, ["out 2", null]],
  ]);
});

test("is_complete gives an indent only to what is incomplete", async () => {
  const each = await start();
  const front = await each.connect();
  expect((await front.reply(front.send("is_complete_request", { code: "f(" }))).content).toEqual({
    status: "incomplete",
    indent: "  ",
  });
  expect((await front.reply(front.send("is_complete_request", { code: "f" }))).content).toEqual({ status: "complete" });
});

test("what nobody handles is answered with an error, or logged where it has no reply", async () => {
  const each = await start();
  const front = await each.connect();
  expect((await front.reply(front.send("debug_request", {}, { channel: "control" }), "control")).content).toMatchObject(
    {
      status: "error",
      ename: "UnknownRequest",
    },
  );
  // Not a name of the table, though a name of every object.
  expect(kinds(await front.until(front.send("constructor")))).toEqual(["busy", "idle", "busy", "idle"]);
  expect(each.logged).toContainEqual("shell: no handler for constructor");
});

test("shutdown: the reply and the broadcast come first, then the end", async () => {
  const each = await start();
  const [front, other] = [await each.connect(), await each.connect()];
  const id = front.send("shutdown_request", { restart: true }, { channel: "control" });
  expect((await front.reply(id, "control")).content).toEqual({ status: "ok", restart: true });
  expect(kinds(await other.until(id))).toEqual(["busy", "shutdown_reply", "idle"]);
  expect(await each.exited).toBe(0);
});
