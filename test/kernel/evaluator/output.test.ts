// Everything that a cell makes visible arrives: in order, in its cell, before its end.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the cells under test are text

import { afterAll, describe, expect, test } from "vitest";
import type { Output } from "#kernel/evaluator/port.ts";
import { KERNEL_RUNTIME } from "#kernel/evaluator/runtime.ts";
import { start } from "./harness.ts";

const kernel = start();
afterAll(() => kernel[Symbol.asyncDispose]());

/** The runtime, as cells reach it without a package. */
const RUNTIME = `globalThis[Symbol.for(${JSON.stringify(Symbol.keyFor(KERNEL_RUNTIME))})]`;

describe("console", () => {
  test("methods write what they write in a terminal", async () => {
    const ran = await kernel.run(`console.log("a", 1, { b: [2] });
console.info("%s is %d", "x", 5);
console.debug(new Map([[1, 2]]));
console.group("group"); console.log("inside\\nlines"); console.groupEnd(); console.log("outside");
console.table([{ c: 1 }]);
console.dir({ deep: { er: 1 } }, { depth: 0 });
console.count(); console.count();
console.assert(true, "not shown");
console.log();`);
    expect(ran.stdout).toBe(`a 1 { b: [ 2 ] }
x is 5
Map(1) { 1 => 2 }
group
  inside
  lines
outside
┌───┬───┐
│   │ c │
├───┼───┤
│ 0 │ 1 │
└───┴───┘
{ deep: [Object] }
default: 1
default: 2

`);
  });

  test("prints plain values as the language's own formatter does", async () => {
    const ran = await kernel.run(
      "console.log(1, -0, NaN, true, null, undefined, 'a b', ''); console.log('100%', 5); console.log('%%', '%s'); console.log(5n, 'x'); console.log('', 1)",
    );
    expect(ran.stdout).toBe("1 -0 NaN true null undefined a b \n100% 5\n% %s\n5n x\n 1\n");
  });

  test("errors, warnings, traces and failed assertions go to stderr", async () => {
    const ran = await kernel.run(
      "console.error('e'); console.warn('w'); console.assert(1 > 2, 'math'); console.trace('here')",
    );
    expect(ran.stdout).toBe("");
    expect(ran.stderr).toMatch(/^e\nw\nAssertion failed: math\nTrace: here\n/);
  });

  test("timers tell a duration", async () => {
    const ran = await kernel.run("console.time('t'); console.timeLog('t', 'half'); console.timeEnd('t')");
    expect(ran.stdout).toMatch(/^t: [\d.]+ms half\nt: [\d.]+ms\n$/);
  });
});

describe("streams", () => {
  test("take text and bytes through process.stdout and process.stderr", async () => {
    const ran = await kernel.run(
      "process.stdout.write('a'); process.stdout.write(new Uint8Array([98, 10])); process.stderr.write('6869', 'hex'); await new Promise((done) => process.stdout.write('c', done))",
    );
    expect(ran.stdout).toBe("ab\nc");
    expect(ran.stderr).toBe("hi");
  });

  test("take native writes and the output of child processes, before the cell ends", async () => {
    const ran = await kernel.run(`require("node:fs").writeSync(1, "native\\n");
await Bun.write(Bun.stderr, "native error\\n");
Bun.spawnSync(["sh", "-c", "echo child; echo child error >&2"], { stdout: "inherit", stderr: "inherit" });
await Bun.$\`echo shell\`;
"end"`);
    expect(ran.stdout).toBe("native\nchild\nshell\n");
    expect(ran.stderr).toBe("native error\nchild error\n");
  });

  test("take native writes before the cell ends, also where a later cell of a subshell has ended already", async () => {
    await using harness = start();
    const text = "x".repeat(60_000);
    for (let round = 0; round < 20; round++) {
      const main = harness.run(
        `await new Promise((resolve) => { globalThis.go = resolve; }); require("node:fs").writeSync(${1 + (round % 2)}, "${text}");`,
        { subshellId: null },
      );
      await harness.run("setTimeout(go, 1)", { subshellId: "sub" });
      const { stdout, stderr } = await main;
      expect((stdout + stderr).length).toBe(text.length);
    }
  });

  test("keep text that looks like the beginning of a mark, and text cut inside a character", async () => {
    const ran = await kernel.run(`const { writeSync } = require("node:fs");
writeSync(1, "\\u001b]bunsen;no mark\\u0007 \\u001b[31mred\\u001b");
writeSync(1, Buffer.from("é").subarray(0, 1)); await Bun.sleep(20); writeSync(1, Buffer.from("é").subarray(1));`);
    expect(ran.stdout).toBe("\u001b]bunsen;no mark\u0007 \u001b[31mred\u001bé");
  });

  test("deliver 20,000 lines whole, in few messages", async () => {
    const ran = await kernel.run("for (let i = 0; i < 20_000; i++) console.log(`line ${i}`)");
    expect(ran.stdout).toBe(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(""));
    // The session joins them further.
    expect(ran.outputs.length).toBeLessThan(2_000);
  });

  test("deliver ten megabytes of native output whole", async () => {
    const ran = await kernel.run(
      "Bun.spawnSync(['sh', '-c', 'yes 0123456789abcde | head -c 10000000'], { stdout: 'inherit' }).exitCode",
    );
    expect(ran.stdout.length).toBe(10_000_000);
    expect(ran.value).toBe("0");
  });

  test("arrive while a cell still computes", async () => {
    const running = kernel.run(
      "console.log('first'); const until = Date.now() + 400; while (Date.now() < until) console.log('x'); 'over'",
    );
    let isOver = false;
    void running.then(() => {
      isOver = true;
    });
    const output = await kernel.until((item) => item.type === "stream" && item.text.startsWith("first"));
    expect(output.type).toBe("stream");
    expect(isOver).toBe(false);
    await running;
  });
});

