// Whether a file can be a native library of this machine, told from its header before the loader sees it: the loader
// maps a truncated file and the process then dies of SIGBUS, where this gives an error. Not a full ELF reader.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { NativeLibraryError } from "../errors.ts";

const machines: Readonly<Record<number, string>> = { 3: "ia32", 40: "arm", 62: "x64", 183: "arm64", 243: "riscv64" };

/**
 * Checks an ELF shared library. Other systems' libraries (macOS, Windows) are left to their loaders.
 * @throws NativeLibraryError when the file is no library, of another architecture, or shorter than its header says.
 */
export function checkLibraryFile(path: string): void {
  if (process.platform !== "linux") return;
  const file = openSync(path, "r");
  try {
    const size = fstatSync(file).size;
    const header = Buffer.alloc(64);
    const got = readSync(file, header, 0, 64, 0);
    if (got < 64 || header.readUInt32BE(0) !== 0x7f454c46) {
      throw new NativeLibraryError(
        `${path} is not a native library (${size} bytes, no ELF header); reinstall the package it came with`,
      );
    }
    const machine = machines[header.readUInt16LE(18)] ?? `machine ${header.readUInt16LE(18)}`;
    if (header[4] !== 2 || header[5] !== 1 || machine !== process.arch) {
      throw new NativeLibraryError(
        `${path} is built for ${machine}, this process runs on ${process.arch}; install the package for ${process.arch}`,
      );
    }
    const end = Math.max(
      lastSegmentByte(file, header),
      Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60),
    );
    if (end > size) {
      throw new NativeLibraryError(
        `${path} is truncated: its header needs ${end} bytes, the file has ${size}; reinstall the package it came with`,
      );
    }
  } finally {
    closeSync(file);
  }
}

/** End of the last loaded segment in the file. */
function lastSegmentByte(file: number, header: Buffer): number {
  const [offset, entry, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(54), header.readUInt16LE(56)];
  const table = Buffer.alloc(entry * count);
  const got = readSync(file, table, 0, table.length, offset);
  let end = offset + table.length;
  for (let at = 0; at + 40 <= got; at += entry) {
    end = Math.max(end, Number(table.readBigUInt64LE(at + 8)) + Number(table.readBigUInt64LE(at + 32)));
  }
  return end;
}

/** Names of exported symbols that match, from the dynamic string table of an ELF library; empty for other files. */
export function symbolsMatching(path: string, pattern: RegExp): string[] {
  if (process.platform !== "linux") return [];
  const file = openSync(path, "r");
  try {
    const header = Buffer.alloc(64);
    readSync(file, header, 0, 64, 0);
    const [offset, size, count] = [
      Number(header.readBigUInt64LE(40)),
      header.readUInt16LE(58),
      header.readUInt16LE(60),
    ];
    const sections = Buffer.alloc(size * count);
    readSync(file, sections, 0, sections.length, offset);
    for (let at = 0; at + 64 <= sections.length; at += size) {
      // Type 3 is a string table; the loaded one (flag 2, ALLOC) holds the dynamic symbols' names.
      if (sections.readUInt32LE(at + 4) !== 3 || (sections.readBigUInt64LE(at + 8) & 2n) === 0n) continue;
      const names = Buffer.alloc(Number(sections.readBigUInt64LE(at + 32)));
      readSync(file, names, 0, names.length, Number(sections.readBigUInt64LE(at + 24)));
      return names.toString("latin1").match(pattern) ?? [];
    }
    return [];
  } finally {
    closeSync(file);
  }
}
