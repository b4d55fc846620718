// Forces a garbage collection before every call of a table of functions: whatever C still reads must be held by
// someone, or it is gone by then. For tests of lifetimes.

export type Functions = Record<string, (...args: never[]) => unknown>;

/** Collects, and fills what was freed, so that a stale pointer reads something else. */
export function collect(): void {
  Bun.gc(true);
  for (let i = 0; i < 20; i++) new Uint8Array(64 + i * 64).fill(0xaa);
}

/**
 * Runs `work` with a collection before every call of the table's functions.
 * @returns its result and how many calls there were
 */
export async function collectingBeforeCalls<T>(
  table: Functions,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly calls: number }> {
  const plain = { ...table };
  let calls = 0;
  for (const [name, fn] of Object.entries(plain)) {
    if (typeof fn !== "function") continue;
    const wrapped = (...args: never[]): unknown => {
      calls += 1;
      collect();
      return fn.apply(table, args);
    };
    // The engine thread calls by address.
    table[name] = Object.assign(wrapped, { ptr: (fn as unknown as { ptr?: number }).ptr });
  }
  try {
    return { result: await work(), calls };
  } finally {
    Object.assign(table, plain);
  }
}
