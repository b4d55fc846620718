// The set-up as a newcomer meets it: quick when done before, one clear line where something is missing, and no
// download script of a dependency ever run. The full set-up in a clean clone is what CI itself does.
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "bunsen-setup-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function setUp(cwd: string, env: Record<string, string | undefined> = {}): { code: number; text: string; ms: number } {
  const start = performance.now();
  const child = Bun.spawnSync([process.execPath, join(cwd, "notebooks/tools/setup.ts")], {
    cwd,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  return {
    code: child.exitCode,
    text: child.stdout.toString() + child.stderr.toString(),
    ms: performance.now() - start,
  };
}

/** A checkout whose packages are installed and whose Python environment is not. */
function checkoutWithoutPython(): string {
  const copy = join(folder, "checkout");
  mkdirSync(join(copy, "notebooks/tools"), { recursive: true });
  for (const file of ["package.json", "bun.lock", "requirements.txt", "notebooks/tools/setup.ts"]) {
    cpSync(join(root, file), join(copy, file));
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

describe("Set-up", () => {
  test.skipIf(!existsSync(join(root, ".venv/.bunsen-kernelspec")))(
    "done before, takes under 3 seconds and prints nothing",
    () => {
      const again = setUp(root);
      expect(again.text).toBe("");
      expect(again.code).toBe(0);
      expect(again.ms).toBeLessThan(3000);
    },
  );

  test("without Python says what to install, in one line and without a stack", () => {
    const ran = setUp(checkoutWithoutPython(), { PATH: "/nonexistent", BUNSEN_BOOTSTRAP_PYTHON: undefined });
    expect(ran.code).toBe(1);
    expect(ran.text.trim().split("\n")).toHaveLength(1);
    expect(ran.text).toMatch(/Python 3\.10 or newer with venv is needed.*Install it/);
  });

  test("leaves tfjs-node-gpu's download script alone: no native addon of 2022 was fetched", () => {
    const addon = join(root, "node_modules/@tensorflow/tfjs-node-gpu");
    expect(existsSync(join(addon, "dist/register_all_kernels.js"))).toBe(true);
    expect(existsSync(join(addon, "deps/lib"))).toBe(false);
    expect(existsSync(join(addon, "lib"))).toBe(false);
  });
});
