// Where outputs go and how many messages they make: order kept, streams joined, nothing lost.

import { beforeEach, expect, test, vi } from "vitest";
import type { Output } from "#kernel/evaluator/port.ts";
import type { Content, Header } from "#kernel/protocol/messages.ts";
import { createOutputs, type Outputs } from "#kernel/session/outputs.ts";

interface Sent {
  readonly parent: string | undefined;
  readonly type: string;
  readonly content: Content;
}

let sent: Sent[] = [];
let outputs: Outputs;
let clock = 0;
const comms: unknown[] = [];
const header = (id: string): Header => ({
  msg_id: id,
  msg_type: "execute_request",
  session: "",
  username: "",
  date: "",
  version: "",
});

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  clock = 1000;
  outputs = createOutputs({
    publisher: {
      publish: (parent, type, content) => void sent.push({ parent: parent?.msg_id, type, content }),
      status() {},
      welcome() {},
    },
    onComm: (...comm) => comms.push(comm),
    now: () => clock,
  });
  outputs.open({ header: header("a"), silent: false, identities: [] });
  return () => vi.useRealTimers();
});

const stream = (text: string, name: "stdout" | "stderr" = "stdout", cell = "a"): Output => ({
  type: "stream",
  cell,
  name,
  text,
});
const text = (): string =>
  sent
    .filter((each) => each.type === "stream")
    .map((each) => each.content.text)
    .join("");
const give = (output: Output): void => outputs.receive(output as Parameters<Outputs["receive"]>[0]);
const later = (ms: number): void => {
  clock += ms;
  vi.advanceTimersByTime(ms);
};
const result = (plain: string): Output => ({
  type: "execute_result",
  cell: "a",
  executionCount: 1,
  data: { "text/plain": plain },
  metadata: {},
});

test("the first line goes out within milliseconds, a thousand more in one message when the cell ends", () => {
  give(stream("first\n"));
  later(2);
  expect(text()).toBe("first\n");
  for (let i = 0; i < 1000; i++) give(stream(`${i}\n`));
  expect(sent).toHaveLength(1);
  outputs.close("a");
  expect(sent).toHaveLength(2);
  expect(text()).toBe(`first\n${Array.from({ length: 1000 }, (_, i) => `${i}\n`).join("")}`);
});

test("a cell that prints for a second makes at most some twenty messages", () => {
  for (let i = 0; i < 1000; i++) {
    give(stream("x"));
    later(1);
  }
  outputs.close("a");
  expect(text()).toHaveLength(1000);
  expect(sent.length).toBeLessThanOrEqual(22);
});

test("console, display and result keep their order", () => {
  give(stream("1"));
  give(stream("2", "stderr"));
  give(stream("3"));
  give(result("4"));
  expect(sent.map((each) => each.content.text ?? each.type)).toEqual(["1", "2", "3", "execute_result"]);
  expect(outputs.close("a")).toBe("4");
});

test("a loop that alternates between the streams is joined by stream within a batch, and loses nothing", () => {
  give(stream("."));
  later(2);
  for (let i = 0; i < 5000; i++) {
    give(stream("o"));
    give(stream("e", "stderr"));
  }
  outputs.close("a");
  expect(sent.map((each) => [each.content.name, (each.content.text as string).length])).toEqual([
    ["stdout", 1],
    ["stdout", 5000],
    ["stderr", 5000],
  ]);
});

test("much text goes out before the interval is over", () => {
  give(stream("x".repeat(300_000)));
  expect(text()).toHaveLength(300_000);
});

test("output after the cell ended goes to the cell that made it, bounded in rate too", () => {
  outputs.close("a");
  outputs.open({ header: header("b"), silent: false, identities: [] });
  give(stream("late 1\n"));
  later(2);
  give(stream("late 2\n"));
  give(stream("late 3\n"));
  later(60);
  expect(sent.map((each) => [each.parent, each.content.text])).toEqual([
    ["a", "late 1\n"],
    ["a", "late 2\nlate 3\n"],
  ]);
});

