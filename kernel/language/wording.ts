// The server's words made fit for a cell: names of earlier cells reach a cell as imports, which people did not write.

/** `(alias) function f(): void` with `import f` below it → `function f(): void`. */
export function withoutImport(signature: string): string {
  return signature
    .replace(/^\(alias\) /, "")
    .replace(/\nimport [\s\S]*$/, "")
    .trim();
}
