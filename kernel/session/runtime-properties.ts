// Completion and inspection beside the types: which expression stands before the cursor, and how what exists at run
// time joins what the language server said. Text only; the evaluator looks at the values.

import type { RuntimeProperty } from "../evaluator/port.ts";
import type { Content } from "../protocol/messages.ts";

export interface Member {
  /** What stands before the dot. */
  readonly expression: string;
  /** What has been typed of the member's name, as it stands in the text. */
  readonly prefix: string;
  /** The quote that the name stands behind: `a["b`. Null for `a.b`. */
  readonly quote: "'" | '"' | null;
}

const identifier = String.raw`[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*`;
/** A chain without calls: reading it can at worst run a getter, which the evaluator refuses. */
const chain = String.raw`${identifier}(?:\?\.${identifier}|\.${identifier}|\[(?:\d+|"[^"\n\\]*"|'[^'\n\\]*')\])*`;
const memberPattern = new RegExp(
  String.raw`(?:^|[^\p{ID_Continue}$.?\])}"'\x60])(${chain})(?:\?)?\.((?:${identifier})?)$`,
  "u",
);
const subscriptPattern = new RegExp(
  String.raw`(?:^|[^\p{ID_Continue}$.?\])}"'\x60])(${chain})(?:\?\.)?\[\s*(?:'((?:[^'\\\n]|\\.)*)|"((?:[^"\\\n]|\\.)*))$`,
  "u",
);
const wordPattern = new RegExp(String.raw`(?:^|[^\p{ID_Continue}$.?\])])(${chain})$`, "u");

/** The member access that ends at the cursor (a code point offset), or null. */
export function memberExpression(code: string, cursor: number): Member | null {
  const before = lineBefore(code, cursor);
  const match = memberPattern.exec(before);
  if (match !== null) return { expression: match[1]!, prefix: match[2]!, quote: null };
  const subscript = subscriptPattern.exec(before);
  if (subscript === null) return null;
  const [, expression = "", single, double = ""] = subscript;
  return single === undefined ? { expression, prefix: double, quote: '"' } : { expression, prefix: single, quote: "'" };
}

/** The chain of names at the cursor, up to the end of the name that the cursor touches. */
export function expressionAt(code: string, cursor: number): string | null {
  const points = [...code];
  let end = Math.min(Math.max(0, cursor), points.length);
  while (end < points.length && /[\p{ID_Continue}$]/u.test(points[end]!)) end++;
  const match = wordPattern.exec(lineBefore(code, end));
  return match === null ? null : match[1]!;
}

/** Runtime names that the types do not know, added behind those they know. */
export function withRuntimeProperties(
  reply: Content,
  member: Member,
  properties: readonly RuntimeProperty[],
  cursor: number,
): Content {
  const wanted = properties
    .filter(({ name }) => member.quote !== null || identifierOnly.test(name))
    .map(({ name, type }) => ({ name: member.quote === null ? name : escaped(name, member.quote), type }))
    .filter(({ name }) => name.startsWith(member.prefix));
  if (wanted.length === 0) return reply;
  const matches = Array.isArray(reply.matches) ? (reply.matches as string[]) : [];
  const known = new Set(matches);
  const added = wanted.filter(({ name }) => !known.has(name));
  if (added.length === 0) return reply;
  const metadata = (reply.metadata ?? {}) as Content;
  const types = Array.isArray(metadata[typesKey]) ? (metadata[typesKey] as Content[]) : [];
  const start = cursor - [...member.prefix].length;
  // What the server says of a string may stand for another piece of the text; one reply has one piece.
  if (member.quote !== null && matches.length > 0 && reply.cursor_start !== start) return reply;
  // Lab reads one row of types for each match, so rows without a type are filled in.
  const rows = matches.map((text, i) => types[i] ?? { text, type: "property", start, end: cursor });
  return {
    ...reply,
    status: "ok",
    matches: [...matches, ...added.map(({ name }) => name)],
    cursor_start: matches.length > 0 ? reply.cursor_start : start,
    cursor_end: matches.length > 0 ? reply.cursor_end : cursor,
    metadata: {
      ...metadata,
      [typesKey]: [...rows, ...added.map(({ name, type }) => ({ text: name, type, start, end: cursor }))],
    },
  };
}

/** A name as it is written between these quotes. */
function escaped(name: string, quote: "'" | '"'): string {
  const inDouble = JSON.stringify(name).slice(1, -1);
  return quote === '"' ? inDouble : inDouble.replaceAll('\\"', '"').replaceAll("'", "\\'");
}

const typesKey = "_jupyter_types_experimental";
const identifierOnly = new RegExp(`^${identifier}$`, "u");

function lineBefore(code: string, cursor: number): string {
  const before = [...code].slice(0, Math.max(0, cursor)).join("");
  return before.slice(before.lastIndexOf("\n") + 1);
}
