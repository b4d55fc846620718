// `bun run bundle:gpu`: one folder to carry to a machine with a GPU: the bench and the golden check as single files, the
// engine thread, the bun binary, the golden files where they are present. No node_modules. What runs there: step-gpu.ts.
import { cpSync, existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const out = join(root, "dist/gpu");
const shared = process.env.BUNSEN_SHARED ?? join(root, "../shared");

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const built = await Bun.build({
  entrypoints: [join(root, "test/bench/step-gpu.ts")],
  outdir: out,
  target: "bun",
  // The bundle must find its own modules, wherever it lies.
  packages: "bundle",
  naming: "[name].[ext]",
});
if (!built.success) {
  for (const log of built.logs) console.error(log);
  process.exit(1);
}
// The Worker is opened by its file name beside the bundle.
cpSync(join(root, "toolkit/tensor/native/thread-worker.ts"), join(out, "thread-worker.ts"));
cpSync(process.execPath, join(out, "bun"));
for (const [from, to] of [
  [join(shared, "data/golden"), "golden"],
  [join(shared, "bench/peft_mpt_bench.py"), "peft_mpt_bench.py"],
] as const) {
  if (existsSync(from)) cpSync(from, join(out, to), { recursive: true });
  else console.log(`${from} is absent: the bundle goes without ${to}`);
}
console.log(
  `${out}: step-gpu.js is ${Math.round(statSync(join(out, "step-gpu.js")).size / 1024)} KiB. There: BUNSEN_PJRT_PLUGIN=… ./bun step-gpu.js`,
);
