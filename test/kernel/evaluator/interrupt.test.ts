// Stopping what runs: within 100 ms, with state kept; and what happens to work that cannot be stopped.

import { afterAll, describe, expect, test } from "vitest";
import { type Harness, type Ran, start } from "./harness.ts";

const kernel = start();
afterAll(() => kernel[Symbol.asyncDispose]());

/** Generous beside the 100 ms that are promised: the tests share their machine. */
const SOON_MS = 1_000;

/** Interrupts a cell once a timer of its own has said that it waits. */
async function stopOnceWaiting(code: string): Promise<Ran> {
  const mark = `waiting ${Math.random()}`;
  const running = kernel.run(`setTimeout(() => process.stdout.write(${JSON.stringify(mark)}), 5); ${code}`);
  await kernel.until((output) => output.type === "stream" && output.text.includes(mark));
  await kernel.evaluator.interrupt();
  return await running;
}

/** Runs a cell, interrupts it once it has said "go" (at its beginning, or where the code has GO), and tells how long it took from there. */
async function stop(code: string, on: Harness = kernel): Promise<Ran & { readonly took: number }> {
  const mark = `go ${Math.random()}`;
  const go = `process.stdout.write(${JSON.stringify(mark)})`;
  const running = on.run(code.includes("GO") ? code.replace("GO", go) : `${go}; ${code}`);
  await on.until((output) => output.type === "stream" && output.text.includes(mark));
  const begin = performance.now();
  await on.evaluator.interrupt();
  const ran = await running;
  return { ...ran, took: performance.now() - begin };
}

describe("an interrupt stops, and keeps all state after,", () => {
  const kinds: Record<string, string> = {
    "a synchronous loop": "while (true) turns++",
    "a loop in a function of an older cell": "spin()",
    "a long await": "await Bun.sleep(60_000)",
    "an await of a promise that never settles": "await new Promise(() => {})",
    "an await inside functions": "const wait = async () => { await Bun.sleep(60_000) }; await wait()",
    "a loop after an await": "await Bun.sleep(1); GO; while (true) turns++",
    "a loop after an await of a file": "await Bun.file('/etc/hostname').text(); GO; while (true) turns++",
    "a loop of awaits that are ready": "while (true) { await 0; turns++ }",
    "a loop of sleeps": "while (true) { await Bun.sleep(1); turns++ }",
    "a `for await` over an endless source":
      "for await (const x of (async function* () { while (true) { await Bun.sleep(1); yield 1 } })()) turns++",
    "a `for await` over a stalled source":
      "for await (const x of (async function* () { await new Promise(() => {}) })()) turns++",
    "a loop in a timer's callback that the cell waits for":
      "await new Promise(() => setTimeout(() => { GO; while (true) turns++ }, 1))",
    "a loop in a promise's callback": "await Bun.sleep(1).then(() => { GO; while (true) turns++ })",
    "a loop in an array method": "[1].forEach(() => { while (true) turns++ })",
    "a loop in a getter of the result": "({ get [Symbol.for('Jupyter.display')]() { while (true) turns++ } })",
    "a synchronous child process": "Bun.spawnSync(['sleep', '60'])",
    "an awaited child process": "await Bun.spawn(['sleep', '60']).exited",
    "a shell command": "await Bun.$`sleep 60`",
    "a sort with an endless comparison": "[3, 2, 1].sort(() => { while (true) turns++ })",
  };
  for (const [kind, code] of Object.entries(kinds)) {
    test(kind, async () => {
      await kernel.run("var turns = 0; const kept = { sum: 42 }; function spin() { while (true) turns++ }");
      const ran = await stop(code);
      expect(ran.result).toMatchObject({ status: "error", ename: "InterruptedError" });
      expect(ran.took).toBeLessThan(SOON_MS);
      expect((await kernel.run("kept.sum")).value).toBe("42");
      expect(kernel.log).toEqual([]);
    });
  }
});

