// What cells import as `bunsen/kernel`, against a runtime that records what it is told, and with none at all. The real
// runtime is tested with the evaluator.
import { afterEach, describe, expect, test } from "vitest";
import { KERNEL_RUNTIME, type KernelRuntime } from "#kernel/evaluator/runtime.ts";
import * as kernel from "#kernel/index.ts";

type Call = readonly [name: string, ...values: unknown[]];

type Data = Record<string, unknown>;

/** The data of the last output. */
function lastData(calls: readonly Call[]): Data {
  const output = calls.at(-1)?.[1] as { data: Data } | undefined;
  if (output === undefined) throw new Error("Nothing was published.");
  return output.data;
}

/** A runtime that writes down each call. */
function record(): Call[] {
  const calls: Call[] = [];
  const runtime = new Proxy({} as KernelRuntime, {
    get: (_target, name) => {
      return (...values: unknown[]) => {
        calls.push([String(name), ...values]);
        return name === "input" ? Promise.resolve("typed") : undefined;
      };
    },
  });
  (globalThis as Record<symbol, unknown>)[KERNEL_RUNTIME] = runtime;
  return calls;
}

afterEach(() => {
  delete (globalThis as Record<symbol, unknown>)[KERNEL_RUNTIME];
});

describe("display", () => {
  test("publishes plain values before it returns", () => {
    const calls = record();
    void kernel.display(2);
    expect(calls).toEqual([["display", { data: { "text/plain": "2" }, metadata: {} }]]);
  });

  test("names, updates and annotates outputs", async () => {
    const calls = record();
    await kernel.display(1, { displayId: "d", metadata: { "text/plain": { a: 1 } } });
    await kernel.display(2, { displayId: "d", update: true });
    await kernel.update("d", 3);
    expect(calls).toEqual([
      ["display", { data: { "text/plain": "1" }, metadata: { "text/plain": { a: 1 } }, displayId: "d" }],
      ["updateDisplay", { data: { "text/plain": "2" }, metadata: {}, displayId: "d" }],
      ["updateDisplay", { data: { "text/plain": "3" }, metadata: {}, displayId: "d" }],
    ]);
    expect(() => kernel.display(1, { update: true })).toThrow("needs the displayId");
  });

  test("sends a raw bundle as it is, bytes as base64", () => {
    const calls = record();
    void kernel.display({ "text/html": "<b>", "image/png": Uint8Array.of(1, 2) }, { raw: true });
    expect(calls).toEqual([["display", { data: { "text/html": "<b>", "image/png": "AQI=" }, metadata: {} }]]);
    expect(() => kernel.display("x", { raw: true })).toThrow("takes an object of MIME types");
  });

  test("makes the cell wait for what takes a moment, and itself shows as nothing", async () => {
    const calls = record();
    const shown = kernel.display({ [Symbol.for("Jupyter.display")]: async () => ({ "text/html": "later" }) });
    expect(calls.map(([name]) => name)).toEqual(["waitFor"]);
    await shown;
    expect(calls.map(([name]) => name)).toEqual(["waitFor", "display"]);
    expect(shown[kernel.displaySymbol]()).toEqual({});
  });

  test("shows the newest of the updates that come faster than they can be drawn, and never an old one last", async () => {
    const calls = record();
    const slow = (text: string): object => ({
      [Symbol.for("Jupyter.display")]: () => new Promise((done) => setTimeout(() => done({ "text/plain": text }), 5)),
    });
    const first = kernel.display(slow("0"), { displayId: "live" });
    const rest = [1, 2, 3].map((step) => kernel.update("live", slow(String(step))));
    rest.push(kernel.update("live", "plain"));
    await Promise.all([first, ...rest]);
    await kernel.update("live", slow("after"));
    const published = calls.filter(([name]) => name !== "waitFor");
    expect(published.map(([name, output]) => [name, (output as { data: Data }).data["text/plain"]])).toEqual([
      ["display", "0"],
      ["updateDisplay", "'plain'"],
      ["updateDisplay", "after"],
    ]);
    const failing = kernel.update("live", {
      [Symbol.for("Jupyter.display")]: async () => {
        throw new Error("mine");
      },
    });
    const behind = kernel.update("live", "behind");
    await expect(failing).rejects.toThrow("mine");
    await behind;
    expect(lastData(calls.filter(([name]) => name === "updateDisplay"))["text/plain"]).toBe("'behind'");
  });

  test("prints text outside a kernel", () => {
    const lines: unknown[] = [];
    const log = console.log;
    console.log = (line) => lines.push(line);
    try {
      void kernel.display({ a: 1 });
    } finally {
      console.log = log;
    }
    expect(lines).toEqual(["{ a: 1 }"]);
  });
});

