// `bun run bench:kernel`: the kernel beside every peer that is installed, measured in one run on one machine; prints the
// table. `--json` prints the figures, `--only bunsen,deno` leaves the others out, `--check` fails where a goal is missed.
// Peers are the kernelspecs python3, xpython, deno and tslab, where Jupyter finds them: in the environment of BUNSEN_PYTHON, in
// JUPYTER_PATH, in the user's own folder. The measuring is kernel_bench.py's, through jupyter_client. `floor` is no peer but a kernel
// that does nothing (floor_kernel.py): what the client and the machine cost by themselves.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { findPython, installKernel, isolated } from "../conformance/kernel/python.ts";

interface Figures {
  readonly kernel: string;
  readonly first_reply_s?: number;
  readonly cell_median_ms?: number;
  readonly cell_p99_ms?: number;
  /** Of each round, sorted. */
  readonly cell_medians_ms?: readonly number[];
  readonly cell_p99s_ms?: readonly number[];
  readonly lines_s?: number;
  readonly lines_lost_runs?: number;
  readonly complete_first_ms?: number;
  readonly complete_warm_ms?: number;
  readonly complete_right?: boolean;
  readonly interrupt_ms?: number;
  readonly state_kept?: boolean;
  readonly pss_mb?: number;
  readonly failed?: string;
}

interface Row {
  readonly what: string;
  /** To reach; in the unit of `value`. */
  readonly goal: number;
  readonly unit: string;
  readonly digits: number;
  readonly value: (figures: Figures) => number | undefined;
  /** What is wrong with the figure, where something is. */
  readonly flaw?: (figures: Figures) => string;
}

const lost = (figures: Figures): string => ((figures.lines_lost_runs ?? 0) > 0 ? " (lines lost)" : "");
const wrong = (figures: Figures): string => (figures.complete_right === false ? " (wrong or nothing)" : "");
const forgot = (figures: Figures): string => (figures.state_kept === false ? " (state lost)" : "");

const rows: readonly Row[] = [
  { what: "spawn to the first kernel_info_reply", goal: 0.1, unit: "s", digits: 3, value: (f) => f.first_reply_s },
  { what: "`1+1` round trip, median", goal: 1.5, unit: "ms", digits: 2, value: (f) => f.cell_median_ms },
  { what: "`1+1` round trip, p99", goal: 4, unit: "ms", digits: 2, value: (f) => f.cell_p99_ms },
  {
    what: "20,000 printed lines, all before idle",
    goal: 0.04,
    unit: "s",
    digits: 3,
    value: (f) => f.lines_s,
    flaw: lost,
  },
  { what: "typed completion, first", goal: 300, unit: "ms", digits: 0, value: (f) => f.complete_first_ms, flaw: wrong },
  { what: "typed completion, warm", goal: 30, unit: "ms", digits: 1, value: (f) => f.complete_warm_ms, flaw: wrong },
  { what: "interrupt of an endless loop", goal: 25, unit: "ms", digits: 1, value: (f) => f.interrupt_ms, flaw: forgot },
  { what: "memory at rest after a completion (PSS)", goal: 150, unit: "MB", digits: 0, value: (f) => f.pss_mb },
];

/** Kernels that may be there, and the language their samples are written in. */
const peers: Readonly<Record<string, "ts" | "py">> = { python3: "py", xpython: "py", deno: "ts", tslab: "ts" };

const args = process.argv.slice(2);
const only = args.includes("--only") ? (args[args.indexOf("--only") + 1] ?? "").split(",") : undefined;
const python = findPython();
if (python === null) {
  console.error(
    "bench:kernel: expected Python with jupyter_client in .venv (bun run setup makes it) or BUNSEN_PYTHON, got none",
  );
  process.exit(1);
}
const home = mkdtempSync(join(tmpdir(), "bunsen-bench-"));
try {
  installKernel(home);
  const floor = join(home, "prefix/share/jupyter/kernels/floor");
  mkdirSync(floor);
  const argv = [python, resolve(import.meta.dirname, "floor_kernel.py"), "{connection_file}"];
  writeFileSync(join(floor, "kernel.json"), JSON.stringify({ argv, display_name: "floor", language: "none" }));
  // The peers are the user's own kernels: their places stay in the search path.
  const own = isolated(home);
  const { HOME, JUPYTER_DATA_DIR, JUPYTER_PATH } = process.env;
  const path = JUPYTER_PATH === undefined ? own.JUPYTER_PATH : `${own.JUPYTER_PATH}${delimiter}${JUPYTER_PATH}`;
  const env = { ...own, HOME, JUPYTER_DATA_DIR, JUPYTER_PATH: path };
  const listed = Bun.spawnSync([python, "-m", "jupyter_client.kernelspecapp", "list", "--json"], { env, cwd: home });
  const installed = Object.keys((JSON.parse(listed.stdout.toString()) as { kernelspecs: object }).kernelspecs);
  const wanted = ["bunsen", "floor", ...Object.keys(peers).filter((name) => installed.includes(name))].filter(
    (name) => only === undefined || only.includes(name),
  );
  console.error(`measuring ${wanted.join(", ")} in turn …`);
  const run = Bun.spawnSync(
    [
      python,
      resolve(import.meta.dirname, "kernel_bench.py"),
      ...wanted.map((name) => `${name}:${peers[name] ?? "ts"}`),
    ],
    { env, cwd: home, stderr: "pipe" },
  );
  const output = run.stdout.toString().trim();
  if (output === "") throw new Error(`kernel_bench.py printed nothing: ${run.stderr.toString().trim()}`);
  const figures = output.split("\n").map((line) => JSON.parse(line) as Figures);
  if (args.includes("--json")) console.log(JSON.stringify(figures, null, 1));
  else print(figures);
  const mine = figures.find((each) => each.kernel === "bunsen");
  if (args.includes("--check") && mine !== undefined) {
    const missed = rows.filter(
      (row) => (row.value(mine) ?? Number.POSITIVE_INFINITY) > row.goal || (row.flaw?.(mine) ?? "") !== "",
    );
    if (missed.length > 0) {
      console.error(`missed: ${missed.map((row) => row.what).join("; ")}`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}

function print(figures: readonly Figures[]): void {
  const cell = (row: Row, each: Figures): string => {
    const value = row.value(each);
    return value === undefined ? "–" : `${value.toFixed(row.digits)}${row.flaw?.(each) ?? ""}`;
  };
  console.log(`${availableParallelism()} cores, load ${loadavg()[0]!.toFixed(1)}, Bun ${Bun.version}`);
  console.log(`| what | to reach | ${figures.map((each) => each.kernel).join(" | ")} |`);
  console.log(`|---|---|${figures.map(() => "---|").join("")}`);
  for (const row of rows) {
    console.log(`| ${row.what}, ${row.unit} | ≤ ${row.goal} | ${figures.map((each) => cell(row, each)).join(" | ")} |`);
  }
  for (const { kernel, cell_medians_ms: medians, cell_p99s_ms: p99s } of figures)
    if (medians && p99s)
      console.log(`${kernel}: \`1+1\` by round, ms: medians ${medians.join(" ")}; p99s ${p99s.join(" ")}`);
  for (const each of figures) if (each.failed !== undefined) console.log(`${each.kernel}: ${each.failed}`);
}
