// A Python environment of a bench, built once with pinned libraries: `.venv-<name>` beside the others. A library that
// cannot be installed is a failure, not a skip.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "./data-python.ts";

/** Path of a Python with the libraries of a requirements file of this folder; `$BUNSEN_PYTHON` where that is set. */
export function pythonWith(requirementsName: string, name: string): string {
  const given = process.env.BUNSEN_PYTHON;
  if (given) return given;
  const venv = resolve(import.meta.dirname, `../../.venv-${name}`);
  const python = join(venv, "bin/python");
  const requirements = join(import.meta.dirname, requirementsName);
  const wanted = readFileSync(requirements, "utf8");
  const marker = join(venv, "installed.txt");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return python;
  console.error(`building .venv-${name} (once) …`);
  if (!existsSync(python)) run("python3", ["-m", "venv", venv]);
  run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
  writeFileSync(marker, wanted);
  return python;
}
