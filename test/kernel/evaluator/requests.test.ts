// What cells ask of the front end and the front end of the child: input, comms, payloads, subshells, live values.

import { afterAll, describe, expect, test } from "vitest";
import type { CommMessage, MimeBundle, Output, RuntimeProperty } from "#kernel/evaluator/port.ts";
import { start } from "./harness.ts";

const kernel = start();
afterAll(() => kernel[Symbol.asyncDispose]());
const RUNTIME = "globalThis[Symbol.for('bunsen.kernel')]";

function isInput(output: Output): output is Extract<Output, { type: "input_request" }> {
  return output.type === "input_request";
}

let answered = 0;
/** Answers the next question. */
async function reply(value: string): Promise<Extract<Output, { type: "input_request" }>> {
  const output = await kernel.until(
    (item) => isInput(item) && kernel.outputs.filter(isInput).indexOf(item) === answered,
  );
  answered++;
  if (!isInput(output)) throw new Error("no question");
  kernel.evaluator.answerInput(output.inputId, value);
  return output;
}

describe("input", () => {
  test("is asked for by cells, with and without a password", async () => {
    const running = kernel.run(
      `const runtime = ${RUNTIME}; const name = await runtime.input("Name? "); const secret = await runtime.input("Secret? ", { password: true }); [name, secret]`,
      {
        allowStdin: true,
      },
    );
    const first = await reply("Ada");
    const second = await reply('l\u00f6velace "😀"');
    expect(first).toMatchObject({ prompt: "Name? ", password: false, cell: (await running).id });
    expect(second).toMatchObject({ prompt: "Secret? ", password: true });
    expect((await running).value).toBe(`[ 'Ada', 'lövelace "😀"' ]`);
  });

  test("is asked for by the blocking globals `prompt` and `confirm` too", async () => {
    const running = kernel.run("[prompt('Age?'), prompt('Empty?', 'initial'), confirm('Sure?'), confirm('Really?')]", {
      allowStdin: true,
    });
    expect((await reply("42 €")).prompt).toBe("Age? ");
    await reply("");
    expect((await reply("yes")).prompt).toContain("Sure?");
    await reply("no");
    expect((await running).value).toBe("[ '42 €', 'initial', true, false ]");
  });

  test("is a clear error where the front end takes none", async () => {
    for (const code of [`await ${RUNTIME}.input('x')`, "prompt('x')", "confirm('x')"]) {
      const ran = await kernel.run(code);
      expect(ran.result, code).toMatchObject({ status: "error", ename: "InputNotAllowedError" });
      expect(ran.traceback).toContain("allow_stdin");
    }
  });

  test("gives way to an interrupt, blocking or not", async () => {
    for (const code of [`await ${RUNTIME}.input('waits')`, "prompt('blocks')"]) {
      const running = kernel.run(code, { allowStdin: true });
      await kernel.until((item) => isInput(item) && kernel.outputs.filter(isInput).indexOf(item) === answered);
      answered++;
      await kernel.evaluator.interrupt();
      expect((await running).result, code).toMatchObject({ status: "error", ename: "InterruptedError" });
    }
    expect((await kernel.run("1 + 1")).value).toBe("2");
  });
});

function message(
  type: CommMessage["type"],
  commId: string,
  data: Record<string, unknown>,
  extra: Partial<CommMessage> = {},
): CommMessage {
  return { type, commId, data, metadata: {}, buffers: [], ...extra };
}

describe("comms", () => {
  test("opened by the front end reach their target, answer, and close", async () => {
    await kernel.run(`${RUNTIME}.registerCommTarget("echo", async (comm, open) => {
  console.log("opened with", open.data.hello);
  comm.onMessage(async (message) => { await Bun.sleep(5); comm.send({ back: message.data.text }, { buffers: message.buffers, metadata: { seen: true } }); });
  comm.onClose(() => console.log("closed"));
});`);
    await kernel.evaluator.comm("m1", message("comm_open", "c1", { hello: "you" }, { targetName: "echo" }), null);
    expect(kernel.text("m1")).toBe("opened with you\n");
    await kernel.evaluator.comm(
      "m2",
      message("comm_msg", "c1", { text: "ping" }, { buffers: [new Uint8Array([1, 2, 3])] }),
      null,
    );
    const back = kernel.outputs.find((output) => output.type === "comm_msg" && output.cell === "m2");
    expect(back).toMatchObject({ commId: "c1", data: { back: "ping" }, metadata: { seen: true } });
    expect(back?.type === "comm_msg" && back.buffers[0]).toEqual(new Uint8Array([1, 2, 3]));
    await kernel.evaluator.comm("m3", message("comm_close", "c1", {}), null);
    expect(kernel.text("m3")).toBe("closed\n");
  });

  test("of no target are closed", async () => {
    await kernel.evaluator.comm("m4", message("comm_open", "c2", {}, { targetName: "nobody" }), null);
    expect(kernel.outputs.some((output) => output.type === "comm_close" && output.commId === "c2")).toBe(true);
  });

  test("opened by a cell tell their target and buffers", async () => {
    const ran = await kernel.run(
      `const comm = ${RUNTIME}.openComm("front", { a: 1 }, { buffers: [new Uint8Array([9])], metadata: { version: "1" } }); comm.send({ b: 2 }); comm.close({ c: 3 }); comm.close(); comm.closed`,
    );
    const sent = ran.outputs.filter((output) => output.type.startsWith("comm_"));
    expect(sent).toMatchObject([
      { type: "comm_open", targetName: "front", data: { a: 1 }, metadata: { version: "1" } },
      { type: "comm_msg", data: { b: 2 }, buffers: [] },
      { type: "comm_close", data: { c: 3 } },
    ]);
    expect(ran.value).toBe("true");
    expect((await kernel.run("comm.send({})")).traceback).toContain("is closed");
  });

  test("handlers that fail say so in the message's own cell, and an endless one can be interrupted", async () => {
    await kernel.run(
      `${RUNTIME}.registerCommTarget("bad", (comm) => { comm.onMessage(({ data }) => { if (data.spin) { console.log("spinning"); while (true) ; } throw new Error("handler failed"); }); });`,
    );
    await kernel.evaluator.comm("m5", message("comm_open", "c3", {}, { targetName: "bad" }), null);
    await kernel.evaluator.comm("m6", message("comm_msg", "c3", {}), null);
    expect(kernel.text("m6", "stderr")).toContain("handler failed");
    const spinning = kernel.evaluator.comm("m7", message("comm_msg", "c3", { spin: true }), null);
    await kernel.until((output) => output.type === "stream" && output.cell === "m7");
    await kernel.evaluator.interrupt();
    await spinning;
    expect((await kernel.run("'free'")).value).toContain("free");
  });
});

