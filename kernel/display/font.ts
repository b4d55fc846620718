// The font that plots are drawn with on the kernel's side: Arimo (OFL), so that text appears on a machine without
// any font, and looks alike on all. Here are its files and its widths; vega-draw.ts uses both. It shapes no text.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { resolve } = createRequire(import.meta.url);

const files = {
  regular: "400Regular/Arimo_400Regular.ttf",
  bold: "700Bold/Arimo_700Bold.ttf",
  italic: "400Regular_Italic/Arimo_400Regular_Italic.ttf",
} as const;

type Style = keyof typeof files;

export const fontFamily = "Arimo";

export function fontFile(style: Style): string {
  return resolve(`@expo-google-fonts/arimo/${files[style]}`);
}

export function fontFiles(): string[] {
  return (Object.keys(files) as Style[]).map(fontFile);
}

const widthTables = new Map<Style, (codePoint: number) => number>();

/** Width in pixels of one line of text, from the font's advance widths (no kerning: within 2 % for Latin text). */
export function textWidth(text: string, fontSize: number, bold: boolean): number {
  const style: Style = bold ? "bold" : "regular";
  let advance = widthTables.get(style);
  if (advance === undefined) {
    advance = readAdvances(readFileSync(fontFile(style)));
    widthTables.set(style, advance);
  }
  let width = 0;
  for (const character of text) width += advance(character.codePointAt(0) as number);
  return width * fontSize;
}

/** Advance widths in em by code point, from the TrueType tables head, hhea, hmtx and cmap (format 4). */
export function readAdvances(font: Uint8Array): (codePoint: number) => number {
  const view = new DataView(font.buffer, font.byteOffset, font.byteLength);
  const tables = new Map<string, number>();
  for (let index = 0; index < view.getUint16(4); index++) {
    const record = 12 + 16 * index;
    const tag = String.fromCharCode(...font.subarray(record, record + 4));
    tables.set(tag, view.getUint32(record + 8));
  }
  const table = (tag: string): number => {
    const offset = tables.get(tag);
    if (offset === undefined) throw new Error(`The font file has no table "${tag}"; expected a TrueType font.`);
    return offset;
  };
  const unitsPerEm = view.getUint16(table("head") + 18);
  const metricCount = view.getUint16(table("hhea") + 34);
  const hmtx = table("hmtx");
  const glyphOf = readCmap(view, table("cmap"));
  return (codePoint) => {
    const glyph = Math.min(glyphOf(codePoint), metricCount - 1);
    return view.getUint16(hmtx + 4 * glyph) / unitsPerEm;
  };
}

function readCmap(view: DataView, cmap: number): (codePoint: number) => number {
  for (let index = 0; index < view.getUint16(cmap + 2); index++) {
    const start = cmap + view.getUint32(cmap + 4 + 8 * index + 4);
    if (view.getUint16(start) === 4) return readSegments(view, start);
  }
  throw new Error("The font file has no character map of format 4; expected one that covers the basic plane.");
}

function readSegments(view: DataView, start: number): (codePoint: number) => number {
  const count = view.getUint16(start + 6) / 2;
  const ends = start + 14;
  const starts = ends + 2 * count + 2;
  const deltas = starts + 2 * count;
  const ranges = deltas + 2 * count;
  return (codePoint) => {
    if (codePoint > 0xffff) return 0;
    for (let segment = 0; segment < count; segment++) {
      if (codePoint > view.getUint16(ends + 2 * segment)) continue;
      const first = view.getUint16(starts + 2 * segment);
      if (codePoint < first) return 0;
      const delta = view.getUint16(deltas + 2 * segment);
      const range = view.getUint16(ranges + 2 * segment);
      if (range === 0) return (codePoint + delta) & 0xffff;
      const glyph = view.getUint16(ranges + 2 * segment + range + 2 * (codePoint - first));
      return glyph === 0 ? 0 : (glyph + delta) & 0xffff;
    }
    return 0;
  };
}
