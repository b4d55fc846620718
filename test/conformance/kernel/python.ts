// Runs the Python suites of this folder against a freshly installed kernelspec and gives what became of each check.
// Nothing of the user's is read or written: kernelspecs, history and runtime files are in a folder of their own.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";

const project = resolve(import.meta.dirname, "..", "..", "..");

/** The Python with jupyter_client and friends: BUNSEN_PYTHON, else the project's .venv; null where neither is there. */
export function findPython(): string | null {
  const named = process.env.BUNSEN_PYTHON;
  if (named !== undefined && named !== "") return named;
  const own = join(project, ".venv", "bin", "python");
  return existsSync(own) ? own : null;
}

export interface Check {
  readonly name: string;
  /** Empty where it passed. */
  readonly problem: string;
  readonly seconds: number;
}

/** Environment for a Python that shall see the kernelspec installed under `home`. */
export function isolated(home: string): Record<string, string | undefined> {
  return {
    ...process.env,
    HOME: home,
    XDG_DATA_HOME: join(home, "data"),
    JUPYTER_PATH: join(home, "prefix", "share", "jupyter"),
    JUPYTER_DATA_DIR: join(home, "jupyter"),
    JUPYTER_RUNTIME_DIR: join(home, "runtime"),
    JUPYTER_CONFIG_DIR: join(home, "config"),
    IPYTHONDIR: join(home, "ipython"),
    BUNSEN_HISTORY: join(home, "history.sqlite"),
    BUNSEN_PROJECT: project,
    PYTHONDONTWRITEBYTECODE: "1",
  };
}

export function installKernel(home: string): void {
  const installed = Bun.spawnSync(
    [process.execPath, join(project, "kernel", "main.ts"), "install", "--prefix", join(home, "prefix")],
    { stderr: "pipe", stdout: "pipe" },
  );
  if (installed.exitCode !== 0) throw new Error(`install failed: ${installed.stderr.toString()}`);
}

/** Makes one vitest test of each check in these Python modules. Called while the tests are collected. */
export async function suites(modules: readonly string[], timeoutMs = 300_000): Promise<void> {
  const python = findPython();
  if (python === null) {
    test.skip(`${modules.join(", ")}: no .venv (bun run setup makes it) and no BUNSEN_PYTHON`, () => {});
    return;
  }
  const home = mkdtempSync(join(tmpdir(), "bunsen-conformance-"));
  afterAll(() => rmSync(home, { recursive: true, force: true }));
  installKernel(home);
  const report = join(home, "report.jsonl");
  const run = Bun.spawn([python, join(import.meta.dirname, "run.py"), report, ...modules], {
    cwd: home,
    env: isolated(home),
    stdout: "pipe",
    stderr: "pipe",
    timeout: timeoutMs,
  });
  const [output, errors, status] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited]);
  const checks: Check[] = existsSync(report)
    ? readFileSync(report, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Check)
    : [];
  for (const check of checks) {
    test(`${check.name} (${check.seconds} s)`, () => {
      if (check.problem !== "") expect.fail(`${check.problem}\n${errors.slice(-4000)}`);
    });
  }
  test(`${modules.join(", ")} ran to the end`, () => {
    const said = `${output.slice(-2000)}\n${errors.slice(-4000)}`;
    expect(checks.length, said).toBeGreaterThan(0);
    if (checks.every((check) => check.problem === "")) expect(status, said).toBe(0);
  });
}
