// How many memory mappings this process holds of how many it may (Linux). Every program that XLA compiles for the CPU keeps
// some hundred of them (three for each LLVM module), libtensorflow offers no call that gives a program back, and beyond
// the limit the next compilation fails. Not about bytes of memory.
import { readFileSync } from "node:fs";

export interface Mappings {
  readonly held: number;
  readonly most: number;
}

/** Null where the system does not tell. */
export function memoryMappings(): Mappings | null {
  try {
    const most = Number(readFileSync("/proc/sys/vm/max_map_count", "utf8"));
    const held = readFileSync("/proc/self/maps", "latin1").split("\n").length - 1;
    return Number.isSafeInteger(most) && most > 0 ? { held, most } : null;
  } catch {
    return null;
  }
}
