// Which names a cell gives to later cells: its top-level declarations and imports. From the syntax tree alone.
import type { SyntaxNode } from "../syntax/walk.ts";
import { walk } from "../syntax/walk.ts";

export interface Declaration {
  readonly name: string;
  /** Later cells may assign to it (`let`, `var`). */
  readonly mutable: boolean;
  /** It has an `export` of its own in the cell's text. */
  readonly exported: boolean;
}

/** Whether a text can declare anything: most cells that only compute cannot, and need not be parsed for it. */
export function mayDeclare(code: string): boolean {
  return /\b(?:const|let|var|using|function|class|enum|interface|type|namespace|module|import)\b/.test(code);
}

/** The names declared at the top of a program, each once. */
export function topLevelDeclarations(body: readonly SyntaxNode[]): Declaration[] {
  const found = new Map<string, Declaration>();
  const add = (name: unknown, mutable: boolean, exported: boolean): void => {
    if (typeof name === "string" && name !== "") found.set(name, { name, mutable, exported });
  };
  for (const statement of body) {
    const exported = statement.type === "ExportNamedDeclaration" && statement.declaration !== null;
    const node = exported ? (statement.declaration as SyntaxNode) : statement;
    if (node.type === "VariableDeclaration") {
      for (const name of patternNames(node)) add(name, node.kind === "let" || node.kind === "var", exported);
    } else if (node.type === "ImportDeclaration") {
      for (const specifier of (node.specifiers ?? []) as SyntaxNode[]) add(nameOf(specifier.local), false, false);
    } else if (named.has(node.type)) add(nameOf(node.id), false, exported);
    else for (const name of hoistedVariables(node)) add(name, true, false);
  }
  return [...found.values()];
}

const named: ReadonlySet<string> = new Set([
  "FunctionDeclaration",
  "TSDeclareFunction",
  "ClassDeclaration",
  "TSEnumDeclaration",
  "TSInterfaceDeclaration",
  "TSTypeAliasDeclaration",
  "TSModuleDeclaration",
  "TSImportEqualsDeclaration",
]);

function nameOf(node: unknown): unknown {
  return (node as { type?: string; name?: unknown } | null)?.type === "Identifier"
    ? (node as { name: unknown }).name
    : undefined;
}

/** The names that the declarators bind, destructuring included; default values and keys are no names. */
function patternNames(declaration: SyntaxNode): string[] {
  const names: string[] = [];
  const visit = (pattern: SyntaxNode | null): void => {
    if (pattern === null) return;
    if (pattern.type === "Identifier") names.push(pattern.name as string);
    else if (pattern.type === "ObjectPattern") {
      for (const property of pattern.properties as SyntaxNode[]) {
        visit((property.type === "RestElement" ? property.argument : property.value) as SyntaxNode);
      }
    } else if (pattern.type === "ArrayPattern") (pattern.elements as (SyntaxNode | null)[]).forEach(visit);
    else if (pattern.type === "AssignmentPattern") visit(pattern.left as SyntaxNode);
    else if (pattern.type === "RestElement") visit(pattern.argument as SyntaxNode);
  };
  for (const declarator of declaration.declarations as SyntaxNode[]) visit(declarator.id as SyntaxNode);
  return names;
}

/** `var` inside blocks and loops belongs to the whole cell. */
function hoistedVariables(statement: SyntaxNode): string[] {
  const names: string[] = [];
  walk(statement, (node, functionDepth) => {
    if (functionDepth > 0) return false;
    if (node.type === "VariableDeclaration" && node.kind === "var") names.push(...patternNames(node));
    return true;
  });
  return names;
}

/**
 * For a cell that does not parse (it is being typed): the names that its lines seem to declare, so that they are not taken
 * from an earlier cell as well.
 */
export function apparentDeclarations(code: string): string[] {
  const names: string[] = [];
  const identifier = String.raw`[\p{ID_Start}$_][\p{ID_Continue}$]*`;
  const simple = new RegExp(
    String.raw`^[ \t]*(?:export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:const\s+enum|const|let|var|function\s*\*?|class|enum|interface|type|namespace)\s+(${identifier})`,
    "gmu",
  );
  for (const match of code.matchAll(simple)) names.push(match[1] as string);
  const grouped = /^[ \t]*(?:(?:const|let|var)\s*[[{]([^=]*)[\]}]\s*=|import\s+(?:type\s+)?([^"';]*?)\s+from\b)/gmu;
  for (const match of code.matchAll(grouped)) {
    const text = (match[1] ?? match[2] ?? "").replace(/\b(?:as|type)\b/g, " ");
    for (const name of text.matchAll(new RegExp(identifier, "gu"))) names.push(name[0]);
  }
  return names;
}

/** Every identifier-like word of a text: a superset of the names it uses. */
export function words(code: string): Set<string> {
  return new Set(code.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu) ?? []);
}
