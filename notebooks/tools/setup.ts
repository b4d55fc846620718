// Sets up everything the notebooks and the tests need, once: packages from the lock file, a `.venv` with JupyterLab,
// the kernelspec inside it, and with --native the compiled tensor engine. It runs before anything is installed, so it
// imports only Bun and Node built-ins. It is idempotent: a second run checks stamps and ends in well under 3 s.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root: string = resolve(import.meta.dir, "../..");
const venv: string = join(root, ".venv");
const windows: boolean = process.platform === "win32";
const python: string = windows ? join(venv, "Scripts/python.exe") : join(venv, "bin/python");

/** The pinned native engine; wheels exist for these platforms only (PyPI, 2026-11). */
const nativeWheel = "tensorflow-cpu==2.21.0";
/** The products of its compiled programs (toolkit/tensor/runtimes/onednn): its newest build for OpenMP. */
const productsWheel = "onednn-cpu-gomp==2023.2.0";
const nativePlatform: boolean = process.platform === "linux" && process.arch === "x64";
const nativePythons: readonly string[] = ["3.10", "3.11", "3.12", "3.13"];

class Missing extends Error {}

interface Ran {
  readonly ok: boolean;
  readonly out: string;
}

/** Runs a program quietly; its output is only shown by the caller, on failure. */
function quiet(command: readonly string[]): Ran {
  try {
    const child = Bun.spawnSync([...command], { cwd: root, stdout: "pipe", stderr: "pipe", stdin: "ignore" });
    return { ok: child.exitCode === 0, out: `${child.stdout.toString()}${child.stderr.toString()}`.trim() };
  } catch (cause) {
    return { ok: false, out: cause instanceof Error ? cause.message : String(cause) };
  }
}

function step(label: string, command: readonly string[]): void {
  const start = performance.now();
  process.stderr.write(`setup: ${label} … `);
  const ran = quiet(command);
  process.stderr.write(ran.ok ? `${((performance.now() - start) / 1000).toFixed(1)} s\n` : "failed\n");
  if (!ran.ok) {
    const tail = ran.out.split("\n").slice(-8).join("\n");
    throw new Missing(`${label} failed: \`${command.join(" ")}\` ended with:\n${tail}`);
  }
}

/** A stamp is the hash of what a step depends on; it is written only after the step succeeded. */
function stamped(file: string, content: string, work: () => void): void {
  const hash = createHash("sha256").update(content).digest("hex");
  if (existsSync(file) && readFileSync(file, "utf8") === hash) return;
  work();
  mkdirSync(resolve(file, ".."), { recursive: true });
  writeFileSync(`${file}.part`, hash);
  renameSync(`${file}.part`, file);
}

function findPython(): string {
  const seen: string[] = [];
  const candidates = [
    process.env.BUNSEN_BOOTSTRAP_PYTHON,
    "python3",
    "python",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
  ];
  for (const name of candidates) {
    if (name === undefined) continue;
    const ran = quiet([name, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]);
    if (!ran.ok) {
      if (!ran.out.includes("not found")) seen.push(`${name}: ${ran.out.split("\n").at(-1)}`);
      continue;
    }
    const [major, minor] = ran.out.split(".").map(Number);
    if (major === 3 && (minor ?? 0) >= 10) return name;
    seen.push(`${name} is ${ran.out}`);
  }
  throw new Missing(
    `Python 3.10 or newer with venv is needed for JupyterLab; found ${seen.length > 0 ? seen.join("; ") : "no python3"}. Install it (Debian: apt-get install python3 python3-venv; macOS: brew install python) and run this again.`,
  );
}

function setUp(native: boolean): void {
  const lock = readFileSync(join(root, "bun.lock"), "utf8") + readFileSync(join(root, "package.json"), "utf8");
  stamped(join(root, "node_modules/.bunsen-stamp"), lock, () =>
    step("packages from bun.lock", [process.execPath, "install", "--frozen-lockfile"]),
  );
  // The kernelspec names this binary: one of npx's cache may be purged at any time.
  const bun = join(root, "node_modules/.bin", windows ? "bun.exe" : "bun");
  if (!quiet([bun, "--version"]).ok) {
    throw new Missing(
      `${bun} does not run: the package "bun" for ${process.platform}-${process.arch} is missing. Run \`bun install --force\`.`,
    );
  }
  const requirements = readFileSync(join(root, "requirements.txt"), "utf8");
  // The venv's own path is part of the stamp: a moved checkout has a broken venv.
  stamped(join(venv, ".bunsen-stamp"), `${requirements}\n${venv}`, () => {
    const host = findPython();
    if (existsSync(venv) && !quiet([python, "-c", "pass"]).ok) rmSync(venv, { recursive: true, force: true });
    step("Python environment .venv", [host, "-m", "venv", venv]);
    step("JupyterLab and its friends (pip)", [
      python,
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "-r",
      join(root, "requirements.txt"),
    ]);
  });
  const install = readFileSync(join(root, "package.json"), "utf8");
  const spec = join(venv, "share/jupyter/kernels/bunsen/kernel.json");
  const installer = existsSync(join(root, "kernel/install")) ? kernelSources() : "";
  if (!existsSync(spec)) rmSync(join(venv, ".bunsen-kernelspec"), { force: true });
  stamped(join(venv, ".bunsen-kernelspec"), `${install}\n${installer}\n${root}`, () =>
    step("kernelspec “TypeScript (Bunsen)”", [bun, join(root, "kernel/main.ts"), "install", "--prefix", venv]),
  );
  if (native) setUpNative();
}

/** The sources of the kernelspec writer: when they change, the kernelspec is written again. */
function kernelSources(): string {
  const files = [...new Bun.Glob("kernel/install/**/*.ts").scanSync(root)].sort();
  return files.map((file) => readFileSync(join(root, file), "utf8")).join("\n");
}

function setUpNative(): void {
  const version = quiet([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).out;
  if (!nativePlatform || !nativePythons.includes(version)) {
    process.stderr.write(
      `setup: no ${nativeWheel} wheel for ${process.platform}-${process.arch} with Python ${version} (needs Linux x86-64 and Python ${nativePythons[0]} to ${nativePythons.at(-1)}); the wasm engine is used.\n`,
    );
    return;
  }
  // Only the shared libraries are used: --no-deps leaves out Keras, NumPy and the rest of TensorFlow's Python side.
  stamped(join(venv, ".bunsen-native"), `${nativeWheel} ${productsWheel} ${version}`, () =>
    step(`native tensor engine (${nativeWheel}, ${productsWheel})`, [
      python,
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--no-deps",
      nativeWheel,
      productsWheel,
    ]),
  );
}

try {
  setUp(process.argv.includes("--native"));
} catch (error) {
  if (!(error instanceof Missing) || process.argv.includes("--debug")) throw error;
  process.stderr.write(`setup: ${error.message}\n`);
  process.exit(1);
}
