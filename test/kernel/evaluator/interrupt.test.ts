// Stopping what runs: within 100 ms, with state kept; and what happens to work that cannot be stopped.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Harness, type Ran, start } from "./harness.ts";

const kernel = start();
afterAll(() => kernel[Symbol.asyncDispose]());

/** The promise is 100 ms, but the tests share their machine. Before the two seconds after which a first interrupt has failed, in any case. */
const SOON_MS = 1_900;

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
    "a loop in a timer of `node:timers`":
      "const timers = await import('node:timers'); await new Promise(() => timers.setTimeout(() => { GO; while (true) turns++ }, 1))",
    "a loop after a sleep of `node:timers/promises`":
      "const sleeps = await import('node:timers/promises'); await sleeps.setTimeout(1); GO; while (true) turns++",
    "a loop in a file's callback":
      "import { readFile } from 'node:fs'; await new Promise(() => readFile('/etc/hostname', () => { GO; while (true) turns++ }))",
    "a loop in an event emitter's listener":
      "import { createServer, connect } from 'node:net'; await new Promise(() => { const tcp = createServer(() => { GO; while (true) turns++ }).listen(0, '127.0.0.1', () => connect(tcp.address().port, '127.0.0.1')) })",
    "a loop in a handler of Bun.serve":
      "const web = Bun.serve({ port: 0, fetch() { GO; while (true) turns++ } }); await fetch(web.url)",
    "a loop in a route of Bun.serve":
      "const routed = Bun.serve({ port: 0, routes: { '/': { GET: () => { GO; while (true) turns++ } } } }); await fetch(routed.url)",
    "a loop in a handler of Bun.listen":
      "const raw = Bun.listen({ port: 0, hostname: '127.0.0.1', socket: { open() { GO; while (true) turns++ }, data() {} } }); await Bun.connect({ port: raw.port, hostname: '127.0.0.1', socket: { data() {} } }); await new Promise(() => {})",
    "a loop in a message's listener":
      "const { port1, port2 } = new MessageChannel(); port1.onmessage = () => { GO; while (true) turns++ }; port2.postMessage(1); await new Promise(() => {})",
    "a loop in an event listener":
      "AbortSignal.timeout(1).addEventListener('abort', () => { GO; while (true) turns++ }); await new Promise(() => {})",
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

test("an interrupt stops the code of a module that a cell imports; the next import runs it anew", async () => {
  writeFileSync(
    join(kernel.cwd, "endless.ts"),
    "process.stdout.write('imported'); export const value = 1;\nif (!(globalThis as any).calm) for (;;) ;",
  );
  const running = kernel.run("const { value: endless } = await import('./endless.ts'); endless");
  await kernel.until((output) => output.type === "stream" && output.text.includes("imported"));
  await kernel.evaluator.interrupt();
  expect((await running).result).toMatchObject({ ename: "InterruptedError" });
  const again = await kernel.run("globalThis.calm = true; (await import('./endless.ts')).value");
  expect(again.value, again.traceback).toBe("1");
});

