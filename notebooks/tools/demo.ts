// The main job of `bun run demo`: executes the quickstart notebook on the kernel, then prints its result table, its
// conclusion and where everything lies. It computes nothing itself: what it prints is what the notebook's cells gave.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";

const root: string = resolve(import.meta.dir, "../..");
const python: string = join(root, ".venv/bin/python");

interface NotebookOutput {
  readonly output_type: string;
  readonly text?: string | readonly string[];
  readonly data?: Readonly<Record<string, string | readonly string[]>>;
}

interface Notebook {
  readonly cells: readonly {
    readonly cell_type: string;
    readonly metadata: { readonly tags?: readonly string[] };
    readonly outputs?: readonly NotebookOutput[];
  }[];
}

const joined = (text: string | readonly string[] | undefined): string =>
  typeof text === "string" ? text : (text ?? []).join("");

/** Plain text of the outputs of cells that carry a tag. */
function taggedText(notebook: Notebook, tag: string): string {
  const cells = notebook.cells.filter((cell) => cell.metadata.tags?.includes(tag));
  const outputs = cells.flatMap((cell) => cell.outputs ?? []);
  return outputs
    .map((output) => joined(output.text ?? output.data?.["text/plain"]))
    .filter(Boolean)
    .join("\n");
}

async function main(): Promise<number> {
  const notebook = resolve(root, process.argv[2] ?? "notebooks/01-quickstart.ipynb");
  if (!existsSync(notebook)) {
    process.stderr.write(`demo: no notebook at ${notebook}; expected one of notebooks/*.ipynb\n`);
    return 2;
  }
  const runs = join(root, "notebooks/runs");
  mkdirSync(runs, { recursive: true });
  const output = join(runs, basename(notebook));
  const start = performance.now();
  const child = Bun.spawn([python, join(root, "notebooks/tools/execute.py"), notebook, output], {
    cwd: root,
    env: { ...process.env, JUPYTER_PREFER_ENV_PATH: "1" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const code = await child.exited;
  if (code !== 0) return code;
  const executed = JSON.parse(readFileSync(output, "utf8")) as Notebook;
  const table = taggedText(executed, "result-table");
  const conclusion = taggedText(executed, "conclusion");
  process.stdout.write(`\n${table}\n\n${conclusion}\n\n`);
  process.stdout.write(`executed notebook: ${relative(process.cwd(), output) || output}\n`);
  process.stdout.write(`time: ${((performance.now() - start) / 1000).toFixed(0)} s\n`);
  if (table === "") {
    process.stderr.write("demo: the notebook printed no result table (no cell tagged `result-table` has output)\n");
    return 1;
  }
  return 0;
}

process.exit(await main());