test("an interrupt leaves the processes alone that earlier cells have started", async () => {
  const { value } = await kernel.run("var server = Bun.spawn(['sleep', '300']); server.pid");
  await Bun.sleep(60);
  const ran = await stop("await Bun.spawn(['sleep', '60']).exited");
  expect(ran.result).toMatchObject({ ename: "InterruptedError" });
  expect(() => process.kill(Number(value), 0)).not.toThrow();
  expect((await kernel.run("[server.exitCode, server.signalCode]; server.killed")).value).toBe("false");
  await kernel.run("server.kill(); await server.exited");
});

test("an interrupt runs `finally` blocks of what awaits, and can be caught there", async () => {
  const ran = await stopOnceWaiting("try { await Bun.sleep(60_000) } finally { console.log('cleaned up') }");
  expect(ran.stdout).toContain("cleaned up\n");
  const caught = await stopOnceWaiting(
    "try { await Bun.sleep(60_000) } catch (error) { console.log(error.name) }; 'went on'",
  );
  expect(caught.stdout).toContain("InterruptedError\n");
  expect(caught.value).toContain("went on");
});

test("a cell that swallows the interrupt is given up after a second, with its state", async () => {
  const ran = await stopOnceWaiting(
    "var swallowed = 0; while (true) { try { await Bun.sleep(5) } catch { swallowed++ } }",
  );
  expect(ran.result).toMatchObject({ status: "error", ename: "InterruptedError" });
  expect((await kernel.run("swallowed")).value).toBe("1");
});

test("the traceback tells where the cell was waiting", async () => {
  const running = kernel.run("process.stdout.write('waiting');\nconst x = 1;\nawait Bun.sleep(60_000)");
  await kernel.until((output) => output.type === "stream" && output.text.includes("waiting"));
  await kernel.evaluator.interrupt();
  const { traceback } = await running;
  expect(traceback).toContain("InterruptedError");
  expect(traceback).toMatch(/> 3 \| await Bun\.sleep/);
});

test("an interrupt while nothing runs does nothing", async () => {
  await kernel.evaluator.interrupt();
  await kernel.evaluator.interrupt();
  expect((await kernel.run("1 + 1")).value).toBe("2");
  expect(kernel.log).toEqual([]);
});

test("an interrupt stops a loop in a timer's callback after its cell has ended", async () => {
  const before = await kernel.run("setTimeout(() => { process.stdout.write('spinning'); while (true) ; }, 5); 0");
  await kernel.until((output) => output.type === "stream" && output.text.includes("spinning"));
  await kernel.evaluator.interrupt();
  expect((await kernel.run("'free again'")).value).toContain("free again");
  expect(kernel.text(before.id, "stderr")).toContain("interrupted");
});

test("interrupts right after each other, and right after a cell begins, are not lost", async () => {
  for (let round = 0; round < 10; round++) {
    const running = kernel.run("while (true) ;");
    await kernel.evaluator.interrupt();
    expect((await running).result).toMatchObject({ ename: "InterruptedError" });
  }
  expect((await kernel.run("'still here'")).value).toContain("still here");
});

test("what cannot be stopped says so after two seconds; a second interrupt restarts, and the next cell says that state was lost", async () => {
  await using own = start();
  await own.run(
    "const precious = 1; const library = new Function('return (async () => { await Bun.sleep(20); for (;;) ; })()')",
  );
  const running = own.run("process.stdout.write('stuck'); await library()");
  await own.until((output) => output.type === "stream" && output.text.includes("stuck"));
  await Bun.sleep(100);
  const begin = performance.now();
  await own.evaluator.interrupt();
  const told = await own.until((output) => output.type === "stream" && output.text.includes("Interrupt once more"));
  expect(performance.now() - begin).toBeGreaterThan(1_900);
  expect(told.type === "stream" && told.text).toContain("Cell [2] (process.stdout.write('stuck'); await library())");
  await own.evaluator.interrupt();
  const ran = await running;
  expect(ran.result).toMatchObject({ status: "error", ename: "EvaluatorEnded" });
  const next = await own.run("typeof precious");
  expect(next.value).toContain("undefined");
  expect(next.stderr).toContain("lost");
  expect((await own.run("1")).stderr).toBe("");
});