test("console, displays and the result keep their order", async () => {
  const ran = await kernel.run(`const runtime = ${RUNTIME};
console.log("1"); runtime.display({ data: { "text/plain": "2" } }); console.error("3"); process.stdout.write("4"); runtime.clearOutput(true);
await 0; runtime.display({ data: { "text/plain": "5" }, displayId: "d" }); runtime.updateDisplay({ data: { "text/plain": "6" }, displayId: "d" }); console.log("7"); "8"`);
  const seen = ran.outputs.map((output: Output) => {
    switch (output.type) {
      case "stream":
        return `${output.name} ${output.text.trim()}`;
      case "display_data":
      case "update_display_data":
        return `${output.type} ${output.data["text/plain"]} ${output.transient.display_id ?? ""}`.trim();
      case "execute_result":
        return "result";
      default:
        return output.type;
    }
  });
  expect(seen).toEqual([
    "stdout 1",
    "display_data 2",
    "stderr 3",
    "stdout 4",
    "clear_output",
    "display_data 5 d",
    "update_display_data 6 d",
    "stdout 7",
    "result",
  ]);
});

test("buffers of displays arrive as they are", async () => {
  const ran = await kernel.run(
    `${RUNTIME}.display({ data: { "text/plain": "b" }, buffers: [new Uint8Array([1, 2]), new Uint8Array(70_000).fill(7)] })`,
  );
  const [shown] = ran.outputs;
  if (shown?.type !== "display_data") throw new Error(`expected display_data, got ${shown?.type}`);
  expect(shown.buffers?.map((buffer) => buffer.length)).toEqual([2, 70_000]);
  expect(shown.buffers?.[0]).toEqual(new Uint8Array([1, 2]));
});

describe("after a cell has ended", () => {
  test("what its timers, promises, files and servers write goes to it", async () => {
    const ways: Record<string, string> = {
      timer: "setTimeout(() => console.log('late timer'), 30)",
      interval: "const iv = setInterval(() => { clearInterval(iv); console.log('late interval') }, 30)",
      promise: "Bun.sleep(30).then(() => console.log('late promise'))",
      async: "void (async () => { await Bun.sleep(30); console.log('late async') })()",
      file: "require('node:fs').readFile(__filename, () => setTimeout(() => console.log('late file'), 30))",
      process: "Bun.spawn(['sleep', '0.03'], { onExit: () => console.log('late process') })",
      display: `setTimeout(() => { ${RUNTIME}.display({ data: { 'text/plain': 'd' } }); console.log('late display') }, 30)`,
    };
    const ids = new Map<string, string>();
    for (const [way, code] of Object.entries(ways)) ids.set(way, (await kernel.run(`${code}; 0`)).id);
    await kernel.run("1");
    for (const [way, id] of ids) {
      const output = await kernel.until((item) => item.type === "stream" && item.text.includes(`late ${way}`));
      expect(output.cell, way).toBe(id);
    }
    const display = await kernel.until((item) => item.type === "display_data" && item.data["text/plain"] === "d");
    expect(display.cell).toBe(ids.get("display"));
  });

  test("while another cell runs, each keeps its own", async () => {
    const first = await kernel.run("setTimeout(() => console.log('from the first'), 20)");
    const second = await kernel.run("await Bun.sleep(60); console.log('from the second')");
    expect(kernel.text(first.id)).toBe("from the first\n");
    expect(second.stdout).toBe("from the second\n");
  });
});

describe("unhandled errors", () => {
  test("appear in the cell named in their stack and do not end the kernel", async () => {
    const failing = await kernel.run(
      "function explode() { throw new Error('boom in a timer') }\nsetTimeout(explode, 20); Promise.reject(new TypeError('nobody caught me')); 0",
    );
    await kernel.run("1");
    const rejected = await kernel.until((item) => item.type === "stream" && item.text.includes("nobody caught me"));
    const thrown = await kernel.until((item) => item.type === "stream" && item.text.includes("boom in a timer"));
    expect(rejected.cell).toBe(failing.id);
    expect(thrown.cell).toBe(failing.id);
    expect(kernel.text(failing.id, "stderr")).toContain("explode");
    expect((await kernel.run("'alive'")).value).toContain("alive");
  });

  test("without a stack appear in the latest cell", async () => {
    await kernel.run("1");
    const last = await kernel.run("setTimeout(() => Promise.reject('just text'), 10); 0");
    const output = await kernel.until((item) => item.type === "stream" && item.text.includes("just text"));
    expect(output.cell).toBe(last.id);
  });
});

test("a value that cannot be shown is an error of its cell, not the end of it", async () => {
  const ran = await kernel.run(
    "({ get [Symbol.toStringTag]() { throw new Error('no tag') }, [Symbol.for('Jupyter.display')]() { throw new Error('no display') } })",
  );
  expect(ran.outputs.length).toBeGreaterThan(0);
  expect((await kernel.run("1")).value).toBe("1");
});
