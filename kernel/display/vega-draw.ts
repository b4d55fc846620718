// Draws a Vega or Vega-Lite specification to SVG and PNG without a browser. It loads vega, vega-lite and resvg, half a
// second of work and tens of megabytes: import it lazily (vega.ts does). No bundle and no recognition is here.
import { pathToFileURL } from "node:url";
import { Resvg } from "@resvg/resvg-js";
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { fontFamily, fontFiles, textWidth } from "./font.ts";
import type { VegaDialect } from "./vega.ts";

/** Size in CSS pixels. */
export interface Drawing {
  readonly svg: string;
  readonly pngBase64: string;
  readonly width: number;
  readonly height: number;
}

interface TextItem {
  readonly fontSize?: number;
  readonly fontWeight?: string | number;
}

// Without a canvas vega guesses 0.8 em a character, which leaves wide gaps beside axes. vega reads this hook of
// vega-scenegraph at each call; its types do not list it.
const { textMetrics } = vega as unknown as { textMetrics: { width: (item: TextItem, text: unknown) => number } };
textMetrics.width = (item, text) => {
  const weight = item.fontWeight ?? "normal";
  const bold = weight === "bold" || weight === "bolder" || Number(weight) >= 600;
  return textWidth(text === null || text === undefined ? "" : String(text), item.fontSize ?? 11, bold);
};

/**
 * @throws {Error} of vega or vega-lite, for a specification they cannot compile, or data that cannot be loaded.
 */
export async function drawVega(
  spec: Readonly<Record<string, unknown>>,
  dialect: VegaDialect,
  pixelRatio: number,
): Promise<Drawing> {
  const problems: string[] = [];
  const logger = quietLogger(problems);
  const vegaSpec = dialect === "vega-lite" ? compileLite(spec, logger) : (spec as unknown as vega.Spec);
  const loader = vega.loader({ baseURL: pathToFileURL(`${process.cwd()}/`).href });
  const view = new vega.View(vega.parse(vegaSpec), { renderer: "none", loader, logger: logger as never });
  try {
    const svg = await within(drawMs, view.toSVG());
    if (problems.length > 0) throw new Error(problems.join("; "));
    const png = drawPng(svg, pixelRatio);
    return { svg, ...png };
  } finally {
    view.finalize();
  }
}

/** vega-lite's own marks, and those it makes of several. */
const marks: readonly string[] =
  "arc area bar boxplot circle errorband errorbar geoshape image line point rect rule square text tick trail".split(
    " ",
  );

/** vega-lite trips over a mark that it does not know in a place that says nothing of marks. */
function compileLite(spec: Readonly<Record<string, unknown>>, logger: object): vega.Spec {
  try {
    return compile(spec as unknown as TopLevelSpec, { logger: logger as never }).spec;
  } catch (error) {
    const mark = unknownMark(spec);
    if (mark === null) throw error;
    throw new TypeError(`the mark is ${mark}; expected one of ${marks.join(", ")}`, { cause: error });
  }
}

/** The first mark of a specification or of its parts that is none, as text. */
function unknownMark(spec: unknown): string | null {
  if (typeof spec !== "object" || spec === null) return null;
  const { mark, layer, concat, hconcat, vconcat, spec: inner } = spec as Readonly<Record<string, unknown>>;
  const type = (mark as { type?: unknown } | null | undefined)?.type ?? mark;
  if (mark !== undefined && !marks.includes(type as string)) return JSON.stringify(type);
  for (const part of [layer, concat, hconcat, vconcat, inner].flat()) {
    const found = unknownMark(part);
    if (found !== null) return found;
  }
  return null;
}

/** Data may come from a server that does not answer; the front end gets the specification all the same. */
const drawMs = 10_000;

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`its data did not come within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** SVG text → PNG, with the width and height the SVG asks for. */
export function drawPng(svg: string, pixelRatio: number): { pngBase64: string; width: number; height: number } {
  const resvg = new Resvg(svg, {
    fitTo: { mode: "zoom", value: pixelRatio },
    font: {
      fontFiles: fontFiles(),
      loadSystemFonts: needsSystemFonts(svg),
      defaultFontFamily: fontFamily,
      sansSerifFamily: fontFamily,
      serifFamily: fontFamily,
      monospaceFamily: fontFamily,
    },
  });
  const image = resvg.render();
  return {
    pngBase64: image.asPng().toString("base64"),
    width: Math.round(image.width / pixelRatio),
    height: Math.round(image.height / pixelRatio),
  };
}

/** Scanning the machine's fonts takes tens of milliseconds: only for letters or families that ours does not have. */
function needsSystemFonts(svg: string): boolean {
  if (/[^\u0000-\u052f\u1e00-\u23ff\u25a0-\u25ff\ufb00-\ufb06]/.test(svg)) return true;
  for (const [, family] of svg.matchAll(/font-family="([^"]*)"/g)) {
    if (!/^\s*(sans-serif|arial|helvetica|arimo)\b/i.test(family as string)) return true;
  }
  return false;
}

/** vega's logger: errors are kept, other warnings are for the front end's own console. */
function quietLogger(problems: string[]): object {
  const logger: Record<string, (...messages: unknown[]) => unknown> = {
    level: () => logger,
    error: (...messages) => {
      problems.push(
        messages.map((message) => (message instanceof Error ? message.message : String(message))).join(" "),
      );
      return logger;
    },
    // A file that is not there is only a warning to vega; here it is the reason why the plot is empty.
    warn: (...messages) => {
      if (messages[0] === "Loading failed") problems.push(`loading ${messages.slice(1).map(String).join(": ")} failed`);
      return logger;
    },
    info: () => logger,
    debug: () => logger,
  };
  return logger;
}
