// Opens JupyterLab on notebooks/ with the project's own environment. Everything after `bun run lab` goes to Lab.
import { join, resolve } from "node:path";

const root: string = resolve(import.meta.dir, "../..");
const child: Bun.Subprocess = Bun.spawn(
  [join(root, ".venv/bin/jupyter-lab"), `--notebook-dir=${join(root, "notebooks")}`, ...process.argv.slice(2)],
  { cwd: join(root, "notebooks"), stdio: ["inherit", "inherit", "inherit"] },
);
// Ctrl-C goes to the whole terminal group: Lab asks whether to stop, and this process must wait for its answer.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
process.exit(await child.exited);
