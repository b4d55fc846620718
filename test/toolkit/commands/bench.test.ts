// `bunsen bench`: the line that it prints, on a shape that takes a second; no figure is judged.
import { describe, expect, it } from "vitest";
import { command, parseBench } from "#toolkit/commands/bench.ts";
import { UsageError } from "#toolkit/commands/contract.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: the bench is not run");

async function printed(...args: string[]): Promise<Record<string, number | string>> {
  const lines: string[] = [];
  const out = (line: string): void => void lines.push(line);
  expect(await command.run(args, { out, err: out, interactive: false })).toBe(0);
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0]!) as Record<string, number | string>;
}

describe("bench", () => {
  it("refuses flags that it does not know, or cannot use, by name", () => {
    expect(() => parseBench(["--shape", "t5-huge"])).toThrow("--shape expected one of t5-tiny");
    expect(() => parseBench(["--steps", "0"])).toThrow("--steps expected a whole number of at least 1, got 0");
    expect(() => parseBench(["--dropout", "1"])).toThrow("--dropout expected a number from 0 to below 1, got 1");
    expect(() => parseBench(["--shares"])).toThrow(UsageError);
    expect(parseBench([]).share).toBe(false);
    expect(parseBench(["--share"]).share).toBe(true);
  });

  it.skipIf(!hasNative)("prints a step's figures, and its share of the matmul measured between the steps", async () => {
    const sizes = ["--shape", "t5-tiny", "--batch", "2", "--prompt", "4", "--input", "12", "--target", "4"];
    const line = await printed("step", ...sizes, "--engine", "cpu", "--steps", "3", "--share");
    expect(line).toMatchObject({ bench: "step", engine: "cpu", shape: "t5-tiny", precision: "f32", steps: 3 });
    for (const name of ["step_ms_median", "step_ms_min", "trace_ms", "compile_ms", "peak_rss_mib", "tokens_per_s"])
      expect(line[name], name).toBeGreaterThan(0);
    const gflops = (line.gflop as number) / ((line.step_ms_median as number) / 1000);
    // `gflop` is printed with one digit: of a step so small it is mostly rounding.
    expect(Math.abs((line.gflops as number) - gflops)).toBeLessThan(0.06 / ((line.step_ms_median as number) / 1000));
    expect(line.share).toBeCloseTo((line.gflops as number) / (line.matmul_gflops_median as number), 2);
    expect(line.matmul_gflops_best).toBeGreaterThanOrEqual(line.matmul_gflops_median as number);
  });
});
