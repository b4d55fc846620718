// tfjs-core's own tests of its ops, on our engines: eager kernels, their gradients, their errors. What cannot hold is
// named in tfjs-core-exceptions.ts. Compiled functions are not run here: tensor.test.ts holds them to eager ones.
import { beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { exceptions, leftOut } from "./tfjs-core-exceptions.ts";
import { runTfjsCoreTests, type SpecResult, testFiles } from "./tfjs-core-jasmine.ts";

// With a plugin named, the engine cpu is PJRT, where each eager op of each shape is compiled: minutes of it.
const plugin = process.env.BUNSEN_PJRT_PLUGIN !== undefined;
const native = !plugin && discoverTensorflow().path !== undefined;
if (!native)
  console.log(
    `${plugin ? "BUNSEN_PJRT_PLUGIN is set" : "libtensorflow is not installed here"}: tfjs-core's tests are skipped on engine cpu`,
  );
const engines: readonly Engine["name"][] = native ? ["cpu", "wasm"] : ["wasm"];

const skipped = new Set(leftOut.flatMap(({ files }) => files));
const files = testFiles().filter((file) => !skipped.has(file));

let results: readonly SpecResult[] = [];
beforeAll(async () => {
  results = await runTfjsCoreTests(files, engines);
});

it("finds every file that is left out", () => {
  expect(testFiles()).toEqual(expect.arrayContaining([...skipped]));
});

describe.each(engines)("engine %s", (engine) => {
  const excepted = exceptions.filter((row) => row.engine === engine);

  it.each(files)("%s", (file) => {
    const own = results.filter((result) => result.engine === engine && result.file === file);
    const names = new Set(excepted.flatMap(({ tests }) => tests[file] ?? []));
    const failed = own.filter(({ name, failures }) => failures.length > 0 && !names.has(name));
    expect(own.length, `no test of ${file} ran`).toBeGreaterThan(0);
    expect(failed.map(({ name, failures }) => `${name}: ${failures.join("; ")}`)).toEqual([]);
  });

  it.each(excepted.map((row) => [row.reason, row] as const))("only what fails is excepted: %s", (_, { tests }) => {
    const stale = Object.entries(tests).flatMap(([file, names]) =>
      names.filter((name) => {
        const result = results.find((one) => one.engine === engine && one.file === file && one.name === name);
        return !result || result.failures.length === 0;
      }),
    );
    expect(stale, "these pass or are not there: take them out of tfjs-core-exceptions.ts").toEqual([]);
  });
});
