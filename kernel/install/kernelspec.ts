// The kernelspec: what kernel.json says, and writing it with its logos into a folder, whole or not at all. Where that
// folder is, is for paths.ts.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";

/** What the user may choose. */
export interface KernelspecOptions {
  readonly name: string;
  readonly displayName: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The kernel.json of this kernel (jupyter_client's kernelspec format). */
export interface Kernelspec {
  readonly argv: readonly string[];
  readonly display_name: string;
  readonly language: string;
  readonly interrupt_mode: "message";
  readonly kernel_protocol_version: string;
  readonly env: Readonly<Record<string, string>>;
  readonly metadata: { readonly bunsen: { readonly version: string; readonly home: string } };
}

/** A kernelspec found on this machine. */
export interface InstalledKernelspec {
  readonly name: string;
  readonly folder: string;
  readonly spec: Kernelspec;
}

/** A wrong name, or a folder that is not ours to write or delete. */
export class KernelspecError extends Error {
  override readonly name: string = "KernelspecError";
}

/** The project's folder: this file is kernel/install/kernelspec.ts in it. */
export const projectFolder: string = resolve(import.meta.dirname, "..", "..");

const logos = ["logo-svg.svg", "logo-32x32.png", "logo-64x64.png"] as const;

/** Every path in it is absolute: Jupyter starts kernels in the notebook's folder. */
export function kernelspec(options: KernelspecOptions, version: string): Kernelspec {
  return {
    argv: [bunBinary(), join(projectFolder, "kernel", "main.ts"), "run", "{connection_file}", "--log-level", "info"],
    display_name: options.displayName,
    language: "typescript",
    interrupt_mode: "message",
    kernel_protocol_version: "5.5",
    env: { ...kernelEnvironment(options.env), ...options.env },
    metadata: { bunsen: { version, home: projectFolder } },
  };
}

/**
 * What makes the kernel's own process small. It moves messages: code that the engine's second compiler (DFG) has not optimised does that
 * as fast, and the compiler itself is 5 MB of memory and works while the first cells run. The parser's allocator asks for huge pages of
 * 2 MB and uses a tenth of one. User code is not concerned: names in BUNSEN_KERNEL_ONLY do not reach the evaluator (life.ts there).
 */
function kernelEnvironment(own: Readonly<Record<string, string>>): Record<string, string> {
  const ours = Object.entries({ BUN_JSC_useDFGJIT: "0", MIMALLOC_ALLOW_THP: "0" }).filter(([name]) => !(name in own));
  return { ...Object.fromEntries(ours), BUNSEN_KERNEL_ONLY: ours.map(([name]) => name).join(" ") };
}

/** The pinned Bun of this project, not the one that happens to run (npx keeps its in a cache that may be purged). */
function bunBinary(): string {
  for (const name of ["bun.exe", "bun"]) {
    const path = join(projectFolder, "node_modules", "bun", "bin", name);
    if (existsSync(path)) return path;
  }
  return process.execPath;
}

/**
 * Writes the kernelspec as `folder/name`, replacing a former one. A reader sees the old folder or the new, never half.
 * @throws KernelspecError for a name that Jupyter refuses, or where another kernel has it; Error where nothing can be written.
 */
export function writeKernelspec(folder: string, options: KernelspecOptions, version: string): string {
  const { name } = options;
  if (!/^[a-z0-9._-]+$/i.test(name)) {
    throw new KernelspecError(`--name: expected letters, digits, '.', '_' and '-', got ${JSON.stringify(name)}`);
  }
  const target = join(folder, name);
  if (existsSync(target) && readKernelspec(target) === null) {
    throw new KernelspecError(`${target} belongs to another kernel; choose another --name or delete it yourself`);
  }
  mkdirSync(folder, { recursive: true });
  const fresh = mkdtempSync(join(folder, ".bunsen-"));
  try {
    const made = join(fresh, "new");
    mkdirSync(made);
    writeFileSync(join(made, "kernel.json"), `${JSON.stringify(kernelspec(options, version), null, 2)}\n`);
    for (const logo of logos) {
      writeFileSync(join(made, logo), readFileSync(join(import.meta.dirname, "logos", logo)));
    }
    if (existsSync(target)) renameSync(target, join(fresh, "old"));
    renameSync(made, target);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return target;
}

/** Removes `folder/name` if it is ours; false where there is none. @throws KernelspecError where it is another kernel's. */
export function removeKernelspec(folder: string, name: string): boolean {
  const target = join(folder, name);
  if (!existsSync(target)) return false;
  if (readKernelspec(target) === null)
    throw new KernelspecError(`${target} belongs to another kernel; it is left alone`);
  rmSync(target, { recursive: true });
  return true;
}

/** The kernelspecs of this kernel in a folder of kernelspecs. */
export function findKernelspecs(folder: string): InstalledKernelspec[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.sort().flatMap((name) => {
    const spec = readKernelspec(join(folder, name));
    return spec === null ? [] : [{ name, folder: join(folder, name), spec }];
  });
}

/** Null where it is not a kernelspec of this kernel. */
function readKernelspec(folder: string): Kernelspec | null {
  try {
    const spec = JSON.parse(readFileSync(join(folder, "kernel.json"), "utf8")) as Partial<Kernelspec>;
    return spec.metadata?.bunsen === undefined ? null : (spec as Kernelspec);
  } catch {
    return null;
  }
}

/** Whether the files that a kernelspec names are still there. */
export function missingFiles(spec: Kernelspec): string[] {
  return spec.argv.slice(0, 2).filter((path) => !existsSync(path) || !existsSync(dirname(path)));
}
