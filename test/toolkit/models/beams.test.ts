// The bookkeeping of beam search on small hand-made candidates.
import { describe, expect, test } from "vitest";
import { advanceBeams, type BeamRules, bestHypothesis, startBeams } from "#toolkit/models/t5/generate/beams.ts";

const rules: BeamRules = { numBeams: 2, maxNewTokens: 3, eosTokenId: 1, lengthPenalty: 1 };
const candidate = (beam: number, token: number, score: number): { beam: number; token: number; score: number } => ({
  beam,
  token,
  score,
});

describe("advanceBeams", () => {
  test("keeps the best running hypotheses and says which ones they continue", () => {
    const { state, parents } = advanceBeams(
      startBeams(2),
      [candidate(0, 5, -0.1), candidate(0, 6, -0.5), candidate(0, 7, -0.9), candidate(0, 8, -2)],
      rules,
    );
    expect(state.running.map(({ tokens }) => tokens)).toEqual([[5], [6]]);
    expect(parents).toEqual([0, 0]);
    expect(state.open).toBe(true);
  });

  test("finished hypotheses leave the running ones and are scored by their length", () => {
    const first = advanceBeams(
      startBeams(2),
      [candidate(0, 1, -0.4), candidate(0, 6, -0.5), candidate(0, 7, -0.9), candidate(0, 8, -2)],
      rules,
    ).state;
    expect(first.finished).toEqual([{ tokens: [1], score: -0.4 }]);
    expect(first.running.map(({ tokens }) => tokens)).toEqual([[6], [7]]);
    const second = advanceBeams(
      first,
      [candidate(1, 1, -1), candidate(0, 4, -1.1), candidate(0, 5, -1.2), candidate(1, 5, -1.3)],
      rules,
    );
    expect(second.state.finished.map(({ tokens }) => tokens)).toEqual([[1], [7, 1]]);
    expect(second.state.finished[1]!.score).toBe(-0.5);
    expect(second.parents).toEqual([0, 0]);
    // Best running -1.1 / 2 is worse than the worst finished -0.5: nothing can improve.
    expect(second.state.open).toBe(false);
    expect(bestHypothesis(second.state)).toEqual([1]);
  });

  test("an end that is not among the best beams does not finish", () => {
    const { state } = advanceBeams(
      startBeams(2),
      [candidate(0, 5, -0.1), candidate(0, 6, -0.2), candidate(0, 1, -0.3), candidate(0, 8, -2)],
      rules,
    );
    expect(state.finished).toEqual([]);
  });

  test("at the length limit every candidate finishes", () => {
    let state = startBeams(2);
    for (let i = 0; i < 3; i++)
      state = advanceBeams(
        state,
        [candidate(0, 5, -1 - i), candidate(0, 6, -1.5 - i), candidate(0, 7, -2 - i), candidate(0, 8, -3 - i)],
        rules,
      ).state;
    expect(state.open).toBe(false);
    expect(bestHypothesis(state)).toEqual([5, 5, 5]);
  });

  test("a length penalty prefers longer answers", () => {
    const scored = (lengthPenalty: number): number => {
      const first = advanceBeams(
        startBeams(2),
        [candidate(0, 1, -1), candidate(0, 6, -1), candidate(0, 7, -2), candidate(0, 8, -2)],
        { ...rules, lengthPenalty },
      ).state;
      const second = advanceBeams(
        first,
        [candidate(0, 1, -1.8), candidate(0, 4, -5), candidate(0, 5, -5), candidate(1, 5, -6)],
        { ...rules, lengthPenalty },
      ).state;
      return bestHypothesis(second).length;
    };
    expect(scored(0)).toBe(1);
    expect(scored(1)).toBe(2);
  });
});
