// Cells as files of the workspace, without a server: how many there are, and under how many names, whatever is run. What
// the language server makes of them is language.test.ts's.
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Cells, createCells } from "#kernel/language/cells.ts";
import { createServer, type FileChange, type LanguageServer } from "#kernel/language/server.ts";
import { createWorkspace, type Workspace } from "#kernel/language/workspace.ts";

const maxCells = 100;
let workspace: Workspace;
let cells: Cells;
let told: FileChange[] = [];

beforeEach(() => {
  told = [];
  workspace = createWorkspace(join(tmpdir(), "bunsen-cells-test"));
  // Asked nothing, it starts no process.
  const server: LanguageServer = createServer({ root: workspace.root, onLog: () => undefined });
  cells = createCells({ ...server, filesChanged: (changes) => told.push(...changes) }, workspace, maxCells);
});

afterEach(() => workspace.remove());

function files(): string[] {
  return readdirSync(workspace.cellFolder).filter((name) => /^cell-\d/.test(name));
}

/** The text of the cell that declares `name`, as what is typed next would import it. */
function textOf(name: string): string {
  const { path } = cells.edit(name);
  const line = (cells.documentText(path) as string).split("\n")[0] as string;
  const file = new RegExp(`import \\{[^}]*\\b${name}\\b[^}]*\\} from "./(.*?)"`).exec(line)?.[1];
  return file === undefined ? "" : readFileSync(join(workspace.cellFolder, file), "utf8");
}

test("run again and again lie under few names, since the server keeps something for every path it has seen", () => {
  const seen = new Set<string>();
  for (let round = 0; round < 300; round++) {
    cells.add(`const a${round % 5} = ${round};`);
    cells.add(`const view${round % 2} = <b>${round}</b>;`);
    for (const name of files()) seen.add(name);
    expect(textOf(`a${round % 5}`)).toContain(`= ${round};`);
  }
  expect(files()).toHaveLength(7);
  expect(seen.size).toBeLessThanOrEqual(9);
  // A name used again is told, or the server would go on with its old text.
  expect(told).toHaveLength(600 - seen.size);
  cells.clear();
  expect(files()).toEqual([]);
  cells.add("const afterwards = 1;");
  expect(seen).toContain(files()[0]);
});

test("that lean on each other without end are bounded, and the newest keep their types", () => {
  const seen = new Set<string>();
  cells.add("const even = 0;");
  for (let round = 1; round < 400; round++) {
    cells.add(round % 2 === 1 ? `const odd = even + ${round};` : `const even = odd + ${round};`);
    for (const name of files()) seen.add(name);
  }
  expect(files()).toHaveLength(maxCells);
  expect(seen.size).toBeLessThanOrEqual(maxCells + 3);
  expect(textOf("odd")).toContain("even + 399");
  // The oldest imports from a file that is gone: no other cell may take that name.
  const present = new Set(files());
  const dangling = files().flatMap((name) =>
    [...readFileSync(join(workspace.cellFolder, name), "utf8").matchAll(/from "\.\/(.*?)"/g)].filter(
      ([, file]) => !present.has(file as string),
    ),
  );
  expect(dangling).toHaveLength(1);
});
