// The Python that the data are compared with: `$BUNSEN_PYTHON` where it is set, else `.venv-conformance-data`, built once with
// the pinned libraries of data-requirements.txt (other versions than those the metrics are compared with). A missing library is a failure, not a skip.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** Path of a Python with datasets, tokenizers, huggingface_hub and pyarrow. */
export function dataPython(): string {
  const given = process.env.BUNSEN_PYTHON;
  if (given) return given;
  const venv = join(root, ".venv-conformance-data");
  const python = join(venv, "bin/python");
  const requirements = join(import.meta.dirname, "data-requirements.txt");
  const wanted = readFileSync(requirements, "utf8");
  const marker = join(venv, "data-installed.txt");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return python;
  console.error("building .venv-conformance-data (once) …");
  if (!existsSync(python)) run("python3", ["-m", "venv", venv]);
  run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
  writeFileSync(marker, wanted);
  return python;
}

/** Standard output of a command. @throws Error with the end of its standard error. */
export function run(command: string, args: readonly string[], env: Record<string, string> = {}): string {
  const result = Bun.spawnSync([command, ...args], {
    cwd: root,
    stdin: "ignore",
    env: { ...process.env, PYTHONUTF8: "1", ...env },
  });
  if (result.exitCode !== 0)
    throw new Error(
      `${command} ${args.slice(0, 2).join(" ")} … failed (exit ${result.exitCode}):\n${result.stderr.toString().slice(-3000)}`,
    );
  return result.stdout.toString();
}

/** The same without waiting: a server in this process must answer meanwhile. */
export async function runBeside(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = Bun.spawn([command, ...args], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PYTHONUTF8: "1", ...env },
  });
  const [output, errors, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0)
    throw new Error(`${command} ${args.slice(0, 2).join(" ")} … failed (exit ${status}):\n${errors.slice(-3000)}`);
  return output;
}
