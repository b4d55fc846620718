// The soak's short form: a minute of cells of all kinds, with nothing lost and memory that levels off. The real one is
// `bun test/bench/kernel-soak.ts` (30 minutes or 50,000 cells, 3 %).

import { expect, test } from "vitest";
import { soak } from "../../bench/kernel-soak.ts";
import { findPython } from "./python.ts";

const python = findPython();

test.skipIf(python === null)(
  "a minute of cells: nothing lost, memory levels off (skipped without .venv or BUNSEN_PYTHON)",
  { timeout: 180_000 },
  async () => {
    // Type checks wait for the language server; without them ten times as many cells run, and those are what could leak.
    const report = await soak(python!, 50, 50_000, { BUNSEN_TYPE_ERRORS: "silent" });
    const said = JSON.stringify(report);
    expect(report.cells, said).toBeGreaterThan(100);
    // The real run's bound is 3 %; in one minute one collection more or less moves the figure by some percent. A leak of
    // 10 KB a cell would be above this.
    expect(report.growth_percent, said).toBeLessThan(10);
    expect(report.last_mb, said).toBeLessThan(600);
  },
);
