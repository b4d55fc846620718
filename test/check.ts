// The whole check: lint, types, tests; then one line `N passed, N failed` that counts them. Every part runs even
// where an earlier one failed, so that one run shows all there is to mend. Set-up is not done here (see package.json).
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

const root: string = resolve(import.meta.dir, "..");
const bin = (name: string): string => join(root, "node_modules/.bin", name);
const report: string = join(root, "test/output/vitest.json");

async function part(label: string, command: readonly string[]): Promise<boolean> {
  const start = performance.now();
  process.stdout.write(`\n── ${label}\n`);
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: "1" }) },
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

mkdirSync(join(root, "test/output"), { recursive: true });
rmSync(report, { force: true });

const checks: boolean[] = [
  await part("Biome: format and lint", [bin("biome"), "ci", "--colors=off", "--diagnostic-level=warn", "."]),
  await part("TypeScript: strict types", [bin("tsc"), "--noEmit"]),
];
const tested: boolean = await part("vitest", [
  bin("bun"),
  "--bun",
  bin("vitest"),
  "run",
  "--pool=threads",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
]);

let passed: number = checks.filter(Boolean).length;
let failed: number = checks.length - passed;
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(report, "utf8")) as VitestReport;
  // A file that could not even be loaded has no assertions: it counts as one failure.
  const broken = result.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  passed += result.numPassedTests;
  failed += result.numFailedTests + broken;
  skipped = result.numPendingTests;
  if (!tested && result.numFailedTests + broken === 0) failed += 1; // an unhandled error, or a run that broke off
  if (result.numPassedTests === 0) failed += 1;
} catch (cause) {
  process.stderr.write(
    `check: vitest left no readable report at ${report} (${cause instanceof Error ? cause.message : cause})\n`,
  );
  failed += 1;
}
process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`);
process.exit(failed === 0 ? 0 : 1);
