// Runs the tests that tfjs-core ships (dist/ops/*_test.js) on our engines, with the real jasmine that they were written
// for, inside one vitest worker. It knows jasmine and tfjs's test helper; which tests cannot hold is no matter of it.
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Engine, tf, useEngine } from "#toolkit/tensor/index.ts";

export interface SpecResult {
  readonly engine: Engine["name"];
  /** The op's file without its ending: "concat" for concat_test.js. */
  readonly file: string;
  /** The suite's name as tfjs wrote it, a space, the test's own name; a repeated one ends in " (2)". */
  readonly name: string;
  /** Empty when the test passed. */
  readonly failures: readonly string[];
}

/** The few parts of jasmine-core 5.9 that are used here. */
interface Jasmine {
  getEnv(): JasmineEnv;
}

interface JasmineEnv {
  configure(options: { readonly random: boolean }): void;
  addReporter(reporter: {
    specDone(result: Done): void;
    suiteDone(result: Done): void;
    jasmineDone(result: Done): void;
  }): void;
  topSuite(): Suite;
  execute(): Promise<unknown>;
}

interface Suite {
  readonly id: string;
  readonly children?: readonly Suite[];
}

interface Done {
  readonly id: string;
  readonly fullName?: string;
  readonly status: string;
  readonly failedExpectations?: readonly { readonly message: string }[];
}

interface TestEnv {
  readonly name: Engine["name"];
  readonly backendName: string;
  readonly isDataSync: true;
}

interface JasmineUtil {
  setTestEnvs(environments: readonly TestEnv[]): void;
}

const require = createRequire(import.meta.url);
const core = join(dirname(require.resolve("@tensorflow/tfjs-core/package.json")), "dist");
/** The ops that tfjs-core ships tests of, as their files are called. */
export const testFiles = (): readonly string[] =>
  readdirSync(join(core, "ops"))
    .filter((name) => name.endsWith("_test.js"))
    .map((name) => name.replace("_test.js", ""))
    .toSorted();

/**
 * Runs the files on each engine and resolves with one result per test, passed or not. Once per process: jasmine's
 * globals stay behind.
 * @throws Error when a file cannot be loaded, or jasmine fails outside of any test.
 */
export async function runTfjsCoreTests(
  files: readonly string[],
  engines: readonly Engine["name"][],
): Promise<readonly SpecResult[]> {
  const environments: TestEnv[] = [];
  for (const name of engines)
    environments.push({ name, backendName: (await useEngine(name)).backend, isDataSync: true });
  keepBackends();

  const env = (require("jasmine-core") as { boot(fresh: boolean): Jasmine }).boot(true).getEnv();
  env.configure({ random: false });
  // The tests use chained ops, which our engine does not load.
  await load("public/chained_ops/register_all_chained_ops.js");
  ((await load("jasmine_util.js")) as JasmineUtil).setTestEnvs(environments);

  const fileOf = new Map<string, string>();
  for (const file of files) {
    await load(`ops/${file}_test.js`);
    for (const id of ids(env.topSuite())) if (!fileOf.has(id)) fileOf.set(id, file);
  }
  return execute(env, engines, fileOf);
}

/** By its file, past vite: the tests must meet the same copy of each module as each other. */
const load = (path: string): Promise<unknown> => import(/* @vite-ignore */ pathToFileURL(join(core, path)).href);

/**
 * tfjs's helper throws all that the engine holds away between suites. The backends are kept: ours hold a C library and
 * are started once per process.
 */
function keepBackends(): void {
  const engine = tf.engine() as unknown as { state: { dispose(): void }; reset(): void };
  const State = engine.state.constructor as new () => typeof engine.state;
  engine.reset = (): void => {
    engine.state.dispose();
    engine.state = new State();
  };
}

const ids = (suite: Suite): string[] => [suite.id, ...(suite.children ?? []).flatMap(ids)];

async function execute(
  env: JasmineEnv,
  engines: readonly Engine["name"][],
  fileOf: ReadonlyMap<string, string>,
): Promise<readonly SpecResult[]> {
  const results: SpecResult[] = [];
  const outside: string[] = [];
  const seen = new Map<string, number>();
  const failures = ({ failedExpectations = [] }: Done): string[] => failedExpectations.map(({ message }) => message);
  env.addReporter({
    specDone(done) {
      const engine = engines.find((name) => done.fullName?.includes(` ${name} {}`));
      // Suites without an engine test plain functions of tfjs-core.
      if (!engine || done.status === "excluded" || done.status === "pending") return;
      const plain = done.fullName!.replace(` ${engine} {}`, "");
      const place = `${engine}/${fileOf.get(done.id)}/${plain}`;
      const times = (seen.get(place) ?? 0) + 1;
      seen.set(place, times);
      results.push({
        engine,
        file: fileOf.get(done.id)!,
        name: times > 1 ? `${plain} (${times})` : plain,
        failures: failures(done),
      });
    },
    suiteDone: (done) => void outside.push(...failures(done)),
    jasmineDone: (done) => void outside.push(...failures(done)),
  });
  await quietly(() => env.execute());
  if (outside.length > 0) throw new Error(`tfjs-core's tests failed outside of a test:\n${outside.join("\n")}`);
  return results;
}

/** Backends print what the tests provoke, hundreds of lines. What fails is in the results. */
async function quietly(work: () => Promise<unknown>): Promise<void> {
  const { log, warn, error } = console;
  Object.assign(console, { log() {}, warn() {}, error() {} });
  try {
    await work();
  } finally {
    Object.assign(console, { log, warn, error });
  }
}
