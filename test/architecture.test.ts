// The arrows of the house: which room may import which. A source lint written as a test: it reads import lines, it
// runs nothing. The table below is the architecture pages' drawing; a new arrow is a decision, made here and there.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");

/** room → rooms it may import. A room is a folder under kernel/ or toolkit/, `datasets`, or a top file of a building. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  "kernel/wire": [],
  "kernel/protocol": [],
  "kernel/syntax": [],
  "kernel/display": [],
  "kernel/install": [],
  "kernel/language": ["kernel/syntax"],
  "kernel/evaluator": ["kernel/display", "kernel/syntax"],
  "kernel/session": ["kernel/wire", "kernel/protocol", "kernel/language", "kernel/syntax", "kernel/evaluator"],
  "kernel/index.ts": ["kernel/display", "kernel/evaluator"],
  "kernel/main.ts": [
    "kernel/wire",
    "kernel/protocol",
    "kernel/session",
    "kernel/evaluator",
    "kernel/language",
    "kernel/install",
  ],
  "toolkit/tensor": [],
  "toolkit/tokenizers": [],
  "toolkit/metrics": ["datasets"],
  "toolkit/nn": ["toolkit/tensor"],
  "toolkit/weights": ["toolkit/tensor"],
  "toolkit/models": ["toolkit/nn", "toolkit/tensor", "toolkit/weights"],
  "toolkit/methods": ["toolkit/nn", "toolkit/tensor", "toolkit/weights", "toolkit/models"],
  "toolkit/batches": ["toolkit/tokenizers", "datasets"],
  "toolkit/training": [
    "toolkit/nn",
    "toolkit/models",
    "toolkit/methods",
    "toolkit/batches",
    "toolkit/metrics",
    "toolkit/weights",
    "toolkit/tensor",
    "toolkit/tokenizers",
    "datasets",
  ],
  "toolkit/report": ["toolkit/metrics", "toolkit/methods", "toolkit/training", "datasets"],
  "toolkit/experiments": ["toolkit/training", "toolkit/report"],
  datasets: [],
};

/** Rooms that may import everything of their building: the command lines and the lists of public names. */
const open: readonly string[] = ["toolkit/main.ts", "toolkit/index.ts", "toolkit/commands"];

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.tsx?$/.test(entry.name)) yield path;
  }
}

function roomOf(path: string): string {
  const [building, room] = path.split("/");
  return building === "datasets" ? "datasets" : `${building}/${room}`;
}

/** Paths, relative to the root, of the project's own modules that a file imports. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const found: string[] = [];
  for (const match of text.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|^import\s+)"([^"\n]+)"/gm)) {
    const specifier = match[1]!;
    if (specifier.startsWith("#")) found.push(specifier.slice(1));
    else if (specifier.startsWith(".")) found.push(relative(root, resolve(dirname(file), specifier)));
  }
  return found;
}

const files = ["kernel", "toolkit", "datasets"].flatMap((building) => [...sources(join(root, building))]);

describe("The arrows between rooms", () => {
  test("every room of the house has a row in the table", () => {
    const rooms = new Set(files.map((file) => roomOf(relative(root, file))));
    const unknown = [...rooms].filter((room) => !(room in arrows) && !open.includes(room));
    expect(unknown).toEqual([]);
  });

  test("a file imports only its own room and the rooms its arrows point at", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const path = relative(root, file);
      const room = roomOf(path);
      if (open.includes(room)) continue;
      const allowed = arrows[room] ?? [];
      for (const target of importsOf(file)) {
        const other = roomOf(target);
        // Contracts are types only: models/contract.ts may name the tensor type, a port file the session's.
        if (other !== room && !allowed.includes(other)) wrong.push(`${path} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("the kernel knows nothing of the toolkit, and the toolkit nothing of the kernel", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const building = relative(root, file).split("/")[0]!;
      for (const target of importsOf(file)) {
        const other = target.split("/")[0]!;
        if (building === "kernel" ? other !== "kernel" : other === "kernel")
          wrong.push(`${relative(root, file)} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("every file opens with a comment that says what it is", () => {
    const silent = files.filter((file) => !/^(#!.*\n)?\s*(\/\/|\/\*)/.test(readFileSync(file, "utf8")));
    expect(silent.map((file) => relative(root, file))).toEqual([]);
  });
});
