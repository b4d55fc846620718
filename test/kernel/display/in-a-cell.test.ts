// Showing values from real cells, through the real evaluator: what comes out, in which order, and before the cell ends.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEvaluator } from "#kernel/evaluator/child-process.ts";
import type { CellResult, Evaluator, Output } from "#kernel/evaluator/port.ts";

let folder = "";
let evaluator: Evaluator;
const outputs: Output[] = [];
let count = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bunsen-display-test-"));
  // Stands in for React's renderer: only that it is found and asked is tested here.
  const library = join(folder, "node_modules/react-dom");
  mkdirSync(library, { recursive: true });
  writeFileSync(
    join(library, "package.json"),
    '{ "name": "react-dom", "version": "0.0.0", "exports": { "./server": "./server.js" } }',
  );
  writeFileSync(
    join(library, "server.js"),
    "export const renderToStaticMarkup = (node) => '<i>' + typeof node.type + '</i>';",
  );
  evaluator = createEvaluator({ cwd: folder, onOutput: (output) => outputs.push(output), onLog: () => undefined });
});

afterAll(async () => {
  await evaluator[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a cell; gives each output as its type and the text or the MIME types that it carries. */
async function run(code: string): Promise<{ result: CellResult; shown: string[] }> {
  const id = `cell-${++count}`;
  const result = await evaluator.evaluate({
    id,
    code,
    executionCount: count,
    silent: false,
    storeHistory: true,
    allowStdin: false,
    userExpressions: {},
    subshellId: null,
  });
  // What comes later belongs to nobody's test: only what came before the cell's end counts.
  const own = outputs.filter((output) => output.cell === id);
  return { result, shown: own.map(describeOutput) };
}

function describeOutput(output: Output): string {
  if (output.type === "stream") return `${output.name} ${output.text.trim()}`;
  if (!("data" in output) || output.type.startsWith("comm")) return output.type;
  const { data } = output as { data: Record<string, unknown> };
  const mimes = Object.keys(data).filter((mime) => mime !== "text/plain");
  return [output.type, ...(mimes.length > 0 ? mimes.sort() : [String(data["text/plain"])])].join(" ");
}

const plot = `({ $schema: "https://vega.github.io/schema/vega-lite/v6.json", data: { values: [{ a: 1 }] }, mark: "point", encoding: { x: { field: "a" } } })`;

describe("in a cell", () => {
  test("what is shown and what is printed keep their order", async () => {
    const { shown } = await run(`
      import { display, html, markdown } from "bunsen/kernel";
      console.log("before");
      display(html\`<b>\${"<1>"}</b>\`);
      console.log("between");
      display({ a: 1 });
      markdown\`# last\``);
    expect(shown).toEqual([
      "stdout before",
      "display_data text/html",
      "stdout between",
      "display_data { a: 1 }",
      "execute_result text/markdown",
    ]);
  });

  test("a plot that nobody awaits is there before the cell ends", async () => {
    const { shown, result } = await run(`display(${plot}); "value"`);
    expect(result.status).toBe("ok");
    expect(shown).toEqual([
      "display_data application/vnd.vegalite.v5+json image/png image/svg+xml",
      "execute_result 'value'",
    ]);
    expect((await run(plot)).shown).toEqual([
      "execute_result application/vnd.vegalite.v5+json image/png image/svg+xml",
    ]);
  });

  test("display itself, and a progress bar, show as nothing when they are the last value", async () => {
    expect((await run("display(1)")).shown).toEqual(["display_data 1"]);
    const { shown } = await run(
      `import { progress } from "bunsen/kernel"; const bar = progress(2); bar.update(2); bar.end(); bar`,
    );
    expect(shown[0]).toMatch(/^display_data text\/html/);
    expect(shown.at(-1)).toMatch(/^update_display_data ━+ {2}100 %/);
    expect(shown.join()).not.toContain("execute_result");
  });

  test("JSX and the display symbol work without any package", async () => {
    const { shown } = await run(
      "const Item = ({ name }: { name: string }) => <li>{name}</li>;\n<ul><Item name='a < b' /></ul>",
    );
    expect(shown).toEqual(["execute_result text/html"]);
    const own = await run(
      "class Mine { [Symbol.for('Jupyter.display')]() { return { 'text/html': 'x' } } }; new Mine()",
    );
    expect(own.shown).toEqual(["execute_result text/html"]);
  });

  test("a component that needs its library's renderer gets it, where the folder has react-dom", async () => {
    const { shown } = await run("const Hooked = () => { throw new Error('needs a dispatcher') };\n<Hooked />");
    expect(shown).toEqual(["execute_result text/html"]);
  });

  test("errors that are values are told in the cell's own lines", async () => {
    const { shown } = await run("const made = new TypeError('as a value');\nconsole.log(made);\nmade");
    expect(shown.map((text) => text.includes("1 | const made"))).toEqual([true, true]);
    expect(shown.join("\n")).not.toMatch(/kernel\/|guard|\u001b/);
  });

  test("what a display method throws is the cell's error", async () => {
    const { result } = await run("({ [Symbol.for('Jupyter.display')]() { throw new RangeError('mine') } })");
    expect(result).toMatchObject({ status: "error", ename: "RangeError", evalue: "mine" });
  });

  test("tensors and tables are printed by console.log as they are shown", async () => {
    const { shown } = await run(`
      import { tableFromArrays } from "apache-arrow";
      const tensor = { dtype: "int32", shape: [2], size: 2, dataId: {}, dataSync: () => [3, 4], dispose() {} };
      console.log(tableFromArrays({ x: [1, 2] }));
      console.log("t:", { tensor });`);
    expect(shown.join("\n")).toContain("Table(2 rows × 1 column) { x: Float64 }");
    expect(shown.join("\n")).toMatch(/t: \{\s+tensor: Tensor int32 \[2\]\s+\[3, 4\]\s+\}/);
  });
});
