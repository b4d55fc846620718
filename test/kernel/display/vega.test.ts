// Vega and Vega-Lite specifications to the bundle that stock JupyterLab 4.6 draws. That Lab really draws it is seen in
// test/notebooks/; here are the types, and the drawing on the kernel's side, its text included.

import { describe, expect, test } from "vitest";
import { textWidth } from "#kernel/display/font.ts";
import { formatValue } from "#kernel/display/format.ts";
import { pngSize } from "#kernel/display/image.ts";
import { drawPng } from "#kernel/display/vega-draw.ts";

const schema = (name: string): string => `https://vega.github.io/schema/${name}.json`;

const bars = {
  $schema: schema("vega-lite/v6"),
  title: "Accuracy",
  data: { values: [{ task: "a rather long task name", accuracy: 0.5 }] },
  mark: "bar",
  encoding: { x: { field: "task" }, y: { field: "accuracy", type: "quantitative" } },
};

const dot = {
  $schema: schema("vega/v6"),
  width: 20,
  height: 20,
  marks: [{ type: "symbol", encode: { enter: { x: { value: 10 }, y: { value: 10 }, fill: { value: "red" } } } }],
};

describe("a Vega-Lite specification", () => {
  test("goes out under the type Lab draws, with SVG, PNG and text, and without HTML", async () => {
    const { data, metadata } = await formatValue(bars);
    expect(Object.keys(data).sort()).toEqual([
      "application/vnd.vegalite.v5+json",
      "image/png",
      "image/svg+xml",
      "text/plain",
    ]);
    expect(data["application/vnd.vegalite.v5+json"]).toEqual(bars);
    expect(data["image/svg+xml"]).toMatch(/^<svg[\s\S]*a rather long task name[\s\S]*<\/svg>$/);
    const size = pngSize(new Uint8Array(Buffer.from(data["image/png"] as string, "base64")));
    const { width, height } = metadata["image/png"] as { width: number; height: number };
    // Two pixels a CSS pixel.
    expect(Math.abs((size?.width ?? 0) - 2 * width)).toBeLessThanOrEqual(1);
    expect(Math.abs((size?.height ?? 0) - 2 * height)).toBeLessThanOrEqual(1);
  });

  for (const [version, mime] of [
    ["v3", "application/vnd.vegalite.v3+json"],
    ["v4.17.0", "application/vnd.vegalite.v4+json"],
    ["v5", "application/vnd.vegalite.v5+json"],
    ["v5.6.1", "application/vnd.vegalite.v5+json"],
    ["v6.4.1", "application/vnd.vegalite.v5+json"],
  ] as const) {
    test(`of schema ${version} is sent as ${mime}`, async () => {
      const { data } = await formatValue({ ...bars, $schema: schema(`vega-lite/${version}`) });
      expect(data).toHaveProperty([mime]);
      expect(data).toHaveProperty(["image/png"]);
    });
  }

  test("of a builder with toSpec() is taken, with or without a schema", async () => {
    const { $schema: _schema, ...bare } = bars;
    for (const spec of [bars, bare, JSON.stringify(bars)]) {
      const { data } = await formatValue({ toSpec: () => spec });
      expect(data).toHaveProperty(["application/vnd.vegalite.v5+json", "mark"], "bar");
    }
    expect(Object.keys((await formatValue({ toSpec: () => ({ unrelated: 1 }) })).data)).toEqual(["text/plain"]);
  });

  test("that cannot be drawn here still goes out, with the reason", async () => {
    const missing = await formatValue({ ...bars, data: { url: "no-such-file.csv" } });
    expect(missing.data).toHaveProperty(["application/vnd.vegalite.v5+json"]);
    expect(missing.data["text/plain"]).toMatch(/not drawn by the kernel: .*no-such-file\.csv/);
    const wrong = await formatValue({ ...bars, mark: "no-such-mark" });
    expect(wrong.data["text/plain"]).toMatch(/not drawn by the kernel/);
    const message = /not drawn by the kernel: the mark is "barr"; expected one of arc, area, bar, /;
    for (const spec of [{ mark: "barr" }, { mark: { type: "barr" } }, { layer: [{ mark: "bar" }, { mark: "barr" }] }]) {
      const { mark: _mark, ...rest } = bars;
      expect((await formatValue({ ...rest, ...spec })).data["text/plain"]).toMatch(message);
    }
  });

  test("given by the display symbol or under Altair's name is completed", async () => {
    for (const mime of [
      "application/vnd.vegalite.v5+json",
      "application/vnd.vegalite.v6+json",
      "application/vnd.vegalite.v6.json",
    ]) {
      const { data } = await formatValue({
        [Symbol.for("Jupyter.display")]: () => ({ [mime]: bars, "text/plain": "mine" }),
      });
      expect(Object.keys(data).sort()).toEqual([
        "application/vnd.vegalite.v5+json",
        "image/png",
        "image/svg+xml",
        "text/plain",
      ]);
      expect(data["text/plain"]).toBe("mine");
    }
  });
});

describe("a Vega specification", () => {
  for (const version of ["v5", "v6"]) {
    test(`of schema ${version} is sent as application/vnd.vega.v5+json and drawn`, async () => {
      const { data } = await formatValue({ ...dot, $schema: schema(`vega/${version}`) });
      expect(data).toHaveProperty(["application/vnd.vega.v5+json"]);
      expect(data["image/svg+xml"]).toContain('fill="red"');
      expect(data["text/plain"]).toBe("Vega plot");
    });
  }
});

describe("text in a PNG", () => {
  const svg = (text: string): string =>
    `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="30"><text x="5" y="20" font-family="sans-serif" font-size="14">${text}</text></svg>`;

  test("is drawn with the font that comes with the kernel", () => {
    // The machine's own fonts are not asked for Latin text, so this holds on a machine that has none.
    const empty = drawPng(svg(""), 1).pngBase64;
    const latin = drawPng(svg("Accuracy ± 0.5 Ωμ"), 1).pngBase64;
    expect(latin.length).toBeGreaterThan(empty.length + 500);
  });

  test("is measured as wide as it is drawn", () => {
    // Advance widths of the font, whose widths are those of Arial: "A" 0.667 em, "i" 0.222 em, bold "A" 0.722 em.
    expect(textWidth("A", 1000, false)).toBeCloseTo(667, 0);
    expect(textWidth("i", 1000, false)).toBeCloseTo(222, 0);
    expect(textWidth("A", 1000, true)).toBeCloseTo(722, 0);
    expect(textWidth("", 1000, false)).toBe(0);
    expect(textWidth("\u{1f600}", 10, false)).toBeGreaterThan(0);
  });
});
