// The whole check: lint, types, tests; then one line `N passed, N failed` that counts them. Every part runs even
// where an earlier one failed, so that one run shows all there is to mend. Set-up is not done here (see package.json).
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

const root: string = resolve(import.meta.dir, "..");
const bin = (name: string): string => join(root, "node_modules/.bin", name);
const output: string = join(root, "test/output");

async function part(
  label: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  const start = performance.now();
  process.stdout.write(`\n── ${label}\n`);
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, ...environment, ...(process.stdout.isTTY ? {} : { NO_COLOR: "1" }) },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ok = (await child.exited) === 0;
  process.stdout.write(
    `── ${label}: ${ok ? "ok" : "FAILED"} in ${((performance.now() - start) / 1000).toFixed(1)} s\n`,
  );
  return ok;
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Runs test files, all where none is named, and counts what they say. */
async function tests(
  label: string,
  files: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<Counts> {
  const report = join(output, `${label.replace(/\W+/g, "-")}.json`);
  rmSync(report, { force: true });
  const isGreen = await part(
    label,
    [
      bin("bun"),
      "--bun",
      bin("vitest"),
      "run",
      "--pool=threads",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
      ...files,
    ],
    environment,
  );
  try {
    const result = JSON.parse(readFileSync(report, "utf8")) as VitestReport;
    // A file that could not even be loaded has no assertions: it counts as one failure.
    const broken = result.testResults.filter(
      (file) => file.status === "failed" && file.assertionResults.length === 0,
    ).length;
    let failed = result.numFailedTests + broken;
    if (!isGreen && failed === 0) failed += 1; // an unhandled error, or a run that broke off
    if (result.numPassedTests === 0) failed += 1;
    return { passed: result.numPassedTests, failed, skipped: result.numPendingTests };
  } catch (cause) {
    process.stderr.write(
      `check: vitest left no readable report at ${report} (${cause instanceof Error ? cause.message : cause})\n`,
    );
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

mkdirSync(output, { recursive: true });

const checks: boolean[] = [
  await part("Biome: format and lint", [bin("biome"), "ci", "--colors=off", "--diagnostic-level=warn", "."]),
  await part("TypeScript: strict types", [bin("tsc"), "--noEmit"]),
];
const counts: Counts[] = [
  await tests("vitest"),
  // Where oneDNN is installed, the first run is on its products alone; not everyone has it.
  await tests(
    "vitest on XLA's own products",
    ["test/conformance/tensor.test.ts", "test/toolkit/tensor/products.test.ts"],
    {
      BUNSEN_ONEDNN: "off",
    },
  ),
];

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const held = checks.filter(Boolean).length;
const passed = held + sum(counts.map((count) => count.passed));
const failed = checks.length - held + sum(counts.map((count) => count.failed));
const skipped = sum(counts.map((count) => count.skipped));
process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
process.exit(failed === 0 ? 0 : 1);
