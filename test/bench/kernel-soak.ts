// `bun run soak:kernel [MINUTES] [MAX_CELLS]`: one kernel, 30 minutes or 50,000 cells, with types checked unless BUNSEN_TYPE_ERRORS
// says `silent`; `bun run soak:kernel 30 10000000` takes the whole time. Fails where an output is lost or memory over the last tenth
// is more than 3 % above that over the first tenth after warm-up. The driving is
// kernel_soak.py's, through jupyter_client. A short one runs in the tests (test/conformance/kernel/soak.test.ts).

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findPython, installKernel, isolated } from "../conformance/kernel/python.ts";

export interface SoakReport {
  readonly cells: number;
  readonly seconds: number;
  readonly first_mb: number;
  readonly last_mb: number;
  readonly growth_percent: number;
  readonly by_process_mb: Readonly<Record<string, readonly [number, number]>>;
}

/** Heaps and allocators level off within these; memory is compared after them (or after half of the time). */
const warmCells = 10_000;

/** @throws Error with what the driver said, where it failed: an output lost, a kernel that died. */
export async function soak(
  python: string,
  seconds: number,
  maxCells: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<SoakReport> {
  const home = mkdtempSync(join(tmpdir(), "bunsen-soak-"));
  try {
    installKernel(home);
    const run = Bun.spawn(
      [python, resolve(import.meta.dirname, "kernel_soak.py"), String(seconds), String(maxCells), String(warmCells)],
      {
        cwd: home,
        env: { ...isolated(home), ...settings },
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    const [output, status] = await Promise.all([run.stdout.text(), run.exited]);
    if (status !== 0) throw new Error(`the soak ended with status ${status}: ${output}`);
    return JSON.parse(output.trim().split("\n").at(-1)!) as SoakReport;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const [minutes = 30, maxCells = 50_000] = process.argv.slice(2).map(Number);
  const python = findPython();
  if (python === null) {
    console.error("expected Python with jupyter_client in .venv (bun run setup makes it) or BUNSEN_PYTHON, got none");
    process.exit(1);
  }
  const report = await soak(python, minutes * 60, maxCells);
  const { cells, seconds, first_mb: first, last_mb: last, growth_percent: growth, by_process_mb: parts } = report;
  const types = process.env.BUNSEN_TYPE_ERRORS ?? "warn";
  console.log(`${cells} cells in ${seconds} s, type errors: ${types}`);
  console.log(`RSS over the first tenth after warm-up ${first} MB, over the last tenth ${last} MB: ${growth} %`);
  for (const [name, [begin, end]] of Object.entries(parts)) console.log(`  ${name}: ${begin} → ${end} MB`);
  if (report.growth_percent > 3) {
    console.error(`expected memory to grow by at most 3 %, got ${report.growth_percent} %`);
    process.exit(1);
  }
}
