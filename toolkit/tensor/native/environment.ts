// What C libraries see of the process and may do to it: environment variables (Bun's `process.env` writes are not
// passed on to C's getenv) and stderr (their log lines must not reach a notebook). Not for JavaScript's own settings.
import { dlopen } from "bun:ffi";
import { availableParallelism } from "node:os";

interface Libc {
  setenv(name: string, value: string, overwrite: number): number;
  dup(descriptor: number): number;
  dup2(from: number, to: number): number;
  close(descriptor: number): number;
  open(path: string, flags: number): number;
}

/** malloc.h of glibc; other C libraries have no such call. */
const trimThreshold = -1;
const mapThreshold = -3;
const mostArenas = -8;

let opened: Libc | null | undefined;

function libc(): Libc | null {
  if (opened !== undefined) return opened;
  const musl = `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`;
  for (const name of process.platform === "darwin" ? ["libSystem.B.dylib"] : ["libc.so.6", musl]) {
    try {
      opened = dlopen(name, {
        setenv: { args: ["cstring", "cstring", "i32"], returns: "i32" },
        dup: { args: ["i32"], returns: "i32" },
        dup2: { args: ["i32", "i32"], returns: "i32" },
        close: { args: ["i32"], returns: "i32" },
        open: { args: ["cstring", "i32"], returns: "i32" },
      }).symbols;
      return opened;
    } catch {
      // The next name. A system with none of them keeps its noisy logs, and everything else works.
    }
  }
  opened = null;
  return opened;
}

/** Sets a variable for C code unless the user set it. */
export function setNativeDefault(name: string, value: string): void {
  if (process.env[name] === undefined) libc()?.setenv(name, value, 0);
}

let settled = false;

/**
 * Lets C's allocator keep what a step frees for the next one. By default each buffer of some megabytes may be given
 * back to the system and fetched again, page by page, at every step: seen to cost a twelfth of it, in one process and
 * not in the next, since glibc moves these thresholds by what happens to be freed first. 32 MiB is its upper limit.
 */
export function keepFreedMemory(): void {
  if (settled || process.platform !== "linux") return;
  settled = true;
  if (process.env.MALLOC_MMAP_THRESHOLD_ ?? process.env.MALLOC_TRIM_THRESHOLD_ ?? process.env.GLIBC_TUNABLES) return;
  try {
    const { mallopt } = dlopen("libc.so.6", { mallopt: { args: ["i32", "i32"], returns: "i32" } }).symbols;
    mallopt(mapThreshold, 32 * 2 ** 20);
    // What the compiler leaves at the end of its arenas (of 64 MiB at most) goes back; a step re-uses the rest.
    mallopt(trimThreshold, 16 * 2 ** 20);
    // Eight heaps for each core is the default, and what a compiling thread leaves in its own serves no other.
    if (process.env.MALLOC_ARENA_MAX === undefined) mallopt(mostArenas, 2 * Math.max(2, availableParallelism()));
  } catch {
    // musl: its allocator has other habits.
  }
}

/**
 * Runs a synchronous function with the process's stderr closed to C code. libtensorflow's static initialisers write
 * advice there which no log level suppresses. Keep it short: other threads are silent meanwhile, too.
 */
export function withoutStderr<T>(fn: () => T): T {
  const c = libc();
  const saved = c?.dup(2) ?? -1;
  const nowhere = c?.open("/dev/null", 1) ?? -1;
  if (c && saved >= 0 && nowhere >= 0) c.dup2(nowhere, 2);
  try {
    return fn();
  } finally {
    if (c && saved >= 0 && nowhere >= 0) c.dup2(saved, 2);
    if (c && saved >= 0) c.close(saved);
    if (c && nowhere >= 0) c.close(nowhere);
  }
}
