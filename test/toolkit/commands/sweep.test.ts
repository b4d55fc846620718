// `bunsen sweep` in its processes: one deals out, others train side by side. The study's own order of things is
// experiments/study.test.ts.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const root = mkdtempSync(join(tmpdir(), "bunsen-sweep-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const main = resolve(import.meta.dirname, "../../../toolkit/main.ts");
const backbone = resolve(import.meta.dirname, "../../../datasets/mini/backbone");

const settings = {
  sourceTasks: ["mini/sst2", "mini/cola"],
  targets: ["mini/rte"],
  methods: ["prompt tuning", "SPoT", "MPT without distillation"],
  shots: [4],
  seeds: [1, 2],
  rates: [1],
  numVirtualTokens: 3,
  sourceSteps: 1,
  teacherSteps: 1,
  targetSteps: 2,
  "common.batchSize": 2,
  "common.evaluationExamples": 4,
  "common.evaluationBatchSize": 4,
  "common.maxNewTokens": 2,
};

function start(folder: string, more: readonly string[] = []): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const set = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`]);
  const args = ["sweep", "quick", "--folder", folder, "--model", backbone, "--engine", "wasm", ...set, ...more];
  return Bun.spawn([process.execPath, main, ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

async function ended(sweep: ReturnType<typeof start>): Promise<{ code: number; out: string; err: string }> {
  const [out, err, code] = await Promise.all([sweep.stdout.text(), sweep.stderr.text(), sweep.exited]);
  return { code, out, err };
}

const doneLines = (out: string): string[] => out.split("\n").filter((line) => line.includes(" done: "));

describe("A sweep in two processes", () => {
  test("runs what is needed first, each run once, and prints the table; again, it finds all of them trained", async () => {
    const folder = join(root, "two");
    const { code, out, err } = await ended(start(folder, ["--jobs", "2"]));
    expect(err).toBe("");
    expect(code).toBe(0);
    const runs = doneLines(out).map((line) =>
      line
        .split(" · ")[2]!
        .split(" done")[0]!
        .slice(folder.length + 1),
    );
    expect(runs.toSorted()).toEqual(
      [
        "sources/mpt",
        "sources/mpt-without-distillation",
        ...["MPT-without-distillation", "SPoT", "prompt-tuning"].flatMap((method) =>
          [1, 2].map((seed) => `targets/k-4/mini-rte/${method}/rate-1-seed-${seed}`),
        ),
        "teachers/mini-cola",
        "teachers/mini-sst2",
      ].toSorted(),
    );
    const at = (run: string): number => runs.findIndex((name) => name.includes(run));
    expect(at("SPoT")).toBeGreaterThan(Math.max(at("teachers/mini-cola"), at("teachers/mini-sst2")));
    expect(at("targets/k-4/mini-rte/MPT")).toBeGreaterThan(at("sources/mpt-without"));
    expect(doneLines(out).at(-1)).toContain("100 % of 16 steps");
    const table = readFileSync(join(folder, "table.md"), "utf8");
    expect(table).toContain("| MPT without distillation |");

    const again = await ended(start(folder, ["--jobs", "2"]));
    expect(again.code).toBe(0);
    expect(doneLines(again.out)).toHaveLength(runs.length);
    expect(readFileSync(join(folder, "table.md"), "utf8")).toBe(table);
  }, 180_000);

  test("stops after the step at hand when it is told to, and the same command goes on", async () => {
    const folder = join(root, "stopped");
    const sweep = start(folder, ["--jobs", "2"]);
    const [reader, rest] = [sweep.stdout.getReader(), [] as string[]];
    const decoder = new TextDecoder();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      rest.push(decoder.decode(next.value));
      if (rest.join("").includes(" done: ")) sweep.kill("SIGTERM");
    }
    expect(await sweep.exited).toBe(130);
    expect(existsSync(join(folder, "table.md"))).toBe(false);
    const { code, out } = await ended(start(folder, ["--jobs", "1"]));
    expect(code).toBe(0);
    expect(doneLines(out)).toHaveLength(10);
    expect(doneLines(out).at(-1)).toContain("100 % of 16 steps");
  }, 180_000);

  test("a run that cannot be trained ends the sweep with its words", async () => {
    const folder = join(root, "failing");
    mkdirSync(folder);
    writeFileSync(join(folder, "teachers"), "a file where a folder is needed");
    const { code, err } = await ended(start(folder, ["--jobs", "2"]));
    expect(code).toBe(1);
    expect(err).toContain(join(folder, "teachers"));
    expect(existsSync(join(folder, "table.md"))).toBe(false);
  }, 60_000);
});
