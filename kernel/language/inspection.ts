// Inspection (Shift-Tab): what the server says of the name at the cursor, or of the call around it, as text/plain and
// text/markdown. At detail level 1 the declaration's source follows.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { InspectReply } from "./contract.ts";
import { positionAt, type Range, utf16Index } from "./positions.ts";
import { type LanguageServer, uriOf } from "./server.ts";
import { withoutImport } from "./wording.ts";

export const notFound: InspectReply = { status: "ok", found: false, data: {}, metadata: {} };

export interface InspectionContext {
  readonly server: LanguageServer;
  /** The scratch document that holds the code. */
  readonly path: string;
  /** Texts of documents that are no files: the path of a cell's document → what the server was sent. */
  readonly documentText: (path: string) => string | null;
  /** A path to show to people. */
  readonly shownPath: (path: string) => string;
}

const maxSourceLines = 80;

export async function inspect(
  context: InspectionContext,
  code: string,
  cursor: number,
  detailLevel: number,
): Promise<InspectReply> {
  const index = utf16Index(code, cursor);
  const { server, path } = context;
  for (const place of placesToLook(code, index)) {
    const parameters = { textDocument: { uri: uriOf(path) }, position: positionAt(code, place) };
    const hover = readHover(await server.request("textDocument/hover", parameters));
    if (hover === null) continue;
    const source = detailLevel >= 1 ? await readSource(context, parameters) : null;
    return reply(source === null ? hover : `${hover}\n\n${source}`);
  }
  const call = readSignature(
    await server.request("textDocument/signatureHelp", {
      textDocument: { uri: uriOf(path) },
      position: positionAt(code, index),
    }),
  );
  return call === null ? notFound : reply(call);
}

/** On the name that the cursor touches, else before an opening parenthesis just behind it. */
function placesToLook(code: string, index: number): number[] {
  const before = /[\p{ID_Continue}$#]+$/u.exec(code.slice(0, index))?.[0].length ?? 0;
  const isTouched = before > 0 || /^[\p{ID_Continue}$#]/u.test(code.slice(index));
  return isTouched ? [index - before] : [];
}

function reply(markdown: string): InspectReply {
  return {
    status: "ok",
    found: true,
    data: { "text/plain": plainFromMarkdown(markdown), "text/markdown": markdown },
    metadata: {},
  };
}

/** The markdown of a hover; the words for imports, which are ours and not the user's, are taken out. */
function readHover(answer: unknown): string | null {
  const contents = (answer as { contents?: unknown } | null)?.contents;
  const value = typeof contents === "string" ? contents : (contents as { value?: unknown } | null | undefined)?.value;
  if (typeof value !== "string" || value.trim() === "") return null;
  return value
    .replace(
      /^```(\w*)\n([\s\S]*?)\n```/,
      (_all, tag: string, text: string) => `\`\`\`${tag}\n${withoutImport(text)}\n\`\`\``,
    )
    .trim();
}

function readSignature(answer: unknown): string | null {
  const help = answer as {
    signatures?: readonly { label: string; documentation?: string | { value: string } }[];
    activeSignature?: number;
  } | null;
  const signatures = help?.signatures ?? [];
  const active = signatures[help?.activeSignature ?? 0] ?? signatures[0];
  if (active === undefined) return null;
  const documentation = typeof active.documentation === "string" ? active.documentation : active.documentation?.value;
  const others = signatures.length > 1 ? `\n// +${signatures.length - 1} overloads` : "";
  return `\`\`\`typescript\n${active.label}${others}\n\`\`\`${documentation ? `\n${documentation}` : ""}`;
}

/** Fences and links are markup; the words stay. */
export function plainFromMarkdown(markdown: string): string {
  return markdown
    .replace(/^```\w*\n([\s\S]*?)\n?```$/gm, "$1")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\*@(\w+)\*/gm, "@$1")
    .replace(/`([^`\n]+)`/g, "$1")
    .replace(/\\([\\`*_{}[\]()#+\-.!<>])/g, "$1")
    .trim();
}

interface Location {
  readonly uri: string;
  readonly range: Range;
}

async function readSource(context: InspectionContext, parameters: object): Promise<string | null> {
  const location = readLocation(await context.server.request("textDocument/definition", parameters));
  if (location === null || !location.uri.startsWith("file:")) return null;
  const path = fileURLToPath(location.uri);
  const text = context.documentText(path) ?? (await readFile(path, "utf8").catch(() => null));
  if (text === null) return null;
  const all = text.split(/\r\n|\n|\r/);
  const last = Math.max(location.range.end.line, location.range.start.line);
  const shown = all.slice(location.range.start.line, Math.min(last + 1, location.range.start.line + maxSourceLines));
  const more = last - location.range.start.line + 1 - shown.length;
  const place = context.shownPath(path);
  const tail = more > 0 ? `\n// … ${more} more lines` : "";
  return `${place === "" ? "Source" : `Source: ${place}:${location.range.start.line + 1}`}\n\n\`\`\`typescript\n${shown.join("\n")}${tail}\n\`\`\``;
}

function readLocation(answer: unknown): Location | null {
  const first: unknown = Array.isArray(answer) ? answer[0] : answer;
  if (typeof first !== "object" || first === null) return null;
  const link = first as { targetUri?: string; targetRange?: Range; uri?: string; range?: Range };
  const uri = link.targetUri ?? link.uri;
  const range = link.targetRange ?? link.range;
  return uri === undefined || range === undefined ? null : { uri, range };
}
