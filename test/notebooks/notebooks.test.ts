// The lessons under notebooks/ are executed, not only read: each runs through nbclient on the real kernel, as
// `bun run demo` does, and its outputs are looked at. The real-data lesson runs where ../shared/data is present,
// against a local server with the hub's paths.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, normalize, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const python = join(root, ".venv/bin/python");
const hub = join(process.env.BUNSEN_SHARED ?? resolve(root, "../shared"), "data/hub");
const folder = mkdtempSync(join(tmpdir(), "bunsen-notebooks-"));
const ready = existsSync(join(root, ".venv/share/jupyter/kernels/bunsen/kernel.json"));
if (!ready) console.warn("notebooks are not executed: no .venv with the kernelspec; run `bun run setup` first");
if (!existsSync(hub)) console.warn(`the real-data notebook is not executed: no ${hub}`);

interface Cell {
  readonly cell_type: string;
  readonly metadata: { readonly tags?: readonly string[] };
  readonly outputs?: readonly {
    readonly output_type: string;
    readonly text?: string;
    readonly data?: Readonly<Record<string, unknown>>;
  }[];
}

async function execute(name: string, env: Record<string, string>): Promise<readonly Cell[]> {
  const output = join(folder, name);
  const child = Bun.spawn([python, join(root, "notebooks/tools/execute.py"), join(root, "notebooks", name), output], {
    cwd: root,
    env: { ...process.env, JUPYTER_PREFER_ENV_PATH: "1", ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, text] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  expect(code, text.slice(-4000)).toBe(0);
  return (JSON.parse(readFileSync(output, "utf8")) as { cells: readonly Cell[] }).cells;
}

const outputsOf = (cells: readonly Cell[]) => cells.flatMap((cell) => cell.outputs ?? []);
const tagged = (cells: readonly Cell[], tag: string) => cells.filter((cell) => cell.metadata.tags?.includes(tag));
const plainText = (cells: readonly Cell[]) =>
  outputsOf(cells)
    .map((output) => [output.text ?? output.data?.["text/plain"] ?? ""].flat().join(""))
    .join("\n");

/** A plot as JupyterLab draws it offline: the spec under the MIME type Lab knows, a PNG and an SVG, and no HTML to outrank them. */
function expectPlot(cells: readonly Cell[]): void {
  const plots = outputsOf(cells).filter((output) => output.data && "application/vnd.vegalite.v5+json" in output.data);
  expect(plots.length).toBeGreaterThan(0);
  for (const plot of plots) {
    expect(Object.keys(plot.data!)).toEqual(expect.arrayContaining(["image/png", "image/svg+xml"]));
    expect(plot.data).not.toHaveProperty("text/html");
    expect(Buffer.from(String(plot.data!["image/png"]), "base64").subarray(1, 4).toString()).toBe("PNG");
  }
}

describe.skipIf(!ready)("The notebooks", () => {
  let server: ReturnType<typeof Bun.serve> | undefined;
  beforeAll(() => {
    if (!existsSync(hub)) return;
    server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        const path = /^\/(datasets\/.+)\/resolve\/[^/]+\/(.+)$/.exec(decodeURIComponent(new URL(request.url).pathname));
        const file = path ? normalize(join(hub, path[1]!, path[2]!)) : "";
        if (!file.startsWith(hub) || !existsSync(file) || !statSync(file).isFile())
          return new Response("not found", { status: 404 });
        return new Response(Bun.file(file));
      },
    });
  });
  afterAll(async () => {
    await server?.stop(true);
    rmSync(folder, { recursive: true, force: true });
  });

  test("01-quickstart trains MPT end to end and prints a table, a plot and a conclusion of its own numbers", {
    timeout: 900_000,
  }, async () => {
    const cells = await execute("01-quickstart.ipynb", {});
    expect(plainText(tagged(cells, "result-table"))).toMatch(/mpt/i);
    expect(plainText(tagged(cells, "result-table"))).toMatch(/\d/);
    expect(plainText(tagged(cells, "conclusion"))).toMatch(/\d/);
    expectPlot(cells);
    expect(outputsOf(cells).some((output) => output.data && "text/html" in output.data)).toBe(true);
  });

  test.skipIf(!existsSync(hub))(
    "02-real-data trains on real SST-2 and RTE by their hub paths",
    { timeout: 900_000 },
    async () => {
      const cells = await execute("02-real-data.ipynb", {
        BUNSEN_HUB: `http://127.0.0.1:${server!.port}`,
        HF_HOME: join(folder, "hf-home"),
      });
      const text = plainText(cells);
      expect(text).toMatch(/sst2/i);
      expect(text).toMatch(/rte/i);
      expectPlot(cells);
      expect(existsSync(join(folder, "hf-home"))).toBe(true);
    },
  );

  test("03-own-dataset tunes a prompt on files of the user's own", { timeout: 300_000 }, async () => {
    const cells = await execute("03-own-dataset.ipynb", {});
    expect(plainText(tagged(cells, "result-table"))).toMatch(/prompt-tuning +tickets +\d/);
  });
});
