// The end of the process that runs cells: an error output that names the cause, and a kernel that goes on.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { start } from "./harness.ts";

describe("a cell that ends its process", () => {
  const ways: Record<string, [code: string, names: RegExp]> = {
    "by process.exit": ["console.log('last words'); process.exit(3)", /exit code 3/],
    "by process.exit after an await": ["await Bun.sleep(1); console.log('last words'); process.exit(0)", /exit code 0/],
    "by aborting": ["console.log('last words'); process.abort()", /SIGABRT/],
    "by a segmentation fault": [
      "console.log('last words'); const { dlopen, read } = require('bun:ffi'); read.u8(8)",
      /SIGSEGV|SIGTRAP|SIGILL|SIGABRT|exit code 1\d\d/,
    ],
    "by a signal, as the system sends it when memory runs out": [
      "console.log('last words'); process.kill(process.pid, 'SIGKILL'); await Bun.sleep(1000)",
      /SIGKILL/,
    ],
  };
  for (const [way, [code, names]] of Object.entries(ways)) {
    test(`${way} gets an error that names it, and the next cell runs`, async () => {
      await using kernel = start();
      const first = kernel.evaluator.pid;
      const ran = await kernel.run(code);
      expect(ran.result).toMatchObject({ status: "error", ename: "EvaluatorEnded" });
      expect(ran.traceback).toMatch(names);
      expect(ran.outputs.at(-1)?.type).toBe("error");
      expect(ran.stdout).toBe("last words\n");
      expect((await kernel.run("1 + 1")).value).toBe("2");
      expect(kernel.evaluator.pid).not.toBe(first);
      expect(kernel.log).toHaveLength(1);
    });
  }

  test("after it has ended is told of by the next", async () => {
    await using kernel = start();
    await kernel.run("setTimeout(() => process.exit(5), 500); 0");
    for (let turn = 0; kernel.log.length === 0 && turn < 500; turn++) await Bun.sleep(10);
    const next = await kernel.run("1");
    expect(next.stderr).toContain("exit code 5");
    expect(next.stderr).toContain("lost");
    expect(next.value).toBe("1");
  });
});

/** Gives a process little more memory than it has now; false where the system has no such means. */
function limitMemory(pid: number, more: number): boolean {
  try {
    const size = Number(/VmSize:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
    return Bun.spawnSync(["prlimit", `--pid=${pid}`, `--as=${size + more}`]).exitCode === 0;
  } catch {
    return false;
  }
}

describe("a cell that takes all memory", () => {
  const ways: Record<string, string> = {
    "by objects": "const kept = []; for (;;) kept.push(new Array(1000).fill({}))",
    "by strings": "let text = 'x'; const texts = []; for (let i = 0; ; i++) texts.push(text.repeat(1e6) + i)",
    "by typed arrays": "const arrays = []; for (;;) arrays.push(new Float64Array(4e6).fill(1))",
  };
  for (const [way, code] of Object.entries(ways)) {
    test(`${way} is an error, its process' end named if it ended, and the kernel goes on`, async (context) => {
      await using kernel = start();
      await kernel.run("1");
      const pid = kernel.evaluator.pid ?? 0;
      if (!limitMemory(pid, 200e6)) context.skip("needs /proc and prlimit");
      const ran = await kernel.run(code);
      expect(ran.result.status).toBe("error");
      expect(ran.outputs.at(-1)?.type).toBe("error");
      if (kernel.evaluator.pid === pid) expect(ran.traceback).toMatch(/out of memory/i);
      else expect(ran.traceback).toMatch(/EvaluatorEnded.*(?:signal SIG[A-Z]+ \(|exit code \d+)/);
      expect((await kernel.run("'alive'")).value).toBe("'alive'");
    });
  }
});

/** Whether a process runs; one that has ended and that nobody has asked about yet does not. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

test("processes that cells started end with the evaluator", async () => {
  const kernel = start();
  const ran = await kernel.run("Bun.spawn(['sleep', '300']).pid");
  const pid = Number(ran.value);
  expect(runs(pid)).toBe(true);
  await kernel[Symbol.asyncDispose]();
  for (let turn = 0; runs(pid) && turn < 500; turn++) await Bun.sleep(10);
  expect(runs(pid)).toBe(false);
});

test("a folder that does not exist is an error of each cell, not of the kernel", async () => {
  await using kernel = start("/nonexistent/folder");
  const ran = await kernel.run("1");
  expect(ran.result).toMatchObject({ status: "error" });
  expect(ran.traceback).toContain("/nonexistent/folder");
});

test("cells after the end of the evaluator are told that it has been stopped", async () => {
  const kernel = start();
  await kernel.run("1");
  await kernel[Symbol.asyncDispose]();
  expect((await kernel.run("1")).result).toMatchObject({ status: "error", evalue: "The evaluator has been stopped." });
});
