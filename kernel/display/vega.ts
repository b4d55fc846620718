// Vega and Vega-Lite specifications → the MIME types that stock JupyterLab 4.6 draws, with an SVG and a PNG made on
// the kernel's side, so that the plot is also seen where nothing runs JavaScript. There is no text/html: Lab would
// prefer it to the plot. Recognition is here, drawing (and all that is heavy) in vega-draw.ts, loaded at first use.
import { type Bundle, type Formatter, normaliseData } from "./bundle.ts";
import { guarded } from "./guarded.ts";

export type VegaDialect = "vega" | "vega-lite";

const schemaUrl = /^https?:\/\/vega\.github\.io\/schema\/(vega|vega-lite)\/v(\d+)(?:[.\d]*)(?:-[\w.]+)?\.json#?$/;
const liteKeys = ["mark", "layer", "hconcat", "vconcat", "concat", "facet", "repeat", "spec"];

/** What a specification is, and the MIME type Lab draws it by; null for anything else. */
export function vegaKind(spec: unknown): { dialect: VegaDialect; mime: string } | null {
  if (typeof spec !== "object" || spec === null) return null;
  const schema = (spec as { $schema?: unknown }).$schema;
  const match = typeof schema === "string" ? schemaUrl.exec(schema) : null;
  if (match === null) return null;
  if (match[1] === "vega") return { dialect: "vega", mime: "application/vnd.vega.v5+json" };
  // Lab has renderers for 3, 4 and 5; its 5 draws specifications of version 6 too.
  const version = Math.min(Math.max(Number(match[2]), 3), 5);
  return { dialect: "vega-lite", mime: `application/vnd.vegalite.v${version}+json` };
}

/** The specification of a value: the value itself, or what its `toSpec()` gives (vega-lite-api, Altair-like builders). */
function readSpec(value: object): Record<string, unknown> | null {
  if (vegaKind(value) !== null) return value as Record<string, unknown>;
  const toSpec = (value as { toSpec?: unknown }).toSpec;
  if (typeof toSpec !== "function") return null;
  const made: unknown = toSpec.call(value);
  const spec: unknown = typeof made === "string" ? JSON.parse(made) : made;
  if (typeof spec !== "object" || spec === null) return null;
  if (vegaKind(spec) !== null) return spec as Record<string, unknown>;
  if (!liteKeys.some((key) => key in spec)) return null;
  return { $schema: "https://vega.github.io/schema/vega-lite/v6.json", ...spec };
}

export const vegaFormatter: Formatter = {
  name: "vega",
  runsUserCode: true,
  matches(value: object): boolean {
    return vegaKind(value) !== null || typeof (value as { toSpec?: unknown }).toSpec === "function";
  },
  async format(value: object): Promise<Bundle | null> {
    const spec = readSpec(value);
    return spec === null || !isJson(spec) ? null : vegaBundle(spec);
  },
};

/** A specification is JSON by definition; what is not (a circle, say) only looks like one, and is shown as text. */
function isJson(value: unknown): boolean {
  try {
    normaliseData({ "application/json": value });
    return true;
  } catch {
    return false;
  }
}

/** Pixels of the PNG for each CSS pixel, so that it is sharp on dense screens. */
const pixelRatio = 2;

/**
 * The full bundle of a specification. A specification that cannot be drawn here still goes to the front end, with the
 * reason in its text/plain.
 */
export async function vegaBundle(spec: Readonly<Record<string, unknown>>): Promise<Bundle> {
  const kind = vegaKind(spec);
  if (kind === null) throw new TypeError("The object has no $schema of Vega or Vega-Lite.");
  const data = normaliseData({ [kind.mime]: spec });
  const title = plotTitle(spec, kind.dialect);
  try {
    const { drawVega } = await guarded(import("./vega-draw.ts"));
    // Drawn from a copy of what the front end gets: vega marks the rows it is given.
    const drawing = await drawVega(
      structuredClone(data[kind.mime]) as Record<string, unknown>,
      kind.dialect,
      pixelRatio,
    );
    data["image/svg+xml"] = drawing.svg;
    data["image/png"] = drawing.pngBase64;
    data["text/plain"] = title;
    return { data, metadata: { "image/png": { width: drawing.width, height: drawing.height } } };
  } catch (error) {
    data["text/plain"] =
      `${title}\n(not drawn by the kernel: ${error instanceof Error ? error.message : String(error)})`;
    return { data, metadata: {} };
  }
}

function plotTitle(spec: Readonly<Record<string, unknown>>, dialect: VegaDialect): string {
  const name = dialect === "vega" ? "Vega plot" : "Vega-Lite plot";
  const { title, description } = spec;
  const text = (title as { text?: unknown } | null | undefined)?.text ?? title ?? description;
  const lines: unknown = Array.isArray(text) ? text.join(" ") : text;
  return typeof lines === "string" ? `${name}: ${lines}` : name;
}

const vegaMime = /^application\/vnd\.(vega|vegalite)\.v(\d+)[.+]json$/;

/** Whether a bundle has a Vega type under any of its names. */
export function holdsVega(data: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(data).some((mime) => vegaMime.test(mime));
}

/**
 * For bundles made by hand or by the symbol: a Vega type under any of the names in use (`vnd.vegalite.v6+json`,
 * Altair's `vnd.vegalite.v6.json`) is moved to the one Lab knows, and the drawings are added where they are missing.
 */
export async function completeVega(bundle: Bundle): Promise<Bundle> {
  for (const [mime, spec] of Object.entries(bundle.data)) {
    const match = vegaMime.exec(mime);
    if (match === null) continue;
    const schema = `https://vega.github.io/schema/${match[1] === "vega" ? "vega" : "vega-lite"}/v${match[2]}.json`;
    const full = typeof spec === "object" && spec !== null ? { $schema: schema, ...spec } : null;
    if (full === null || vegaKind(full) === null) continue;
    const drawn = await vegaBundle(full);
    const { [mime]: _moved, ...rest } = bundle.data;
    return {
      data: { ...drawn.data, ...rest },
      metadata: { ...drawn.metadata, ...bundle.metadata },
    };
  }
  return bundle;
}
