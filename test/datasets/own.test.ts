// A dataset of the user's own: one object, known by its name after addDataset, read from the user's files.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { addDataset, type Dataset, datasetNames, findDataset } from "#datasets/index.ts";
import { loadDataset } from "#toolkit/batches/index.ts";
import { tickets as ticketsIn } from "./tickets.ts";

const folder = mkdtempSync(join(tmpdir(), "bunsen-own-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tickets = (name: string): Dataset => ticketsIn(name, folder);

describe("A dataset of one's own", () => {
  test("is found by its name, may be added again, and its rows come from its folder by its split rule", async () => {
    const rows = Array.from({ length: 8 }, (_, i) => JSON.stringify({ text: `ticket ${i}`, label: i % 2 }));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "train.jsonl"), rows.join("\n"));
    writeFileSync(join(folder, "validation.jsonl"), rows.slice(0, 6).join("\n"));
    addDataset(tickets("tickets"));
    addDataset(tickets("tickets"));
    expect(datasetNames().filter((name) => name === "tickets")).toHaveLength(1);
    expect(findDataset("tickets").title).toBe("Support tickets");
    const environment = { BUNSEN_CACHE: process.env.BUNSEN_CACHE };
    process.env.BUNSEN_CACHE = join(folder, "cache");
    try {
      const train = await loadDataset("tickets", { split: "train" });
      expect(train.render().map(({ input, target }) => [input, target])).toEqual(
        rows.map((_, i) => [`tickets text: ticket ${i}`, String(i % 2)]),
      );
      const validation = await loadDataset("tickets", { split: "validation" });
      const held = await loadDataset("tickets", { split: "test" });
      const texts = [...validation.render(), ...held.render()].map(({ input }) => input);
      expect([validation.numRows, held.numRows, new Set(texts).size]).toEqual([3, 3, 6]);
    } finally {
      if (environment.BUNSEN_CACHE === undefined) delete process.env.BUNSEN_CACHE;
      else process.env.BUNSEN_CACHE = environment.BUNSEN_CACHE;
    }
  });

  test("cannot take a name of the catalogue, nor one that is a path", () => {
    expect(() => addDataset(tickets("glue/rte"))).toThrow(/catalogue has a dataset "glue\/rte" already/);
    expect(() => addDataset(tickets("mini/rte"))).toThrow(/already/);
    expect(() => addDataset(tickets("../tickets"))).toThrow(/letters, digits/);
  });
});
