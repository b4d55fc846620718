// Values that say by the display symbol how they are shown: html, markdown, svg, latex, image, json. Each works as a
// function and as a template tag. They only make values; showing them is kernel/index.ts's (or a cell's last line).
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { asBytes, type Bundle, type MimeBundle } from "./bundle.ts";
import { escapeHtml } from "./escape.ts";
import { imageBundle, imageMime } from "./image.ts";
import { plainText } from "./plain.ts";
import { displaySymbol } from "./symbol.ts";

/** A value with a rich representation: the last value of a cell, or the argument of `display`. */
export interface Displayable {
  [displaySymbol](): MimeBundle | Bundle | Promise<MimeBundle | Bundle>;
}

/** Text of one kind of markup. `toString` gives the markup itself. */
export interface Markup extends Displayable {
  toString(): string;
}

/** `tag("text")` takes the text as it is; tag`…${value}…` takes the template's text, and values as described there. */
export type MarkupTag = (text: string | TemplateStringsArray, ...values: readonly unknown[]) => Markup;

const markupMime: unique symbol = Symbol("mime");

interface OwnMarkup extends Markup {
  readonly [markupMime]: string;
}

function makeMarkup(mime: string, text: string, shown: string = text): Markup {
  const markup: OwnMarkup = {
    [markupMime]: mime,
    [displaySymbol]: () => ({ [mime]: shown, "text/plain": text }),
    toString: () => text,
  };
  return markup;
}

function makeTag(mime: string, valueText: (value: unknown) => string, shown?: (text: string) => string): MarkupTag {
  return (text, ...values) => {
    if (typeof text === "string") return makeMarkup(mime, text, shown?.(text));
    const whole = text.raw.reduce((before, part, index) => `${before}${valueText(values[index - 1])}${part}`);
    const dedented = dedent(whole);
    return makeMarkup(mime, dedented, shown?.(dedented));
  };
}

/** Values inside html`…` and svg`…` are escaped, unless they are html or svg themselves (or lists of such). */
function escapeUnlessMarkup(value: unknown): string {
  if (value === null || value === undefined || value === false) return "";
  if (Array.isArray(value)) return value.map(escapeUnlessMarkup).join("");
  const mime = typeof value === "object" ? (value as Partial<OwnMarkup>)[markupMime] : undefined;
  return mime === "text/html" || mime === "image/svg+xml" ? String(value) : escapeHtml(String(value));
}

/** Takes away what all lines are indented by, so that a template may be indented like the code around it. */
function dedent(text: string): string {
  const lines = text
    .replace(/^[ \t]*\n/, "")
    .replace(/\n[ \t]*$/, "")
    .split("\n");
  const indents = lines.filter((line) => line.trim() !== "").map((line) => /^[ \t]*/.exec(line)?.[0].length ?? 0);
  const common = indents.length === 0 ? 0 : Math.min(...indents);
  return lines.map((line) => line.slice(common)).join("\n");
}

/** HTML: html("<b>raw</b>"), or html`<b>${escaped}</b>`. */
export const html: MarkupTag = makeTag("text/html", escapeUnlessMarkup);

/** Markdown: markdown("# Title") or markdown`# Title`. */
export const markdown: MarkupTag = makeTag("text/markdown", String);

/** SVG: svg("<svg …>") or svg`<svg …>${escaped}</svg>`. */
export const svg: MarkupTag = makeTag("image/svg+xml", escapeUnlessMarkup);

/** TeX: latex`\frac{1}{2}`; shown as a displayed formula where it has no delimiters of its own. */
export const latex: MarkupTag = makeTag("text/latex", String, (text) =>
  /\$|\\\(|\\\[|\\begin\b/.test(text) ? text : `$$${text}$$`,
);

export interface ImageOptions {
  /** Pixels on the page. */
  readonly width?: number;
  readonly height?: number;
}

/**
 * An image: encoded bytes, a Blob, a path in the notebook's folder, or a `file:`, `data:` or `http(s):` URL. The type is
 * told from the content. It is read when it is shown.
 *
 * @throws {TypeError} (when shown) for content that is not PNG, JPEG, GIF, WebP or SVG.
 */
export function image(source: string | URL | Blob | ArrayBuffer | Uint8Array, options: ImageOptions = {}): Displayable {
  return { [displaySymbol]: async () => readImage(source, options) };
}

async function readImage(
  source: string | URL | Blob | ArrayBuffer | Uint8Array,
  options: ImageOptions,
): Promise<Bundle> {
  const bytes = await readBytes(source);
  const metadata: Record<string, unknown> = {};
  if (options.width !== undefined) metadata.width = options.width;
  if (options.height !== undefined) metadata.height = options.height;
  const mime = imageMime(bytes);
  if (mime !== null) return imageBundle(bytes, mime, metadata);
  const text = new TextDecoder().decode(bytes.subarray(0, 1000));
  if (/^\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)?(<!DOCTYPE[^>]*>\s*)?<svg[\s>]/i.test(text)) {
    const mimeSvg = "image/svg+xml";
    return {
      data: { [mimeSvg]: new TextDecoder().decode(bytes), "text/plain": "SVG image" },
      metadata: { [mimeSvg]: metadata },
    };
  }
  const name = typeof source === "string" || source instanceof URL ? String(source).slice(0, 100) : "the bytes given";
  const start = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  throw new TypeError(
    `${name}: expected a PNG, JPEG, GIF, WebP or SVG image, found ${bytes.length} bytes that begin with ${start}.`,
  );
}

async function readBytes(source: string | URL | Blob | ArrayBuffer | Uint8Array): Promise<Uint8Array> {
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  const bytes = asBytes(source);
  if (bytes !== null) return bytes;
  const text = String(source);
  if (/^(https?|data|blob):/i.test(text)) {
    const response = await fetch(text);
    if (!response.ok)
      throw new Error(`${text}: the server answered ${response.status} ${response.statusText}; expected an image.`);
    return new Uint8Array(await response.arrayBuffer());
  }
  return readFileSync(text.startsWith("file:") ? fileURLToPath(text) : text);
}

export interface JsonOptions {
  /** Show the tree with its branches open. */
  readonly expanded?: boolean;
  /** The name of the tree's root. */
  readonly root?: string;
}

/** A value as a tree that can be folded (application/json). */
export function json(value: unknown, options: JsonOptions = {}): Displayable {
  return {
    [displaySymbol]: () => ({
      data: { "application/json": value, "text/plain": plainText(value) },
      metadata: { "application/json": { expanded: options.expanded ?? false, root: options.root ?? "root" } },
    }),
  };
}
