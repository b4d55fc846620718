// How the tests run: `bun --bun vitest run --pool=threads` (the default forks pool does not work inside Bun).
import { defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "threads",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two files at a time: the machine that must pass has two cores, and several files start processes of their own.
    maxWorkers: 2,
  },
});

export default config;
