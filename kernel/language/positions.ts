// From a cell's offsets (code points, as Jupyter counts) to the server's positions (lines and UTF-16 columns of a
// document that has one line of ours above the cell), and back.
import { codePointIndex, utf16Index } from "../syntax/positions.ts";

/** LSP's: both from 0. */
export interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Range {
  readonly start: Position;
  readonly end: Position;
}

/** Lines that stand above the cell's own in each document. */
export const linesAbove = 1;

/** LSP's line ends; U+2028 and U+2029, which end lines in JavaScript, do not end them here. */
const lineEnd = /\r\n|\n|\r/g;

function lineStarts(text: string): number[] {
  const starts = [0];
  for (const match of text.matchAll(lineEnd)) starts.push(match.index + match[0].length);
  return starts;
}

/** The document position of a UTF-16 index of the cell. */
export function positionAt(code: string, index: number): Position {
  const starts = lineStarts(code);
  let line = starts.length - 1;
  while (line > 0 && (starts[line] as number) > index) line--;
  return { line: line + linesAbove, character: index - (starts[line] as number) };
}

/** The UTF-16 index in the cell of a document position; one above the cell is its start, one behind it its end. */
export function indexAt(code: string, position: Position): number {
  const starts = lineStarts(code);
  const line = position.line - linesAbove;
  if (line < 0) return 0;
  if (line >= starts.length) return code.length;
  return Math.min(code.length, (starts[line] as number) + position.character);
}

/** Line and column from 1, the column in code points. */
export function humanPosition(code: string, index: number): { line: number; column: number } {
  const starts = lineStarts(code);
  let line = starts.length - 1;
  while (line > 0 && (starts[line] as number) > index) line--;
  const start = starts[line] as number;
  return { line: line + 1, column: codePointIndex(code.slice(start), index - start) + 1 };
}

export { codePointIndex, utf16Index };
