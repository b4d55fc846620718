// `await add("zod")`: npm packages for one notebook, installed by Bun into the notebook's folder.

import { callingCell } from "./cells.ts";
import { writeStream } from "./channel.ts";
import { notebookFolder } from "./modules.ts";
import { forgetPackage } from "./reload.ts";

/** The installer failed; its own words are the message. */
export class AddError extends Error {
  override name = "AddError";
}

const NAME = /^(?:@[a-z0-9~][a-z0-9._~-]*\/)?[a-z0-9~][a-z0-9._~-]*(?:@[^\s;&|<>$`]*|)$/i;

/** Installs packages so that cells can import them at once. */
export async function addPackages(...packages: readonly string[]): Promise<void> {
  if (packages.length === 0) throw new AddError('add() takes package names, such as add("zod") or add("zod@^4").');
  for (const name of packages) {
    if (!NAME.test(name) && !/^(?:file:|\.{0,2}\/|https?:|git)/.test(name)) {
      throw new AddError(
        `"${name}" is not a package name; expected a name such as "zod", "zod@^4" or "@scope/name@1.2.3".`,
      );
    }
  }
  const child = Bun.spawn([process.execPath, "add", "--no-summary", ...packages], {
    cwd: notebookFolder(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1" },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) {
    throw new AddError(
      `bun add ${packages.join(" ")} failed in ${notebookFolder()} (exit code ${code}):\n${(err || out).trim()}`,
    );
  }
  for (const name of packages) forgetPackage(name.replace(/(?<=.)@.*$/, ""));
  const installed = out.split("\n").filter((line) => line.startsWith("installed "));
  const cell = callingCell();
  if (cell !== null && installed.length > 0) writeStream(cell.request.id, "stdout", `${installed.join("\n")}\n`);
}
