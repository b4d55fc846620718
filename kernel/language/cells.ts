// Cells as modules of the language server. Each cell that ran and declares something is a file of its own in the temporary
// workspace, so that redeclaring is no error; one line above its text imports the names it uses from the newest cells that
// declare them, and one below exports its own. What is being typed or about to run is a scratch document, which only the
// server has and which sees every name. (Open documents that the tsconfig does not list would each cost the server a
// project of their own; files that are imported cost nothing of the kind.)
import { rmSync, writeFileSync } from "node:fs";
import { type ParsedCell, parseCell } from "../syntax/parse.ts";
import { apparentDeclarations, mayDeclare, topLevelDeclarations, words } from "./declarations.ts";
import type { LanguageServer } from "./server.ts";
import { globalsName, scratchNames, type Workspace } from "./workspace.ts";

/** A cell's document; `path` names it to the server. */
export interface CellDocument {
  readonly path: string;
}

export interface Cells {
  /** Makes `code` the scratch document's text, below every name that earlier cells gave. */
  edit(code: string): CellDocument;
  /** Adds a cell that ran. Gives whether the names that later cells see have changed. */
  add(code: string): boolean;
  /** Forgets all cells. */
  clear(): void;
  /** Whether the text parses: only then can its types be wrong. */
  canRun(code: string): boolean;
  /** The whole text of the scratch document, by its path; null for other paths. */
  documentText(path: string): string | null;
  /** Grows whenever what a cell's names mean may have changed. */
  readonly version: number;
}

interface EvaluatedCell {
  readonly path: string;
  readonly file: string;
  /** Cells whose names it imports; emptied when it is let go, or each cell would hold all that ever led to it. */
  readonly uses: Set<EvaluatedCell>;
}

interface Name {
  readonly cell: EvaluatedCell;
  readonly mutable: boolean;
}

const defaultMaxCells = 2000;

/** Beyond `maxCells` that others still lean on, the oldest are let go: their names become `any`. */
export function createCells(server: LanguageServer, workspace: Workspace, maxCells: number = defaultMaxCells): Cells {
  const names = new Map<string, Name>();
  let live = new Set<EvaluatedCell>();
  /** Let go of, their file names not yet free. */
  const gone = new Set<EvaluatedCell>();
  let version = 0;
  const fileNames = createFileNames();
  server.open({ path: workspace.path(globalsName), text: globalsText });
  const emptyScratches = (): void => {
    for (const name of Object.values(scratchNames)) server.open({ path: workspace.path(name), text: "export {};" });
  };
  emptyScratches();
  let scratch: { readonly path: string; readonly text: string } | null = null;

  const prelude = (visible: Iterable<readonly [string, Name]>): { text: string; uses: Set<EvaluatedCell> } => {
    const imports = new Map<EvaluatedCell, string[]>();
    const variables: string[] = [];
    const uses = new Set<EvaluatedCell>();
    for (const [name, { cell, mutable }] of visible) {
      if (!live.has(cell)) {
        variables.push(`declare let ${name}: any;`);
        continue;
      }
      uses.add(cell);
      // An import cannot be assigned to; a `let` of an earlier cell can.
      if (mutable) variables.push(`declare let ${name}: typeof import("./${cell.file}").${name};`);
      else imports.set(cell, [...(imports.get(cell) ?? []), name]);
    }
    const statements = [...imports].map(([cell, list]) => `import { ${list.join(", ")} } from "./${cell.file}";`);
    return { text: [...statements, ...variables].join(" "), uses };
  };

  const dropUnused = (): void => {
    const kept = new Set<EvaluatedCell>();
    const stack = [...names.values()].map(({ cell }) => cell);
    for (let cell = stack.pop(); cell !== undefined; cell = stack.pop()) {
      if (kept.has(cell) || !live.has(cell)) continue;
      kept.add(cell);
      stack.push(...cell.uses);
    }
    const inOrder = [...live].filter((cell) => kept.has(cell));
    const stillLive = new Set(inOrder.slice(Math.max(0, inOrder.length - maxCells)));
    for (const cell of live) {
      if (stillLive.has(cell)) continue;
      rmSync(cell.path, { force: true });
      cell.uses.clear();
      gone.add(cell);
    }
    live = stillLive;
    if (gone.size === 0) return;
    // A cell that lives on may still import from one of the oldest, let go of: that name must not become another cell's.
    const imported = new Set([...live].flatMap(({ uses }) => [...uses]));
    for (const cell of gone) {
      if (imported.has(cell)) continue;
      gone.delete(cell);
      fileNames.giveBack(cell.file);
    }
  };

  return {
    edit: (code) => {
      const { program, problems, language } = parseCell(code);
      const declared = new Set(topLevelDeclarations(program.body).map(({ name }) => name));
      if (problems.length > 0) for (const name of apparentDeclarations(code)) declared.add(name);
      const { text } = prelude([...names].filter(([name]) => !declared.has(name)));
      const path = workspace.path(scratchNames[language]);
      if (scratch !== null && scratch.path !== path) emptyScratches();
      scratch = { path, text: `${text}\n${code}\n;export {};` };
      server.open(scratch);
      return { path };
    },
    add: (code) => {
      if (!mayDeclare(code)) return false;
      const { program, problems, language } = parseCell(code);
      if (problems.length > 0) return false;
      const declarations = topLevelDeclarations(program.body);
      if (declarations.length === 0) return false;
      const own = new Set(declarations.map(({ name }) => name));
      const used = words(code);
      const { text, uses } = prelude([...names].filter(([name]) => used.has(name) && !own.has(name)));
      const exports = declarations.filter(({ exported }) => !exported).map(({ name }) => name);
      const { file, isNew } = fileNames.take(language);
      const whole = `${text}\n${code}\n;export { ${exports.join(", ")} };`;
      const cell: EvaluatedCell = { path: workspace.path(file), file, uses };
      live.add(cell);
      writeFileSync(cell.path, whole);
      // A file that the server has never heard of is read when a document imports it; of others it holds the old text.
      if (!isNew) server.filesChanged([{ path: cell.path, type: 2 }]);
      for (const { name, mutable } of declarations) names.set(name, { cell, mutable });
      dropUnused();
      version++;
      return true;
    },
    clear: () => {
      names.clear();
      dropUnused();
      version++;
    },
    canRun: (code) => parseCell(code).problems.length === 0,
    documentText: (path) => (path === scratch?.path ? scratch.text : null),
    get version() {
      return version;
    },
  };
}

type CellLanguage = ParsedCell["language"];

interface FileNames {
  take(language: CellLanguage): { readonly file: string; readonly isNew: boolean };
  giveBack(file: string): void;
}

/**
 * The names of cells' files. The server keeps about 1 KB for every path it has ever seen, so a name is used again once its
 * cell is gone: there are as many as cells that live at once. The one given back longest ago comes first.
 */
function createFileNames(): FileNames {
  const free: Record<CellLanguage, string[]> = { ts: [], tsx: [] };
  let count = 0;
  return {
    take: (language) => {
      const file = free[language].shift();
      return file === undefined ? { file: `cell-${++count}.${language}`, isNew: true } : { file, isNew: false };
    },
    giveBack: (file) => {
      free[file.endsWith(".tsx") ? "tsx" : "ts"].push(file);
    },
  };
}

/** What the kernel puts into every cell's scope. */
const globalsText = `
/** The value of the last cell that had one. */
declare var _: any;
/** Bun's shell. */
declare var $: typeof Bun.$;
`;