describe("markup", () => {
  const bundle = async (value: kernel.Displayable): Promise<Record<string, unknown>> => {
    const calls = record();
    await kernel.display(value);
    return lastData(calls);
  };

  test("html`…` escapes what is put in, but not html itself, and drops the common indent", async () => {
    const rows = ["<1>", "2"].map((cell) => kernel.html`<td>${cell}</td>`);
    const table = kernel.html`
      <tr>
        ${rows}
      </tr>
    `;
    expect((await bundle(table))["text/html"]).toBe("<tr>\n  <td>&lt;1&gt;</td><td>2</td>\n</tr>");
    expect((await bundle(kernel.html("<i>raw</i>")))["text/html"]).toBe("<i>raw</i>");
  });

  test("markdown, svg, latex and json have their own types", async () => {
    expect((await bundle(kernel.markdown`# ${"Title"}`))["text/markdown"]).toBe("# Title");
    expect((await bundle(kernel.svg("<svg/>")))["image/svg+xml"]).toBe("<svg/>");
    expect((await bundle(kernel.latex`\frac{1}{2}`))["text/latex"]).toBe("$$\\frac{1}{2}$$");
    expect((await bundle(kernel.latex("so $x$ is")))["text/latex"]).toBe("so $x$ is");
    expect((await bundle(kernel.json({ a: [1n] })))["application/json"]).toEqual({ a: [1] });
    expect((await bundle(kernel.json({ a: [1] })))["text/plain"]).toBe("{ a: [ 1 ] }");
  });

  test("image reads bytes, paths and URLs, and says what is wrong with others", async () => {
    const font = new URL("../../../node_modules/@expo-google-fonts/arimo/font-family.png", import.meta.url);
    expect((await bundle(kernel.image(font)))["image/png"]).toMatch(/^iVBOR/);
    expect((await bundle(kernel.image(font.pathname, { width: 20 })))["image/png"]).toMatch(/^iVBOR/);
    expect((await bundle(kernel.image("data:image/svg+xml,%3Csvg%20/%3E")))["image/svg+xml"]).toBe("<svg />");
    await expect(kernel.display(kernel.image(Uint8Array.of(1, 2)))).rejects.toThrow(
      "expected a PNG, JPEG, GIF, WebP or SVG",
    );
    await expect(kernel.display(kernel.image("no-such.png"))).rejects.toThrow("no-such.png");
  });
});

describe("progress", () => {
  const texts = (calls: readonly Call[]): string[] =>
    calls.map(([name, output]) => `${name} ${(output as { data: Record<string, string> }).data["text/plain"]}`);

  test("shows once, updates the same display, and ends full", () => {
    const calls = record();
    const seen: string[] = [];
    for (const item of kernel.progress(["a", "b", "c"], { label: "load" })) seen.push(item);
    expect(seen).toEqual(["a", "b", "c"]);
    const lines = texts(calls);
    expect(lines[0]).toMatch(/^display load {2}─+ {2}0 % {2}0\/3/);
    expect(lines.at(-1)).toMatch(/^updateDisplay load {2}━+ {2}100 % {2}3\/3/);
    const ids = new Set(calls.map(([, output]) => (output as { displayId: string }).displayId));
    expect(ids.size).toBe(1);
    // A bar while it runs; what stays in the notebook is a line of text.
    expect(lastData(calls.slice(0, 1))).toHaveProperty(["text/html"]);
    expect(Object.keys(lastData(calls))).toEqual(["text/plain"]);
  });

  test("counts numbers, and walks asynchronous iterables without a length", async () => {
    const calls = record();
    expect([...kernel.progress(3)]).toEqual([0, 1, 2]);
    async function* stream(): AsyncGenerator<number> {
      yield 1;
      yield 2;
    }
    let sum = 0;
    for await (const item of kernel.progress(stream())) sum += item;
    expect(sum).toBe(3);
    expect(texts(calls).at(-1)).toMatch(/^updateDisplay 2 /);
  });

  test("says that it was stopped where a loop is left early or throws", () => {
    const calls = record();
    for (const index of kernel.progress(10)) if (index === 2) break;
    expect(texts(calls).at(-1)).toContain("stopped");
    expect(() => {
      using bar = kernel.progress(10);
      bar.advance(4, "loss 0.3");
      throw new Error("mine");
    }).toThrow("mine");
    expect(texts(calls).at(-1)).toMatch(/40 % {2}4\/10.*stopped {2}loss 0\.3/);
  });

  test("does not publish for each of very many steps", () => {
    const calls = record();
    for (const _ of kernel.progress(200_000));
    expect(calls.length).toBeLessThan(30);
  });

  test("escapes its label and refuses a count that is none", () => {
    const calls = record();
    kernel.progress(1, { label: "<b>" });
    expect(lastData(calls)["text/html"]).toContain("&lt;b&gt;");
    expect(() => kernel.progress(Number.NaN)).toThrow("expected a count");
  });
});

describe("the rest of the runtime", () => {
  test("is passed through: input, clear, page, comms, add", async () => {
    const calls = record();
    expect(await kernel.input("Name: ", { password: true })).toBe("typed");
    kernel.clear({ wait: true });
    await kernel.page("text");
    kernel.setNextInput("1 + 1", { replace: true });
    kernel.openComm("target", { a: 1 });
    await kernel.add("zod@^4");
    expect(calls).toEqual([
      ["input", "Name: ", { password: true }],
      ["clearOutput", true],
      ["page", { "text/plain": "'text'" }],
      ["setNextInput", "1 + 1", true],
      ["openComm", "target", { a: 1 }, {}],
      ["add", "zod@^4"],
    ]);
  });

  test("says that it needs a kernel where there is none", async () => {
    expect(() => kernel.openComm("x")).toThrow("outside a kernel");
    await expect(kernel.add("zod")).rejects.toThrow("outside a kernel");
  });
});

describe("importing bunsen/kernel", () => {
  const packagesLoadedBy = async (file: string): Promise<string[]> => {
    const url = new URL(`../../../kernel/${file}`, import.meta.url).href;
    const probe = `await import(${JSON.stringify(url)}); console.log(JSON.stringify(Object.keys(require.cache)));`;
    const child = Bun.spawn([process.execPath, "-e", probe], { stdout: "pipe", stderr: "inherit" });
    const files = JSON.parse(await new Response(child.stdout).text()) as string[];
    return files.filter((name) => name.includes("node_modules"));
  };

  test("loads no package: plots bring theirs when the first is drawn", async () => {
    expect(await packagesLoadedBy("index.ts")).toEqual([]);
    expect((await packagesLoadedBy("display/vega-draw.ts")).join()).toContain("/vega/");
  });
});
