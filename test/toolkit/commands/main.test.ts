// The command line as a user meets it: help, mistakes in one message without a stack, exit statuses.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { commands, main } from "#toolkit/main.ts";

const miniBackbone = join(import.meta.dirname, "../../../datasets/mini/backbone");
const root = mkdtempSync(join(tmpdir(), "bunsen-cli-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function run(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const status = await main(argv, { out: (text) => out.push(text), err: (text) => err.push(text), interactive: false });
  return { status, out: out.join("\n"), err: err.join("\n") };
}
const noStack = /^\s+at /m;

describe("bunsen", () => {
  test("lists every command, and each one loads and explains itself", async () => {
    const { out, status } = await run("help");
    expect(status).toBe(0);
    for (const name of Object.keys(commands)) {
      expect(out).toContain(name);
      const help = await run("help", name);
      expect(help.status, name).toBe(0);
      expect(help.out, name).toContain("usage: bunsen");
    }
  });

  test("a misspelt command names the near one and all others", async () => {
    const { status, err } = await run("tarin");
    expect(status).toBe(2);
    expect(err).toContain('unknown command "tarin" (did you mean "train"?); expected one of data, train');
    expect(err).not.toMatch(noStack);
  });

  test("sweep takes its study as a word or as a flag", async () => {
    const word = await run("sweep", "quick", "--plan", "--step-ms", "10");
    expect(word.status).toBe(0);
    expect(word.out).toContain("MPT without decomposition on glue/rte k=16");
    expect(await run("sweep", "--quick", "--plan", "--step-ms", "10")).toEqual(word);
    expect(await run("sweep", "quick", "--quick", "--plan", "--step-ms", "10")).toEqual(word);
    const both = await run("sweep", "full", "--quick");
    expect(both.status).toBe(2);
    expect(both.err).toContain("expected one of the studies quick, full, got full quick");
  });

  test("a config with several mistakes reports all of them at once", async () => {
    const { status, err } = await run(
      "train",
      "--set",
      "run=x",
      "--set",
      `model=${miniBackbone}`,
      "--set",
      'tasks=["glue/rtee"]',
      "--set",
      "method=mtp",
      "--set",
      "steps=0",
      "--dry-run",
    );
    expect(status).toBe(1);
    expect(err).toContain("3 problems");
    expect(err).toContain('unknown dataset "glue/rtee" (did you mean "glue/rte"?)');
    expect(err).toContain('unknown method "mtp" (did you mean "mpt"?)');
    expect(err).toContain("steps: expected an integer of at least 1, got 0");
    expect(err).not.toMatch(noStack);
  });

  test("a model folder without weights is named with what was expected", async () => {
    const { status, err } = await run(
      "train",
      "--set",
      `run=${root}/a`,
      "--set",
      `model=${root}`,
      "--set",
      'tasks=["mini/sst2"]',
      "--set",
      "method=mpt",
      "--set",
      "steps=1",
    );
    expect(status).toBe(1);
    expect(err).toContain(root);
    expect(err).toMatch(/tokenizer\.json|config\.json/);
    expect(err).not.toMatch(noStack);
  });

  test("--debug adds the stack", async () => {
    const { err } = await run("evaluate", `${root}/none`, "--debug");
    expect(err).toMatch(noStack);
    expect(err).toContain("is no finished run");
  });

  test("a wrong flag is a wrong command line", async () => {
    const { status, err } = await run("table", "--formt", "text");
    expect(status).toBe(2);
    expect(err).toContain("--formt");
    expect((await run("plot")).status).toBe(2);
    expect((await run("predict")).err).toContain("expected one run folder, got none");
  });

  test("a dry run prints the whole configuration", async () => {
    const { status, out } = await run(
      "train",
      "--set",
      "run=x",
      "--set",
      `model=${miniBackbone}`,
      "--set",
      'tasks=["glue/rte"]',
      "--set",
      "method=mpt",
      "--set",
      "steps=5",
      "--dry-run",
    );
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ stage: "single", steps: 5, batchSize: 16, optimizer: "adamw" });
  });
});