test("a cell forgotten long ago still names its own id as the parent", () => {
  for (let i = 0; i < 600; i++) outputs.open({ header: header(`n${i}`), silent: false, identities: [] });
  give(stream("old\n"));
  later(60);
  expect(sent).toEqual([{ parent: "a", type: "stream", content: { name: "stdout", text: "old\n" } }]);
});

test("a silent cell publishes nothing, now or later", () => {
  outputs.open({ header: header("s"), silent: true, identities: [] });
  give(stream("x", "stdout", "s"));
  give({ type: "display_data", cell: "s", data: {}, metadata: {}, transient: {} });
  give({ type: "error", cell: "s", ename: "E", evalue: "", traceback: [] });
  outputs.close("s");
  give(stream("x", "stdout", "s"));
  later(100);
  expect(sent).toEqual([]);
});

test("a progress display that changes a thousand times shows its latest state at a bounded rate", () => {
  const update = (i: number): Output => ({
    type: "update_display_data",
    cell: "a",
    data: { "text/plain": `${i}` },
    metadata: {},
    transient: { display_id: "p" },
  });
  for (let i = 0; i < 1000; i++) {
    give(update(i));
    later(1);
  }
  outputs.close("a");
  expect(sent.length).toBeLessThanOrEqual(22);
  expect(sent.at(-1)?.content.data).toEqual({ "text/plain": "999" });
});

test("what is cleared before anyone could see it is not sent, what stays visible is", () => {
  give(stream("first"));
  later(2);
  for (let i = 0; i < 100; i++) {
    give(stream(`line ${i}`));
    give({ type: "clear_output", cell: "a", wait: true });
  }
  give(stream("last"));
  outputs.close("a");
  expect(sent.map((each) => each.content.text ?? each.content)).toEqual(["first", { wait: true }, "last"]);

  sent = [];
  outputs.open({ header: header("a"), silent: false, identities: [] });
  give(stream("shown"));
  give(stream(" more"));
  give({ type: "clear_output", cell: "a", wait: true });
  outputs.close("a");
  expect(sent.map((each) => each.content.text ?? each.content)).toEqual(["shown more", { wait: true }]);
});

test("comms are counted open and closed, and keep their place among the streams", () => {
  give(stream("1"));
  give(stream("2"));
  give({ type: "comm_open", cell: "a", commId: "c", targetName: "t", data: { x: 1 }, metadata: {}, buffers: [] });
  give({ type: "comm_close", cell: "a", commId: "c", data: {}, metadata: {}, buffers: [] });
  expect(comms).toEqual([
    ["comm_open", "c", "t"],
    ["comm_close", "c", ""],
  ]);
  expect(sent.map((each) => each.type)).toEqual(["stream", "comm_open", "comm_close"]);
});

test("what a cell puts out while its types are checked stands below the warning, in its order", () => {
  outputs.hold("a");
  outputs.receive(stream("printed\n") as never);
  outputs.receive({ type: "display_data", cell: "a", data: { "text/plain": "shown" }, metadata: {}, transient: {} });
  expect(sent).toEqual([]);
  outputs.warn("a", "1:1 - type error\n");
  outputs.release("a");
  outputs.receive(stream("later\n") as never);
  outputs.close("a");
  expect(sent.map(({ type, content }) => [type, content.name, content.text])).toEqual([
    ["stream", "stderr", "1:1 - type error\n"],
    ["stream", "stdout", "printed\n"],
    ["display_data", undefined, undefined],
    ["stream", "stdout", "later\n"],
  ]);
});

test("a cell that ends while its outputs are kept back loses none of them", () => {
  outputs.hold("a");
  outputs.receive({ type: "execute_result", cell: "a", executionCount: 1, data: { "text/plain": "2" }, metadata: {} });
  expect(outputs.close("a")).toBe("2");
  expect(sent.map(({ type }) => type)).toEqual(["execute_result"]);
});
