// The folder on disk that the language server works in: the tsconfig, and the cells that ran (cells.ts). It mirrors the
// notebook's own path under a temporary root, so that the server finds our tsconfig above the cells whatever lies above
// the notebook, while `rootDirs` and links lead relative imports and packages to the real folders. Nothing is written
// into the notebook's folder.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findTsconfig, foldersUpwards, readTsconfig } from "../syntax/tsconfig.ts";

export interface Workspace {
  /** The temporary root; the tsconfig lies here. */
  readonly root: string;
  /** Where cells lie: `root` + the notebook's folder. */
  readonly cellFolder: string;
  readonly cwd: string;
  /** Whether the user's own tsconfig asks for types where TypeScript finds none itself (diagnostics.ts). */
  readonly noImplicitAny: boolean;
  /** `cellFolder/name` for a cell's document. */
  path(name: string): string;
  /** The real path behind one that a message of the server names. */
  realPath(path: string): string;
  remove(): void;
}

/** The package's own root, for the types of `bunsen`, `bunsen/kernel` and Bun. */
const packageRoot = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** File names that documents are opened under; listed in the tsconfig, so that the server takes them for its project's. */
export const scratchNames = { ts: "cell.ts", tsx: "cell.tsx" } as const;
export const globalsName = "cell-globals.d.ts";

const namePattern = /^bunsen-types-(\d+)-/;

export function createWorkspace(cwd: string): Workspace {
  removeStale();
  const root = mkdtempSync(join(tmpdir(), `bunsen-types-${process.pid}-`));
  const notebookFolder = resolve(cwd);
  const cellFolder = join(root, notebookFolder);
  mkdirSync(cellFolder, { recursive: true });
  linkPackages(root, notebookFolder);
  const own = findTsconfig(notebookFolder);
  writeFileSync(
    join(root, "tsconfig.json"),
    JSON.stringify(makeConfig(root, cellFolder, notebookFolder, own), null, 2),
  );
  return {
    root,
    cellFolder,
    cwd: notebookFolder,
    noImplicitAny: own !== undefined && readTsconfig(own).noImplicitAny,
    path: (name) => join(cellFolder, name),
    realPath: (path) => (path.startsWith(`${root}/`) ? path.slice(root.length) : path),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** A kernel that was killed leaves its folder; the next one that starts takes away those whose process is gone. */
function removeStale(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = namePattern.exec(name)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // Another user's: theirs to remove.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Packages are looked for from the cell upwards: each `node_modules` on the real way gets a link on the mirrored way. */
function linkPackages(root: string, cwd: string): void {
  const folders = foldersUpwards(cwd);
  // Where packages will be when the first is added, so that no second start of the server is needed then.
  const home = folders.find((folder) => existsSync(join(folder, "package.json"))) ?? cwd;
  for (const folder of folders) {
    const real = join(folder, "node_modules");
    if (folder !== home && folder !== cwd && !existsSync(real)) continue;
    const link = join(root, folder, "node_modules");
    if (!linkExists(link)) symlinkSync(real, link);
  }
}

function linkExists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Our defaults, then the user's own tsconfig (the nearest above the notebook), which wins, then what cells cannot do
 * without.
 */
function makeConfig(root: string, cellFolder: string, cwd: string, own: string | undefined): object {
  const folders = foldersUpwards(cwd);
  const defaults = {
    compilerOptions: {
      target: "esnext",
      lib: ["esnext"],
      // With noImplicitAny, which is hidden in what is shown (diagnostics.ts): without it an empty array or a null takes no other type.
      strict: true,
      useUnknownInCatchVariables: false,
      jsx: "react-jsx",
      jsxImportSource: "bunsen/kernel",
      types: ["bun"],
      experimentalDecorators: false,
      resolveJsonModule: true,
    },
  };
  writeFileSync(join(root, "defaults.json"), JSON.stringify(defaults, null, 2));
  return {
    extends: ["./defaults.json", ...(own === undefined ? [] : [own])],
    compilerOptions: {
      module: "preserve",
      moduleResolution: "bundler",
      moduleDetection: "force",
      allowImportingTsExtensions: true,
      allowJs: true,
      checkJs: false,
      skipLibCheck: true,
      noEmit: true,
      composite: false,
      incremental: false,
      declaration: false,
      isolatedModules: false,
      isolatedDeclarations: false,
      verbatimModuleSyntax: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
      allowUnreachableCode: true,
      allowUnusedLabels: true,
      disableSolutionSearching: true,
      rootDirs: [root, "/"],
      typeRoots: [...folders, packageRoot].map((folder) => join(folder, "node_modules", "@types")),
      paths: {
        bunsen: [join(packageRoot, "toolkit/index.ts")],
        "bunsen/kernel": [join(packageRoot, "kernel/index.ts")],
        "bunsen/kernel/jsx-runtime": [join(packageRoot, "kernel/display/jsx-runtime.ts")],
        // A cell that imports these gets the toolkit's own copy.
        ...Object.fromEntries(
          ["@tensorflow/tfjs-core", "apache-arrow"].flatMap((name) => {
            const folder = join(packageRoot, "node_modules", name);
            return [[name, [folder]] as const, [`${name}/*`, [join(folder, "*")]] as const];
          }),
        ),
        // The paths of an extending config replace all others: the user's are ours too.
        ...(own === undefined ? {} : readTsconfig(own).paths),
      },
    },
    include: [],
    files: [...Object.values(scratchNames), globalsName].map((name) => join(cellFolder, name)),
  };
}
