// Positions in text: Jupyter counts Unicode code points, JavaScript UTF-16 units, people lines and columns. Pure functions.

/** UTF-16 index of the `codePoints`-th code point of `text`; past the end, the length. A lone surrogate counts as one. */
export function utf16Index(text: string, codePoints: number): number {
  let index = 0;
  for (let count = 0; count < codePoints && index < text.length; count++) {
    const unit = text.charCodeAt(index);
    const next = text.charCodeAt(index + 1);
    const pair = unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000;
    index += pair ? 2 : 1;
  }
  return Math.min(index, text.length);
}

/** Number of code points before the UTF-16 index; an index inside a surrogate pair counts the pair. */
export function codePointIndex(text: string, utf16: number): number {
  const end = Math.max(0, Math.min(utf16, text.length));
  let count = 0;
  for (let index = 0; index < end; count++) {
    const unit = text.charCodeAt(index);
    const next = text.charCodeAt(index + 1);
    const pair = unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000;
    index += pair ? 2 : 1;
  }
  return count;
}

/** 1-based line, 0-based column in UTF-16 units (what source maps use). */
export interface LineColumn {
  readonly line: number;
  readonly column: number;
}

/** Where a UTF-16 index lies. Lines end at \n, \r\n, \r, U+2028 and U+2029, as in ECMAScript. */
export function lineColumn(text: string, utf16: number): LineColumn {
  const end = Math.max(0, Math.min(utf16, text.length));
  let line = 1;
  let start = 0;
  for (let index = 0; index < end; index++) {
    const unit = text.charCodeAt(index);
    if (unit === 13 && text.charCodeAt(index + 1) === 10) continue;
    if (unit === 10 || unit === 13 || unit === 0x2028 || unit === 0x2029) {
      line++;
      start = index + 1;
    }
  }
  return { line, column: Math.max(0, end - start) };
}

/** The lines of a text, without their ends, by the same rule. */
export function lines(text: string): string[] {
  return text.split(/\r\n|[\n\r\u2028\u2029]/);
}
