// Typed access to the untyped children of ESTree nodes. Not a definition of the node types.

import { isNode, type SyntaxNode } from "./walk.ts";

/** A child node, or null. */
export function node(parent: SyntaxNode, key: string): SyntaxNode | null {
  const value = parent[key];
  return isNode(value) ? value : null;
}

/** A child node that the grammar promises. @throws Error where the parser broke that promise. */
export function need(parent: SyntaxNode, key: string): SyntaxNode {
  const found = node(parent, key);
  if (found === null) throw new Error(`The parser gave a ${parent.type} without "${key}".`);
  return found;
}

/** A list of child nodes with its holes. */
export function list(parent: SyntaxNode, key: string): (SyntaxNode | null)[] {
  const value = parent[key];
  return Array.isArray(value) ? value.map((item) => (isNode(item) ? item : null)) : [];
}

/** A list of child nodes without holes. */
export function nodes(parent: SyntaxNode, key: string): SyntaxNode[] {
  return list(parent, key).filter((item) => item !== null);
}

/** The name of an identifier or of a string-named import or export. */
export function nameOf(identifier: SyntaxNode): string {
  return String(identifier.type === "Literal" ? identifier.value : identifier.name);
}
