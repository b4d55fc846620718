// The bookkeeping of beam search for one input row: which hypotheses run on, which are finished, when no better one
// can come. Pure: numbers in, numbers out. The rules (2·beams candidates, finished ones only from the best `beams`,
// scores divided by length^penalty, the stopping heuristic) are those of transformers' beam search with
// early_stopping = False, so that results can be compared.

export interface Candidate {
  /** Index of the running hypothesis it continues. */
  readonly beam: number;
  readonly token: number;
  /** Sum of log-probabilities, this token included. */
  readonly score: number;
}

export interface Hypothesis {
  readonly tokens: readonly number[];
  readonly score: number;
}

export interface BeamState {
  readonly running: readonly Hypothesis[];
  readonly finished: readonly Hypothesis[];
  /** False once no running hypothesis can beat the finished ones. */
  readonly open: boolean;
}

export interface BeamRules {
  readonly numBeams: number;
  readonly maxNewTokens: number;
  readonly eosTokenId: number;
  readonly lengthPenalty: number;
}

/** The first hypothesis is empty; the others are kept out by a score that no continuation reaches. */
export function startBeams(numBeams: number): BeamState {
  const running = Array.from({ length: numBeams }, (_, i) => ({ tokens: [], score: i === 0 ? 0 : -1e9 }));
  return { running, finished: [], open: true };
}

/**
 * One step. `candidates` are the best 2·numBeams continuations, best first.
 * @returns the next state and, for each running hypothesis, which one it continues
 */
export function advanceBeams(
  state: BeamState,
  candidates: readonly Candidate[],
  rules: BeamRules,
): { readonly state: BeamState; readonly parents: readonly number[] } {
  const { numBeams, maxNewTokens, eosTokenId, lengthPenalty } = rules;
  const length = state.running[0]!.tokens.length + 1;
  const stops = (candidate: Candidate): boolean => candidate.token === eosTokenId || length >= maxNewTokens;
  const extend = (candidate: Candidate, score: number): Hypothesis => ({
    tokens: [...state.running[candidate.beam]!.tokens, candidate.token],
    score,
  });
  const finished = state.open
    ? [
        ...state.finished,
        ...candidates
          .slice(0, numBeams)
          .filter(stops)
          .map((candidate) => extend(candidate, candidate.score / length ** lengthPenalty)),
      ]
        .sort((a, b) => b.score - a.score)
        .slice(0, numBeams)
    : state.finished;
  const going = candidates.filter((candidate) => !stops(candidate)).slice(0, numBeams);
  // At the length limit every candidate stops; the rows go on in place, unused.
  const kept = going.length === numBeams ? going : candidates.slice(0, numBeams);
  const running = kept.map((candidate) => extend(candidate, candidate.score));
  const best = running[0]!.score / length ** lengthPenalty;
  const worst = finished.length < numBeams ? Number.NEGATIVE_INFINITY : finished.at(-1)!.score;
  return {
    state: { running, finished, open: state.open && length < maxNewTokens && best > worst },
    parents: kept.map((candidate) => candidate.beam),
  };
}

/** The best hypothesis, finished ones first. */
export function bestHypothesis(state: BeamState): readonly number[] {
  return (state.finished[0] ?? state.running[0]!).tokens;
}
