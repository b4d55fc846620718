// Published numbers as data are copies: their printed averages find a slip of the hand.
import { describe, expect, test } from "vitest";
import { findDataset, groups } from "#datasets/index.ts";
import { type PublishedGroup, published, publishedGroups, publishedScore } from "#toolkit/experiments/published.ts";

describe("The published scores", () => {
  test("are of datasets of the catalogue, in its groups", () => {
    for (const [group, tasks] of Object.entries(publishedGroups)) {
      for (const task of tasks) {
        expect(() => findDataset(task)).not.toThrow();
        expect(groups[group as PublishedGroup] as readonly string[]).toContain(task);
      }
    }
  });

  test("have the averages that are printed beside them, or the noted mean where print and columns differ", () => {
    for (const row of published) {
      for (const [group, { printed, mean: noted }] of Object.entries(row.averages)) {
        const scores = publishedGroups[group as PublishedGroup].map((task) => row.scores[task]!);
        expect(scores.every((score) => score > 0 && score < 100)).toBe(true);
        const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
        const where = `${row.method}, ${group}, ${row.source}: mean ${mean.toFixed(3)}, printed ${printed}`;
        // Scores and averages are printed with one decimal; 1e-9 is the rounding of the sum.
        if (noted === undefined) expect(Math.abs(mean - printed), where).toBeLessThanOrEqual(0.05 + 1e-9);
        else {
          expect(Math.abs(mean - printed), where).toBeGreaterThan(0.05);
          expect(Math.abs(mean - noted), where).toBeLessThanOrEqual(0.05);
        }
      }
    }
  });

  test("name their source and whether it could be read; the recalled rows say so", () => {
    for (const row of published) expect(row.source).not.toBe("");
    expect(published.filter((row) => row.shots !== null).every((row) => row.evidence === "recalled")).toBe(true);
    expect(publishedScore("MPT", "glue/rte")).toMatchObject({ score: 79.4, row: { evidence: "verified" } });
    expect(publishedScore("prompt tuning", "glue/cola")).toMatchObject({ score: 59.5, row: { evidence: "verified" } });
    expect(publishedScore("MPT", "scitail", 16)).toMatchObject({ score: 87.3, row: { evidence: "recalled" } });
    expect(publishedScore("MPT", "glue/rte", 4)).toBeUndefined();
  });
});
