// What cells import: local files (reloaded when edited), packages from the notebook's folder upwards, the project's own.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the cells under test are text

import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { start } from "./harness.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "bunsen-modules-")));
const folder = join(root, "notebooks");
mkdirSync(folder);
const kernel = start(folder);
afterAll(async () => {
  await kernel[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

async function value(code: string): Promise<string | undefined> {
  const ran = await kernel.run(code);
  if (ran.result.status === "error") throw new Error(ran.traceback);
  return ran.value;
}

test("static imports of every form bind their names for later cells", async () => {
  write("notebooks/forms.ts", "export default 1; export const two = 2; export const three = 3; export type Four = 4;");
  await value(
    "import one, { two as zwei, three, type Four } from './forms.ts'; import * as all from './forms'; import './forms.ts'",
  );
  expect(await value("[one, zwei, three, all.two]")).toBe("[ 1, 2, 3, 2 ]");
  expect(await value("(await import('./forms.ts')).default")).toBe("1");
  expect(await value("require('./forms.ts').two")).toBe("2");
});

test("imports are hoisted above the code that uses them", async () => {
  expect(await value("const used = basename('/a/b'); import { basename } from 'node:path'; used")).toContain("b");
});

test("built-in modules of node and bun load", async () => {
  expect(
    await value(
      "import { statSync } from 'fs'; import { join } from 'node:path'; import { Database } from 'bun:sqlite'; import { $, file } from 'bun'; [typeof statSync, typeof join, typeof Database, typeof $, typeof file].join()",
    ),
  ).toContain("function,function,function,function,function");
});

test("import attributes reach the loader", async () => {
  write("notebooks/data.json", '{"a": [1, 2]}');
  write("notebooks/words.txt", "some words");
  expect(await value("import data from './data.json' with { type: 'json' }; data.a")).toBe("[ 1, 2 ]");
  expect(await value("import words from './words.txt' with { type: 'text' }; words")).toContain("some words");
  expect(await value("(await import('./data.json', { with: { type: 'text' } })).default.length")).toBe("13");
});

test("packages are found from the notebook's folder upwards, ESM and CommonJS", async () => {
  write(
    "node_modules/esm-pack/package.json",
    '{"name":"esm-pack","type":"module","exports":{".":"./index.js","./sub":"./sub.js"}}',
  );
  write("node_modules/esm-pack/index.js", "export const kind = 'esm'; export default class Pack {}");
  write("node_modules/esm-pack/sub.js", "export const sub = await Promise.resolve('sub')");
  write("notebooks/node_modules/cjs-pack/package.json", '{"name":"cjs-pack","main":"main.js"}');
  write("notebooks/node_modules/cjs-pack/main.js", "exports.kind = 'cjs'; exports.helper = () => require('./other').x");
  write("notebooks/node_modules/cjs-pack/other.js", "module.exports = { x: 5 }");
  expect(
    await value(
      "import Pack, { kind as k1 } from 'esm-pack'; import { sub } from 'esm-pack/sub'; import { kind as k2, helper } from 'cjs-pack'; [Pack.name, k1, sub, k2, helper()]",
    ),
  ).toBe("[ 'Pack', 'esm', 'sub', 'cjs', 5 ]");
});

test("edited local modules, and what they import, are loaded anew on the next import", async () => {
  write("notebooks/lib/inner.ts", "export const version = 1;");
  write(
    "notebooks/lib/outer.ts",
    "import { version } from './inner'; export const told = `version ${version}`; export const stamp = Math.random();",
  );
  write("notebooks/lib/still.ts", "export const stamp = Math.random();");
  await value("import { told, stamp } from './lib/outer.ts'; import { stamp as still } from './lib/still.ts'");
  expect(await value("told")).toContain("version 1");
  await value("const before = [stamp, still]");
  await value("import { told, stamp } from './lib/outer.ts'");
  expect(await value("stamp === before[0]")).toBe("true");
  write("notebooks/lib/inner.ts", "export const version = 22;");
  await value("import { told, stamp } from './lib/outer.ts'; import { stamp as still } from './lib/still.ts'");
  expect(await value("told")).toContain("version 22");
  expect(await value("[stamp === before[0], still === before[1]]")).toBe("[ false, true ]");
});

test("a module that failed loads after it is mended", async () => {
  write("notebooks/mend.ts", "export const x = ;");
  expect((await kernel.run("import { x as mended } from './mend.ts'")).result.status).toBe("error");
  write("notebooks/mend.ts", "export const x = 'mended';");
  expect(await value("import { x as mended } from './mend.ts'; mended")).toContain("mended");
  expect((await kernel.run("import './not-yet.ts'")).result.status).toBe("error");
  write("notebooks/not-yet.ts", "export const y = 'here now';");
  expect(await value("import { y } from './not-yet.ts'; y")).toContain("here now");
});

test("a missing package's error says the command that adds it", async () => {
  const ran = await kernel.run("import { z } from '@nobody/no-such-package/deep'");
  expect(ran.result).toMatchObject({ status: "error", ename: "MissingPackageError" });
  expect(ran.traceback).toContain('await add("@nobody/no-such-package")');
  expect(ran.traceback).toContain("bun add @nobody/no-such-package");
  write("notebooks/wants.ts", "import 'no-such-package-either'; export {};");
  const inner = await kernel.run("import './wants.ts'");
  expect(inner.traceback).toContain('await add("no-such-package-either")');
});

test("an installed package without the path asked for is not called missing", async () => {
  const ran = await kernel.run("import 'cjs-pack/nowhere'");
  expect(ran.result).toMatchObject({ status: "error" });
  expect(ran.traceback).not.toContain("is not installed");
});

test("`add` installs a package that cells can import at once, and its update too", async () => {
  write("local-pack/package.json", '{"name":"local-pack","version":"1.0.0","type":"module","exports":"./index.js"}');
  write("local-pack/index.js", "export const version = 1");
  write("notebooks/package.json", '{"name":"notebooks","private":true}');
  const runtime = "globalThis[Symbol.for('bunsen.kernel')]";
  expect((await kernel.run("import 'local-pack'")).result).toMatchObject({ ename: "MissingPackageError" });
  await value(`await ${runtime}.add("file:../local-pack")`);
  expect(await value("import { version } from 'local-pack'; version")).toBe("1");
});

test("`add` and the import of what it adds may stand in one cell", async () => {
  write("other-pack/package.json", '{"name":"other-pack","version":"1.0.0","type":"module","exports":"./index.js"}');
  write("other-pack/index.js", "export const other = 'at once'");
  const cell =
    "const { add } = globalThis[Symbol.for('bunsen.kernel')];\nawait add('file:../other-pack');\nimport { other } from 'other-pack';\nother";
  expect(await value(cell)).toContain("at once");
});

test("`add` refuses what is no package name, and tells the installer's own words", async () => {
  const runtime = "globalThis[Symbol.for('bunsen.kernel')]";
  const named = await kernel.run(`await ${runtime}.add("--global")`);
  expect(named.result).toMatchObject({ ename: "AddError" });
  expect(named.traceback).toContain("is not a package name");
  const absent = await kernel.run(`await ${runtime}.add("file:./no/such/folder")`);
  expect(absent.result).toMatchObject({ ename: "AddError" });
});

test("the project's own packages come from the project, for cells and for what they import", async () => {
  // A second copy beside the notebook must not win.
  write("node_modules/apache-arrow/package.json", '{"name":"apache-arrow","main":"index.js"}');
  write("node_modules/apache-arrow/index.js", "exports.second = true");
  write("notebooks/uses-arrow.ts", "import * as arrow from 'apache-arrow'; export { arrow };");
  expect(await value("import * as arrow from 'apache-arrow'; [typeof arrow.tableFromArrays, 'second' in arrow]")).toBe(
    "[ 'function', false ]",
  );
  expect(await value("import { arrow as theirs } from './uses-arrow.ts'; theirs.Table === arrow.Table")).toBe("true");
  expect(await value("import * as tf from '@tensorflow/tfjs-core'; typeof tf.tensor")).toContain("function");
});
