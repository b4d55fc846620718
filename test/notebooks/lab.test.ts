// The kernel as people meet it: JupyterLab in a real browser. One notebook is opened and used from top to bottom, so the
// tests here depend on each other, in order. Screenshots are left in test/output/ to be looked at.
// biome-ignore-all lint/performance/useDomNodeTextContent: what a person sees is tested, hidden text is not wanted.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findChromium, findPython, type Lab, notebook, outputFolder, startLab, waitForIdle } from "./lab.ts";

const plot = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  title: "Accuracy by task",
  width: 320,
  height: 160,
  data: {
    values: [
      { task: "sentiment", accuracy: 0.81, method: "multitask" },
      { task: "entailment", accuracy: 0.62, method: "multitask" },
      { task: "sentiment", accuracy: 0.77, method: "single" },
      { task: "entailment", accuracy: 0.55, method: "single" },
    ],
  },
  mark: "bar",
  encoding: {
    x: { field: "task" },
    xOffset: { field: "method" },
    y: { field: "accuracy", type: "quantitative" },
    color: { field: "method" },
  },
};

const cells = [
  "interface Word { text: string }\nlet kept: number = 41;\nconst words = ['alpha', 'beta'];\nkept + 1",
  `(${JSON.stringify(plot)})`,
  `import { html, progress } from "bunsen/kernel";
for (const step of progress(5, { label: "train" })) await Bun.sleep(30);
html\`<b>rich \${"<text>"}</b>\``,
  `import { tableFromArrays } from "apache-arrow";
tableFromArrays({ id: Int32Array.from({ length: 1000 }, (_, i) => i), text: Array.from({ length: 1000 }, (_, i) => \`row <\${i}>\`) })`,
  "while (true) {\n  kept++;\n}",
  "typeof kept",
  "words.",
  "Math.max(1, 2)",
  'const label: number = words.join("");\nlabel',
];

const missing = findPython() === null ? "a Python with JupyterLab" : findChromium() === null ? "Chromium" : null;
if (missing !== null)
  console.warn(`The browser tests are skipped: ${missing} is missing (BUNSEN_PYTHON, BUNSEN_CHROMIUM).`);

/** The parts of the browser's own types that are used in the page. */
interface BrowserGlobals {
  getComputedStyle(element: unknown): { readonly color: string };
}
interface Canvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: "2d"): {
    getImageData(x: number, y: number, w: number, h: number): { readonly data: Uint8ClampedArray };
  };
}

