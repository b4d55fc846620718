// A walk over ESTree nodes that needs no list of node types: every object with a `type` is a node. Not a scope analysis.

/** Any ESTree or TypeScript-ESTree node; `start` and `end` are UTF-16 indexes. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [property: string]: unknown;
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}

/** The child nodes in source order of properties. */
export function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (const key in node) {
    if (key === "parent") continue;
    const value = node[key];
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) found.push(item);
    } else if (isNode(value)) found.push(value);
  }
  return found;
}

/**
 * Calls `enter(node, functionDepth, parent)` for each node, parents first; a node for which it returns false is not entered. `functionDepth`
 * counts the functions around a node (methods, accessors, arrows, static blocks and class fields included).
 * `false` alone stops the descent. Uses an explicit stack: text nested ten thousand deep must not overflow ours.
 */
export function walk(
  root: SyntaxNode,
  enter: (node: SyntaxNode, functionDepth: number, parent: SyntaxNode | null) => boolean | undefined,
): void {
  const stack: { node: SyntaxNode; depth: number; parent: SyntaxNode | null }[] = [
    { node: root, depth: 0, parent: null },
  ];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, depth, parent } = top;
    if (enter(node, depth, parent) === false) continue;
    const isScope =
      node.type === "FunctionDeclaration" ||
      node.type === "FunctionExpression" ||
      node.type === "ArrowFunctionExpression" ||
      node.type === "StaticBlock";
    const isField = node.type === "PropertyDefinition" || node.type === "AccessorProperty";
    const inner = children(node);
    for (let i = inner.length - 1; i >= 0; i--) {
      const child = inner[i] as SyntaxNode;
      // A field's computed key runs in the scope around the class; its value is a function of its own.
      const deeper = isScope || (isField && child === node.value);
      stack.push({ node: child, depth: deeper ? depth + 1 : depth, parent: node });
    }
  }
}
