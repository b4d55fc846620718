// Which identifiers of a JavaScript tree refer to names from outside it: a small scope analysis, for a few names at a time.
// For trees without TypeScript nodes. Not a full resolver: it answers for the names asked about only.

import { children, isNode, type SyntaxNode } from "./walk.ts";

/** One use of an outer name. */
export interface OuterReference {
  readonly name: string;
  readonly identifier: SyntaxNode;
  readonly parent: SyntaxNode;
  /** In `{name}` and `{name = 1}`, where the same text is a property's key too. */
  readonly shorthand: boolean;
}

type Names = ReadonlySet<string>;

function isFunction(node: SyntaxNode): boolean {
  return (
    node.type === "FunctionDeclaration" || node.type === "FunctionExpression" || node.type === "ArrowFunctionExpression"
  );
}

/** Names that a pattern binds. */
export function boundNames(pattern: unknown, into: Set<string>): void {
  if (!isNode(pattern)) return;
  switch (pattern.type) {
    case "Identifier":
      into.add(String(pattern.name));
      return;
    case "ObjectPattern":
      for (const property of pattern.properties as SyntaxNode[]) {
        boundNames(property.type === "Property" ? property.value : property, into);
      }
      return;
    case "ArrayPattern":
      for (const element of pattern.elements as (SyntaxNode | null)[]) boundNames(element, into);
      return;
    case "RestElement":
      boundNames(pattern.argument, into);
      return;
    case "AssignmentPattern":
      boundNames(pattern.left, into);
      return;
  }
}

/** Adds the names of `var` declarations in a function's body, nested blocks included, nested functions not. */
function hoistedVars(node: SyntaxNode, into: Set<string>): void {
  const stack = [node];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (next.type === "VariableDeclaration" && next.kind === "var") {
      for (const declarator of next.declarations as SyntaxNode[]) boundNames(declarator.id, into);
    }
    for (const child of children(next)) {
      if (!isFunction(child) && child.type !== "StaticBlock" && child.type !== "PropertyDefinition") stack.push(child);
    }
  }
}

/** Adds what the statements of one block declare. */
function lexicalNames(statements: unknown, into: Set<string>): void {
  if (!Array.isArray(statements)) return;
  for (const statement of statements as SyntaxNode[]) {
    if (statement.type === "VariableDeclaration" && statement.kind !== "var") {
      for (const declarator of statement.declarations as SyntaxNode[]) boundNames(declarator.id, into);
    } else if (statement.type === "FunctionDeclaration" || statement.type === "ClassDeclaration") {
      boundNames(statement.id, into);
    }
  }
}

/** Names declared by the scope that a node opens; null where it opens none. */
function scopeOf(node: SyntaxNode): Set<string> | null {
  const names = new Set<string>();
  if (isFunction(node)) {
    if (node.type === "FunctionExpression") boundNames(node.id, names);
    for (const parameter of node.params as SyntaxNode[]) boundNames(parameter, names);
    if (node.type !== "ArrowFunctionExpression") names.add("arguments");
    if (isNode(node.body)) hoistedVars(node.body, names);
    return names;
  }
  switch (node.type) {
    case "BlockStatement":
      lexicalNames(node.body, names);
      return names;
    case "StaticBlock":
      lexicalNames(node.body, names);
      for (const statement of node.body as SyntaxNode[]) hoistedVars(statement, names);
      return names;
    case "SwitchStatement":
      for (const part of node.cases as SyntaxNode[]) lexicalNames(part.consequent, names);
      return names;
    case "ForStatement":
      lexicalNames([node.init].filter(isNode), names);
      return names;
    case "ForInStatement":
    case "ForOfStatement":
      lexicalNames([node.left].filter(isNode), names);
      return names;
    case "CatchClause":
      boundNames(node.param, names);
      return names;
    case "ClassDeclaration":
    case "ClassExpression":
      boundNames(node.id, names);
      return names;
    default:
      return null;
  }
}

/** Whether an identifier node stands for a property, label or the like instead of a variable. */
function isMereName(identifier: SyntaxNode, parent: SyntaxNode): boolean {
  switch (parent.type) {
    case "MemberExpression":
      return parent.property === identifier && parent.computed !== true;
    case "Property":
      return parent.key === identifier && parent.computed !== true;
    case "MethodDefinition":
    case "PropertyDefinition":
    case "AccessorProperty":
      return parent.key === identifier && parent.computed !== true;
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
    case "MetaProperty":
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
    case "ExportSpecifier":
    case "ImportAttribute":
      return true;
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ClassDeclaration":
    case "ClassExpression":
      return parent.id === identifier;
    default:
      return false;
  }
}

/**
 * The uses of `names` that no scope inside `program` binds. Names declared at the top of the program count as outer; the
 * identifiers that declare them there (in `let`, `const`, `class`, `function`, not in `var`) are left out.
 */
export function outerReferences(program: SyntaxNode, names: Names): OuterReference[] {
  const found: OuterReference[] = [];
  if (names.size === 0) return found;
  const declaring = new Set<SyntaxNode>();
  for (const statement of program.body as SyntaxNode[]) {
    const declaration =
      statement.type === "ExportNamedDeclaration" && isNode(statement.declaration) ? statement.declaration : statement;
    if (declaration.type !== "VariableDeclaration" || declaration.kind === "var") continue;
    for (const declarator of declaration.declarations as SyntaxNode[]) collectTargets(declarator.id, declaring);
  }
  const shorthands = new Set<SyntaxNode>();
  const stack: { node: SyntaxNode; parent: SyntaxNode; free: Names }[] = [];
  for (const child of children(program)) stack.push({ node: child, parent: program, free: names });
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, parent } = top;
    let { free } = top;
    if (node.type === "Identifier") {
      const name = String(node.name);
      if (free.has(name) && !isMereName(node, parent) && !declaring.has(node)) {
        found.push({ name, identifier: node, parent, shorthand: shorthands.has(node) });
      }
      continue;
    }
    if (node.type === "Property" && node.shorthand === true && isNode(node.value)) {
      // Key and value are one piece of text; the value is what counts.
      const target = node.value.type === "AssignmentPattern" ? node.value.left : node.value;
      if (isNode(target)) shorthands.add(target);
      stack.push({ node: node.value, parent: node, free });
      continue;
    }
    const scope = scopeOf(node);
    if (scope !== null) {
      const left = [...free].filter((name) => !scope.has(name));
      if (left.length === 0) continue;
      if (left.length < free.size) free = new Set(left);
    }
    for (const child of children(node)) stack.push({ node: child, parent: node, free });
  }
  return found;
}

/** The identifier nodes that a pattern binds. */
function collectTargets(pattern: unknown, into: Set<SyntaxNode>): void {
  if (!isNode(pattern)) return;
  if (pattern.type === "Identifier") into.add(pattern);
  else if (pattern.type === "ObjectPattern") {
    for (const property of pattern.properties as SyntaxNode[]) {
      collectTargets(property.type === "Property" ? property.value : property, into);
    }
  } else if (pattern.type === "ArrayPattern") {
    for (const element of pattern.elements as (SyntaxNode | null)[]) collectTargets(element, into);
  } else if (pattern.type === "RestElement") collectTargets(pattern.argument, into);
  else if (pattern.type === "AssignmentPattern") collectTargets(pattern.left, into);
}