test("payloads of the pager and the next input come with the result", async () => {
  const ran = await kernel.run(`${RUNTIME}.page({ "text/plain": "long" }, 2); ${RUNTIME}.setNextInput("1 + 1", true)`);
  expect(ran.result.status === "ok" && ran.result.payload).toEqual([
    { source: "page", data: { "text/plain": "long" }, start: 2 },
    { source: "set_next_input", text: "1 + 1", replace: true },
  ]);
});

describe("subshells", () => {
  test("run cells and comm handlers whenever the main cell awaits", async () => {
    await kernel.run(
      `let release; const gate = new Promise((resolve) => { release = resolve }); ${RUNTIME}.registerCommTarget("slider", (comm) => comm.send({ live: true }))`,
    );
    const main = kernel.run("console.log('main waits'); await gate; 'main went on'");
    const side = await kernel.run("console.log('side'); release(); 'side done'", { subshellId: "s1" });
    await kernel.evaluator.comm("m8", message("comm_open", "c8", {}, { targetName: "slider" }), "s1");
    expect(side.value).toContain("side done");
    expect(side.stdout).toBe("side\n");
    expect((await main).value).toContain("main went on");
    expect((await main).stdout).toBe("main waits\n");
    expect(kernel.outputs.some((output) => output.type === "comm_msg" && output.cell === "m8")).toBe(true);
  });
});

/** Live values are asked for 60 ms at most: on a machine that gives the child no time, once more. */
async function propertiesOf(expression: string): Promise<readonly RuntimeProperty[]> {
  for (let turn = 0; turn < 50; turn++) {
    const found = await kernel.evaluator.properties(expression);
    if (found.length > 0) return found;
  }
  return [];
}

describe("live values", () => {
  test("tell their properties without running user code", async () => {
    await kernel.run(
      "let ran = 0; const shape = { width: 1, area() {}, get trap() { ran++; return { hidden: 1 } }, Inner: class {}, list: [{ deep: 1 }], 'odd key': 1 }",
    );
    const names = (await propertiesOf("shape")).map(({ name, type }) => `${name}:${type}`);
    expect(names).toEqual(
      expect.arrayContaining(["width:property", "area:function", "trap:property", "Inner:class", "list:property"]),
    );
    expect((await propertiesOf("shape.list[0]")).map(({ name }) => name)).toContain("deep");
    expect(await kernel.evaluator.properties("shape.trap")).toEqual([]);
    expect(await kernel.evaluator.properties("shape.area()")).toEqual([]);
    expect(await kernel.evaluator.properties("nobody")).toEqual([]);
    expect(await kernel.evaluator.properties("(")).toEqual([]);
    expect((await kernel.run("ran")).value).toBe("0");
  });

  test("of names that shadow built-ins are the cell's", async () => {
    await kernel.run("const navigator = { mine: 1 }");
    expect((await propertiesOf("navigator")).map(({ name }) => name)).toContain("mine");
  });

  test("are inspected as plain text, or not at all", async () => {
    await kernel.run("const seen = { a: [1, 2] }");
    let inspected: MimeBundle | null = null;
    for (let turn = 0; inspected === null && turn < 50; turn++) inspected = await kernel.evaluator.inspect("seen.a");
    expect(inspected).toMatchObject({ "text/plain": expect.stringContaining("1") });
    expect(await kernel.evaluator.inspect("unseen")).toBeNull();
  });

  test("are not waited for while a cell computes", async () => {
    const running = kernel.run("console.log('busy'); while (true) ;");
    await kernel.until((output) => output.type === "stream" && output.text === "busy\n");
    expect(await kernel.evaluator.properties("seen")).toEqual([]);
    expect(await kernel.evaluator.inspect("seen")).toBeNull();
    await kernel.evaluator.interrupt();
    expect((await running).result).toMatchObject({ ename: "InterruptedError" });
  });
});