describe.skipIf(missing !== null)("JupyterLab in Chromium", () => {
  let lab: Lab;
  let page: Page;

  beforeAll(async () => {
    mkdirSync(outputFolder, { recursive: true });
    lab = await startLab({ "tour.ipynb": notebook(cells) });
    page = await lab.openNotebook("tour.ipynb");
    page.setDefaultTimeout(30_000);
  });

  beforeEach(({ onTestFailed }) => {
    onTestFailed(async ({ task }) => {
      await page.screenshot({ path: join(outputFolder, `failed-${task.name.replaceAll(/\W+/g, "-")}.png`) });
    });
  });

  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  const cell = (index: number): Locator => page.locator(".jp-Notebook .jp-CodeCell").nth(index);
  const output = (index: number): Locator => cell(index).locator(".jp-OutputArea-output");

  /** Puts the cursor at the end of a cell. */
  const edit = async (index: number): Promise<void> => {
    await cell(index).locator(".cm-content").click();
    await page.keyboard.press("Control+End");
  };
  const run = async (index: number): Promise<void> => {
    await edit(index);
    await page.keyboard.press("Control+Enter");
  };
  const prompt = (index: number, text: string): Promise<void> =>
    cell(index).locator(".jp-InputArea-prompt", { hasText: text }).waitFor();
  const screenshot = (name: string): Promise<Buffer> =>
    page.screenshot({ path: join(outputFolder, `lab-${name}.png`) });

  test("runs a cell and colours TypeScript", async () => {
    await run(0);
    await prompt(0, "[1]:");
    expect(await output(0).last().innerText()).toBe("42");
    // A mode for JavaScript would not take `interface` for a keyword.
    const colours = await cell(0).evaluate((element) => {
      const { getComputedStyle } = globalThis as unknown as BrowserGlobals;
      return [...element.querySelectorAll(".cm-line span")].map((span) => [
        span.textContent,
        getComputedStyle(span).color,
      ]);
    });
    const colour = (word: string): unknown => colours.find(([text]) => text === word)?.[1];
    expect(colour("let")).toBeDefined();
    expect(colour("interface")).toBe(colour("let"));
    expect(colour("kept")).not.toBe(colour("let"));
  });

  test("draws a Vega-Lite plot of version 6, offline", async () => {
    await run(1);
    await prompt(1, "[2]:");
    const drawn = cell(1).locator(".jp-RenderedVegaCommon5 canvas, .jp-RenderedVegaCommon5 svg.marks").first();
    await drawn.waitFor();
    const colours = await drawn.evaluate((element) => {
      const { width, height, getContext } = element as unknown as Canvas;
      const pixels = getContext.call(element, "2d").getImageData(0, 0, width, height).data;
      const seen = new Set<string>();
      for (let at = 0; at < pixels.length; at += 4) seen.add(`${pixels[at]},${pixels[at + 1]},${pixels[at + 2]}`);
      return [...seen];
    });
    // The first two colours of Vega's palette: the bars are there, not only the axes.
    expect(colours).toContain("76,120,168");
    expect(colours).toContain("245,133,24");
    await screenshot("plot");
  });

  test("shows progress in place, HTML and tables", async () => {
    await run(2);
    await prompt(2, "[3]:");
    await cell(2).locator("b", { hasText: "rich <text>" }).waitFor();
    expect(await output(2).count()).toBe(2);
    expect(await output(2).first().innerText()).toMatch(/train\s+━+\s+100 %\s+5\/5/);
    await run(3);
    await prompt(3, "[4]:");
    await cell(3).locator("table").waitFor();
    expect(await cell(3).locator("tbody tr").count()).toBe(11);
    expect(await output(3).innerText()).toContain("1,000 rows × 2 columns");
    await cell(3).scrollIntoViewIfNeeded();
    await screenshot("rich");
  });

  test("interrupts an endless loop and keeps the state", async () => {
    await run(4);
    await prompt(4, "[*]:");
    await page.keyboard.press("Escape");
    const start = performance.now();
    await page.locator('[data-command="notebook:interrupt-kernel"]').first().click();
    await prompt(4, "[5]:");
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(await output(4).last().innerText()).toMatch(/Interrupt/);
    await run(5);
    await prompt(5, "[6]:");
    expect(await output(5).last().innerText()).toBe("'number'");
    await cell(5).scrollIntoViewIfNeeded();
    await screenshot("interrupt");
  });

  test("pops up typed completions", async () => {
    await edit(6);
    await page.keyboard.type("fl");
    await page.keyboard.press("Tab");
    const popup = page.locator(".jp-Completer:not(.lm-mod-hidden)");
    await popup.locator(".jp-Completer-item", { hasText: "flatMap" }).waitFor();
    expect(await popup.locator(".jp-Completer-match").allInnerTexts()).toEqual(["flat", "flatMap"]);
    expect(await popup.locator(".jp-Completer-typeExtended").first().innerText()).toBe("method");
    await screenshot("completion");
    await page.keyboard.press("Escape");
  });

  test("shows signature and documentation on Shift-Tab", async () => {
    await edit(7);
    for (let step = 0; step < "(1, 2)".length; step++) await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Shift+Tab");
    const tooltip = page.locator(".jp-Tooltip", { hasText: "max(...values: number[]): number" });
    await tooltip.waitFor();
    expect(await tooltip.innerText()).toContain("Returns the larger of a set of supplied numeric expressions.");
    await screenshot("tooltip");
    await page.keyboard.press("Escape");
  });

  test("shows type errors as a warning, and runs the cell all the same", async () => {
    await run(8);
    await prompt(8, "[7]:");
    await cell(8).getByText("1:7 - type error TS2322: Type 'string' is not assignable to type 'number'.").waitFor();
    await cell(8).getByText("'alphabeta'").waitFor();
    await cell(8).scrollIntoViewIfNeeded();
    await screenshot("type-error");
  });

  test("restarts with a fresh state", async () => {
    await page.locator('[data-command="notebook:restart-kernel"]').first().click();
    await page.locator(".jp-Dialog .jp-mod-accept").click();
    await page.locator(".jp-Dialog").waitFor({ state: "detached" });
    await waitForIdle(page);
    await run(5);
    await prompt(5, "[1]:");
    expect(await output(5).last().innerText()).toBe("'undefined'");
    await screenshot("restart");
  });
});
