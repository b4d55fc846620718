// `bunsen engines`: what was looked for, where, what was found, and a one-second matmul of each engine that starts.
// Each engine is tried in a process of its own: native libraries cannot be unloaded, and a broken one must not take
// the answer with it.
import { cpus, totalmem } from "node:os";
import {
  compile,
  disposeTree,
  type Engine,
  EngineError,
  EngineUnavailableError,
  NativeLibraryError,
  tensorFromBytes,
  tf,
  useEngine,
} from "#toolkit/tensor/index.ts";
import type { Looked } from "#toolkit/tensor/native/site-packages.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { discoverOnednn } from "#toolkit/tensor/runtimes/onednn/discover.ts";
import { discoverPlugin } from "#toolkit/tensor/runtimes/pjrt/discover.ts";
import { type Command, UsageError } from "./contract.ts";

const names = ["cuda", "cpu", "wasm"] as const;

const usage = `usage: bunsen engines [--json]

Lists the tensor engines: where each was looked for, what was found, version, device, memory, and the speed of a
[2048, 768] by [768, 3072] product. --engine or BUNSEN_ENGINE (auto, cuda, cpu, wasm) chooses one; BUNSEN_TENSORFLOW,
BUNSEN_ONEDNN (or off) and BUNSEN_PJRT_PLUGIN name libraries.`;

interface Report {
  readonly name: Engine["name"];
  readonly works: boolean;
  readonly engine?: Engine;
  readonly gflops?: number;
  readonly problem?: string;
  readonly looked: readonly Looked[];
}

const lookedFor: Readonly<Record<Engine["name"], () => readonly Looked[]>> = {
  cuda: () => discoverPlugin().looked,
  cpu: () => [...discoverTensorflow().looked, ...discoverOnednn().looked],
  wasm: () => [{ path: "@tensorflow/tfjs-backend-wasm", because: "part of this package", found: "yes" }],
};

/** Starts one engine and measures it, in this process. */
async function probe(name: Engine["name"]): Promise<Omit<Report, "looked">> {
  try {
    const engine = await useEngine(name);
    return { name, works: true, engine, gflops: await measure(name) };
  } catch (error) {
    if (
      !(error instanceof EngineUnavailableError || error instanceof NativeLibraryError || error instanceof EngineError)
    )
      throw error;
    return { name, works: false, problem: error.message };
  }
}

/** GFLOP/s of the best product within a second. wasm gets a smaller one. */
async function measure(name: Engine["name"]): Promise<number> {
  const rows = name === "wasm" ? 256 : 2048;
  const [inner, columns] = [768, 3072] as const;
  const upload = (shape: readonly [number, number]): tf.Tensor =>
    tensorFromBytes(
      new Uint8Array(Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(i)).buffer),
      "F32",
      shape,
    );
  const [a, b] = [upload([rows, inner]), upload([inner, columns])];
  const product = compile((x: tf.Tensor, y: tf.Tensor) => [tf.matMul(x, y)], { name: "matmul" });
  let best = Number.POSITIVE_INFINITY;
  const begin = performance.now();
  for (let call = 0; call < 3 || performance.now() - begin < 1000; call++) {
    const start = performance.now();
    const out = await product(a, b);
    if (name === "wasm") await out[0]!.data();
    if (call > 0) best = Math.min(best, performance.now() - start);
    disposeTree(out);
  }
  disposeTree([a, b]);
  return Math.round((2 * rows * inner * columns) / 1e6 / best);
}

/** Runs `probe` in a child of the same program. */
async function probeApart(name: Engine["name"]): Promise<Omit<Report, "looked">> {
  const child = Bun.spawn([process.execPath, import.meta.path, "--probe", name], { stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const line = out.trim().split("\n").at(-1) ?? "";
  if (code === 0 && line.startsWith("{")) return JSON.parse(line) as Omit<Report, "looked">;
  return {
    name,
    works: false,
    problem: `its process ended with status ${code}: ${err.trim().split("\n").slice(-3).join(" ") || "no message"}`,
  };
}

function describe(report: Report): string {
  const lines = [`${report.name.padEnd(5)} ${report.works ? "works" : "not available"}`];
  if (report.engine)
    lines.push(`      ${report.engine.version} on ${report.engine.device}, ${report.gflops} GFLOP/s f32`);
  if (report.engine?.products) lines.push(`      matrix products of compiled functions: ${report.engine.products}`);
  if (report.engine?.programCache) lines.push(`      compiled programs are kept in ${report.engine.programCache}`);
  if (report.problem) lines.push(`      ${report.problem.split("\n")[0]}`);
  for (const { path, because, found } of report.looked)
    lines.push(`      ${found ? "found" : "  –  "} ${found ?? path} (${because})`);
  return lines.join("\n");
}

export const command: Command = {
  summary: "which tensor engines this machine has",
  usage,
  async run(args, terminal) {
    const unknown = args.find((argument) => argument !== "--json");
    if (unknown !== undefined) throw new UsageError(`engines takes only --json, got ${unknown}\n\n${usage}`);
    const reports: Report[] = [];
    for (const name of names) reports.push({ ...(await probeApart(name)), looked: lookedFor[name]() });
    const chosen = reports.find(({ works }) => works)?.name ?? "none";
    if (args.includes("--json")) {
      terminal.out(
        JSON.stringify({ chosen, cores: cpus().length, memoryMiB: Math.round(totalmem() / 2 ** 20), engines: reports }),
      );
      return 0;
    }
    terminal.out(
      `${cpus().length} cores of ${cpus()[0]?.model.trim() ?? "an unknown processor"}, ${Math.round(totalmem() / 2 ** 30)} GiB; "auto" takes ${chosen}`,
    );
    for (const report of reports) terminal.out(describe(report));
    const processor = reports.find(({ name }) => name === "cpu")?.engine;
    if (processor?.products === "XLA's own" && process.env.BUNSEN_ONEDNN !== "off")
      terminal.out("Faster products of compiled functions: pip install onednn-cpu-gomp into the same environment.");
    if (chosen === "wasm")
      terminal.out(
        'More speed: pip install tensorflow-cpu onednn-cpu-gomp into the active venv or ./.venv (Linux x86-64), for an NVIDIA GPU "jax-cuda12-pjrt".',
      );
    return 0;
  },
};

/** The command as a function of its arguments, for scripts. */
export async function engines(args: readonly string[]): Promise<number> {
  return command.run(args, { out: console.log, err: console.error, interactive: false });
}

if (import.meta.main && process.argv[2] === "--probe") {
  const name = names.find((known) => known === process.argv[3]);
  if (name) console.log(JSON.stringify(await probe(name)));
  process.exit(name ? 0 : 2);
}
