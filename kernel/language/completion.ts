// Completion: the server's items → a complete_reply with JupyterLab's types metadata. Filtering by what has been typed is
// done here, the server gives all. What exists only at run time is the session's to add.
import type { CompleteReply, TypedMatch } from "./contract.ts";
import { codePointIndex, indexAt, type Position, positionAt, type Range, utf16Index } from "./positions.ts";
import { type LanguageServer, uriOf } from "./server.ts";
import { withoutImport } from "./wording.ts";

interface CompletionItem {
  readonly label: string;
  readonly kind?: number;
  readonly sortText?: string;
  readonly filterText?: string;
  readonly insertText?: string;
  readonly textEdit?: {
    readonly newText: string;
    readonly range?: Range;
    readonly insert?: Range;
    readonly replace?: Range;
  };
  readonly data?: unknown;
}

/** LSP's completion kinds (from 1) as the words that JupyterLab has icons for. */
const kinds: readonly string[] = [
  "text",
  "method",
  "function",
  "constructor",
  "property",
  "variable",
  "class",
  "interface",
  "module",
  "property",
  "unit",
  "value",
  "enum",
  "keyword",
  "snippet",
  "color",
  "file",
  "reference",
  "folder",
  "enum member",
  "constant",
  "struct",
  "event",
  "operator",
  "type parameter",
];
const textKind = 1;
const maxMatches = 1000;
/** Up to this many matches are asked for their signatures as well. */
const maxSignatures = 12;

export function emptyCompletion(cursor: number): CompleteReply {
  return {
    status: "ok",
    matches: [],
    cursor_start: cursor,
    cursor_end: cursor,
    metadata: { _jupyter_types_experimental: [] },
  };
}

/** `path` is the scratch document that holds `code`; `cursor` in code points. */
export async function complete(
  server: LanguageServer,
  path: string,
  code: string,
  cursor: number,
): Promise<CompleteReply> {
  const index = utf16Index(code, cursor);
  const position = positionAt(code, index);
  const answer = await server.request("textDocument/completion", { textDocument: { uri: uriOf(path) }, position });
  const items = readItems(answer).filter((item) => item.kind !== textKind);
  const start = replacedFrom(items, code, index, position);
  const typed = code.slice(start, index);
  const chosen = select(items, typed, code, start);
  if (chosen.length === 0) return emptyCompletion(cursor);
  const signatures = chosen.length <= maxSignatures ? await readSignatures(server, chosen) : [];
  const from = codePointIndex(code, start);
  const to = codePointIndex(code, index);
  const typedMatches = chosen.map((item, place): TypedMatch => {
    const signature = signatures[place];
    return {
      text: textOf(item),
      type: kinds[(item.kind ?? 0) - 1] ?? "instance",
      ...(signature === undefined || signature === "" ? {} : { signature }),
      start: from,
      end: to,
    };
  });
  return {
    status: "ok",
    matches: typedMatches.map(({ text }) => text),
    cursor_start: from,
    cursor_end: to,
    metadata: { _jupyter_types_experimental: typedMatches },
  };
}

function readItems(answer: unknown): CompletionItem[] {
  const items = Array.isArray(answer) ? answer : (answer as { items?: unknown } | null)?.items;
  return Array.isArray(items) ? (items as CompletionItem[]).filter((item) => typeof item?.label === "string") : [];
}

function rangeOf(item: CompletionItem): Range | undefined {
  return item.textEdit?.range ?? item.textEdit?.insert;
}

function textOf(item: CompletionItem): string {
  return item.textEdit?.newText ?? item.insertText ?? item.label;
}

/**
 * Where the text that a match replaces begins: the identifier before the cursor, or the server's word where every item
 * has one (inside strings). A single item that also replaces the dot (`a.` → `a[Symbol.iterator]`) does not count.
 */
function replacedFrom(items: readonly CompletionItem[], code: string, index: number, cursor: Position): number {
  const ranges = items.map(rangeOf);
  const first = ranges[0];
  if (first !== undefined && ranges.every((range) => range !== undefined) && samePlace(first.end, cursor)) {
    return Math.min(index, indexAt(code, first.start));
  }
  return index - (/#?[\p{ID_Continue}$\u200c\u200d]*$/u.exec(code.slice(0, index))?.[0].length ?? 0);
}

function samePlace(a: Position, b: Position): boolean {
  return a.line === b.line && a.character === b.character;
}

/** What begins as typed; where nothing does, what begins so in other capitals. In the server's order. */
function select(items: readonly CompletionItem[], typed: string, code: string, start: number): CompletionItem[] {
  const fitting = items.filter((item) => {
    const range = rangeOf(item);
    // One reply has one start for all: an item that replaces more (`a.` → `a["x y"]`) cannot be in it.
    return range === undefined || indexAt(code, range.start) === start;
  });
  const exact = fitting.filter((item) => textOf(item).startsWith(typed));
  const lower = typed.toLowerCase();
  const found = exact.length > 0 ? exact : fitting.filter((item) => textOf(item).toLowerCase().startsWith(lower));
  const seen = new Set<string>();
  return found
    .toSorted((a, b) => compare(a.sortText ?? "", b.sortText ?? "") || compare(a.label, b.label))
    .filter((item) => {
      const text = textOf(item);
      return !seen.has(text) && seen.add(text);
    })
    .slice(0, maxMatches);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** One-line signatures (`(method) slice(start?: number): number[]`), where the server gives them. */
async function readSignatures(server: LanguageServer, items: readonly CompletionItem[]): Promise<string[]> {
  const resolved = await Promise.all(
    items.map((item) => server.request("completionItem/resolve", item).catch(() => null)),
  );
  return resolved.map((item) => {
    const detail = (item as { detail?: unknown } | null)?.detail;
    return typeof detail === "string" ? withoutImport(detail).replace(/\s*\n\s*/g, " ") : "";
  });
}