describe("an interrupt stops what follows a wait of the kernel's own, at its first use:", () => {
  const turn = "const end = performance.now() + 20; while (performance.now() < end);";
  const vega = (data: string): string =>
    `({ $schema: "https://vega.github.io/schema/vega-lite/v6.json", data: ${data}, mark: "point" })`;
  const shown: Record<string, string> = {
    "a plot": vega("{ values: [{ a: 1 }] }"),
    "a plot whose data is a file": vega('{ url: "rows.json" }'),
    "an element that React's renderer must draw":
      '({ $$typeof: Symbol.for("react.element"), type: () => { throw new Error("hooks") }, props: {} })',
    "an image in a file": 'Bun.file("dot.svg")',
  };
  for (const [kind, value] of Object.entries(shown)) {
    test(`${kind} that a module shows in a loop`, async () => {
      await using own = start();
      mkdirSync(join(own.cwd, "node_modules/react-dom"), { recursive: true });
      writeFileSync(
        join(own.cwd, "node_modules/react-dom/package.json"),
        '{ "name": "react-dom", "version": "0.0.0", "type": "module", "exports": { "./server": "./server.js" } }',
      );
      writeFileSync(
        join(own.cwd, "node_modules/react-dom/server.js"),
        "await Bun.sleep(1); export const renderToStaticMarkup = () => '<i></i>';",
      );
      writeFileSync(join(own.cwd, "dot.svg"), "<svg xmlns='http://www.w3.org/2000/svg'></svg>");
      writeFileSync(join(own.cwd, "rows.json"), '[{ "a": 1 }]');
      writeFileSync(
        join(own.cwd, "loop.ts"),
        `export async function loop(show: (value: unknown, options: object) => Promise<void>, value: unknown) {
  for (let i = 0; i < 400; i++) {
    if (i === 1) { await show(value, { displayId: "x" }); process.stdout.write("shown"); }
    ${turn}
    await 0;
  }
}`,
      );
      await own.run("import { display } from 'bunsen/kernel'; import { loop } from './loop.ts'; const kept = 42");
      const running = own.run(`await loop(display, ${value})`);
      await own.until((output) => output.type === "stream" && output.text.includes("shown"));
      const begin = performance.now();
      await own.evaluator.interrupt();
      expect((await running).result).toMatchObject({ status: "error", ename: "InterruptedError" });
      expect(performance.now() - begin).toBeLessThan(SOON_MS);
      expect((await own.run("kept")).value).toBe("42");
      expect(own.log).toEqual([]);
    });
  }

  test("the display room, for a value that shows itself", async () => {
    await using own = start();
    const code = "({ get [Symbol.for('Jupyter.display')]() { GO; while (true); } })";
    const ran = await stop(code, own);
    expect(ran.result).toMatchObject({ status: "error", ename: "InterruptedError" });
    expect(ran.took).toBeLessThan(SOON_MS);
  });

  test("an interrupt that comes during the wait ends what waits, and it does not go on later", async () => {
    await using own = start();
    writeFileSync(
      join(own.cwd, "after.ts"),
      `export async function after(show: (value: unknown) => Promise<void>, value: unknown) {
  setTimeout(() => process.stdout.write("waiting"), 5);
  await show(value);
  (globalThis as any).wentOn = true;
}`,
    );
    await own.run("var wentOn = false; import { display } from 'bunsen/kernel'; import { after } from './after.ts'");
    const late = "{ [Symbol.for('Jupyter.display')]: () => Bun.sleep(300).then(() => ({ 'text/plain': 'late' })) }";
    const running = own.run(`await after(display, ${late})`);
    await own.until((output) => output.type === "stream" && output.text.includes("waiting"));
    await own.evaluator.interrupt();
    expect((await running).result).toMatchObject({ status: "error", ename: "InterruptedError" });
    expect((await own.run("await Bun.sleep(500); wentOn")).value).toBe("false");
    expect((await own.run("display(1)")).outputs.map(({ type }) => type)).toContain("display_data");
  });
});

test("a display that was interrupted while it was drawn can be shown again under its id", async () => {
  await kernel.run(`import { display } from "bunsen/kernel"; const slow = (ms) => ({
  [Symbol.for("Jupyter.display")]: async () => {
    await 0; process.stdout.write("drawing");
    const end = performance.now() + ms; while (performance.now() < end);
    return { "text/plain": "drawn" };
  },
})`);
  const running = kernel.run("await display(slow(60_000), { displayId: 'slow' })");
  await kernel.until((output) => output.type === "stream" && output.text.includes("drawing"));
  await kernel.evaluator.interrupt();
  expect((await running).result).toMatchObject({ ename: "InterruptedError" });
  const again = await Promise.race([kernel.run("await display(slow(1), { displayId: 'slow' })"), Bun.sleep(10_000)]);
  expect(again?.outputs.map(({ type }) => type)).toContain("display_data");
});

test("a module that awaits at its top is imported once, whole", async () => {
  writeFileSync(
    join(kernel.cwd, "awaits.ts"),
    "globalThis.timesRun = (globalThis.timesRun ?? 0) + 1; await Bun.sleep(1); export const after = 7;",
  );
  expect((await kernel.run("import { after } from './awaits.ts'; [after, timesRun].join()")).value).toBe("'7,1'");
});

test("listeners that were added can be removed, and are what they were", async () => {
  const ran = await kernel.run(`let calls = 0;
const listener = () => calls++, events = new EventTarget();
events.addEventListener('x', listener); events.dispatchEvent(new Event('x'));
events.removeEventListener('x', listener); events.dispatchEvent(new Event('x'));
const channel = new MessageChannel(); channel.port1.onmessage = listener;
const same = channel.port1.onmessage === listener;
channel.port1.onmessage = null; channel.port1.close();
[calls, same].join()`);
  expect(ran.value, ran.traceback).toBe("'1,true'");
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
  // Written by a timer: when it comes, the cell has reached its last line, also on a busy machine.
  const running = kernel.run(
    "setTimeout(() => process.stdout.write('waiting'));\nconst x = 1;\nawait Bun.sleep(60_000)",
  );
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
