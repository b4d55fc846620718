// Images: PNG, JPEG, GIF and WebP bytes (told by their first bytes, never by a name), Blobs, and things with
// `toDataURL` (a canvas) or `outerHTML` (a DOM node). Vega's drawings are vega.ts's.
import { asBytes, type Bundle, type Formatter, toBase64 } from "./bundle.ts";

export type ImageMime = "image/png" | "image/jpeg" | "image/gif" | "image/webp";

const names: Readonly<Record<ImageMime, string>> = {
  "image/png": "PNG",
  "image/jpeg": "JPEG",
  "image/gif": "GIF",
  "image/webp": "WebP",
};

/** The type of an encoded image, or null. */
export function imageMime(bytes: Uint8Array): ImageMime | null {
  const ascii = (start: number, text: string): boolean =>
    [...text].every((character, index) => bytes[start + index] === character.charCodeAt(0));
  if (bytes[0] === 0x89 && ascii(1, "PNG\r\n\u001a\n")) return "image/png";
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "image/jpeg";
  if (ascii(0, "GIF87a") || ascii(0, "GIF89a")) return "image/gif";
  if (ascii(0, "RIFF") && ascii(8, "WEBP")) return "image/webp";
  return null;
}

/** The bundle of an encoded image: its base64, and a line that names its type and size. */
export function imageBundle(bytes: Uint8Array, mime: ImageMime, metadata: Record<string, unknown> = {}): Bundle {
  const size = mime === "image/png" ? pngSize(bytes) : null;
  const pixels = size === null ? "" : `${size.width} × ${size.height}, `;
  return {
    data: {
      [mime]: toBase64(bytes),
      "text/plain": `${names[mime]} image (${pixels}${bytes.length.toLocaleString("en")} bytes)`,
    },
    metadata: Object.keys(metadata).length > 0 ? { [mime]: metadata } : {},
  };
}

/** Width and height in pixels, from the header chunk. */
export function pngSize(bytes: Uint8Array): { width: number; height: number } | null {
  if (bytes.length < 24) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

export const imageBytesFormatter: Formatter = {
  name: "image bytes",
  runsUserCode: false,
  matches(value: object): boolean {
    if (!(value instanceof Uint8Array || value instanceof Uint8ClampedArray || value instanceof ArrayBuffer))
      return false;
    return imageMime(asBytes(value) as Uint8Array) !== null;
  },
  format(value: object): Bundle {
    const bytes = asBytes(value) as Uint8Array;
    return imageBundle(bytes, imageMime(bytes) as ImageMime);
  },
};

export const blobFormatter: Formatter = {
  name: "image blob",
  runsUserCode: false,
  matches(value: object): boolean {
    return value instanceof Blob && value.size > 0;
  },
  async format(value: object): Promise<Bundle | null> {
    const blob = value as Blob;
    const start = new Uint8Array(await blob.slice(0, 16).arrayBuffer());
    const mime = imageMime(start);
    if (mime !== null) return imageBundle(new Uint8Array(await blob.arrayBuffer()), mime);
    if (blob.type.startsWith("image/svg+xml")) {
      return {
        data: { "image/svg+xml": await blob.text(), "text/plain": `SVG image (${blob.size} bytes)` },
        metadata: {},
      };
    }
    return null;
  },
};

/** A canvas of any library: `toDataURL("image/png")`, maybe asynchronous. */
export const canvasFormatter: Formatter = {
  name: "canvas",
  runsUserCode: true,
  matches(value: object): boolean {
    return typeof (value as { toDataURL?: unknown }).toDataURL === "function";
  },
  async format(value: object): Promise<Bundle | null> {
    const url = await (value as { toDataURL(type: string): unknown }).toDataURL("image/png");
    const match = typeof url === "string" ? /^data:image\/png;base64,(.+)$/s.exec(url) : null;
    if (match === null) return null;
    return imageBundle(new Uint8Array(Buffer.from(match[1] as string, "base64")), "image/png");
  },
};

/** A DOM node of any library (linkedom, jsdom, happy-dom). */
export const domFormatter: Formatter = {
  name: "DOM node",
  runsUserCode: false,
  matches(value: object): boolean {
    const node = value as { outerHTML?: unknown; nodeType?: unknown };
    return typeof node.outerHTML === "string" && node.nodeType === 1;
  },
  format(value: object): Bundle {
    const markup = (value as { outerHTML: string }).outerHTML;
    const isSvg = /^\s*<svg[\s>]/i.test(markup);
    return { data: { [isSvg ? "image/svg+xml" : "text/html"]: markup, "text/plain": markup }, metadata: {} };
  },
};
