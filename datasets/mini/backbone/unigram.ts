// Trains a unigram vocabulary (Kudo 2018, https://aclanthology.org/P18-1007: EM over a seed of substrings, pruned by
// how much likelihood each piece is worth) and writes it in the form that @huggingface/tokenizers reads, with T5's
// conventions: metaspace, </s> appended, sentinels at the end. Not a tokenizer: encoding is the library's business.

export const metaspace = "▁";

export interface UnigramOptions {
  /** Pieces wanted, single characters included; special tokens and sentinels come on top. */
  readonly size: number;
  /** Pieces that stay whatever they are worth: every character that must never become `<unk>`. */
  readonly required: readonly string[];
  readonly maxPieceLength?: number;
  readonly iterations?: number;
  /** Part of the pieces that one pruning round may keep. */
  readonly shrink?: number;
}

export type Piece = readonly [piece: string, score: number];

/** Counts of `▁word` over texts, words being what whitespace separates: the unit that T5's tokenizer never crosses. */
export function countWords(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of text.normalize("NFKC").split(/\s+/u)) {
      if (word === "") continue;
      const key = metaspace + word;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

interface Arc {
  readonly start: number;
  readonly piece: string;
}

/** For each end position of `word`, the pieces that end there. */
function lattice(word: string, scores: ReadonlyMap<string, number>, maxLength: number): Arc[][] {
  const ends: Arc[][] = Array.from({ length: word.length + 1 }, () => []);
  for (let start = 0; start < word.length; start++) {
    for (let end = start + 1; end <= Math.min(word.length, start + maxLength); end++) {
      const piece = word.slice(start, end);
      if (scores.has(piece)) ends[end]!.push({ start, piece });
    }
  }
  return ends;
}

const logAdd = (a: number, b: number): number => {
  if (a === -Infinity) return b;
  if (b === -Infinity) return a;
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
};

/** Adds the expected number of uses of each piece in `word` to `expected`. */
function expectedCounts(
  word: string,
  weight: number,
  scores: ReadonlyMap<string, number>,
  maxLength: number,
  expected: Map<string, number>,
): void {
  const ends = lattice(word, scores, maxLength);
  const forward = new Float64Array(word.length + 1).fill(-Infinity);
  forward[0] = 0;
  for (let end = 1; end <= word.length; end++) {
    for (const arc of ends[end]!) forward[end] = logAdd(forward[end]!, forward[arc.start]! + scores.get(arc.piece)!);
  }
  const total = forward[word.length]!;
  if (total === -Infinity) return; // a character outside the alphabet: becomes <unk>
  const backward = new Float64Array(word.length + 1).fill(-Infinity);
  backward[word.length] = 0;
  for (let end = word.length; end > 0; end--) {
    for (const arc of ends[end]!) {
      const score = scores.get(arc.piece)!;
      const uses = weight * Math.exp(forward[arc.start]! + score + backward[end]! - total);
      expected.set(arc.piece, (expected.get(arc.piece) ?? 0) + uses);
      backward[arc.start] = logAdd(backward[arc.start]!, backward[end]! + score);
    }
  }
}

/** The best segmentation's score without using `forbidden`; −Infinity where there is none. */
function bestScore(word: string, scores: ReadonlyMap<string, number>, maxLength: number, forbidden?: string): number {
  const ends = lattice(word, scores, maxLength);
  const best = new Float64Array(word.length + 1).fill(-Infinity);
  best[0] = 0;
  for (let end = 1; end <= word.length; end++) {
    for (const arc of ends[end]!) {
      if (arc.piece === forbidden) continue;
      best[end] = Math.max(best[end]!, best[arc.start]! + scores.get(arc.piece)!);
    }
  }
  return best[word.length]!;
}

/**
 * Learns pieces and their log-probabilities from word counts.
 * @throws RangeError where `size` does not even hold the required pieces.
 */
export function trainUnigram(words: ReadonlyMap<string, number>, options: UnigramOptions): Piece[] {
  const { size, maxPieceLength = 14, iterations = 2, shrink = 0.75 } = options;
  const required = new Set(options.required);
  for (const word of words.keys()) for (const character of word) required.add(character);
  if (size < required.size) {
    throw new RangeError(`A vocabulary of ${size} pieces cannot hold ${required.size} single characters; raise size.`);
  }

  const seed = new Map<string, number>();
  for (const [word, count] of words) {
    for (let start = 0; start < word.length; start++) {
      for (let end = start + 1; end <= Math.min(word.length, start + maxPieceLength); end++) {
        const piece = word.slice(start, end);
        seed.set(piece, (seed.get(piece) ?? 0) + count);
      }
    }
  }
  const ranked = [...seed]
    .filter(([piece, count]) => piece.length > 1 && count > 1)
    .sort((a, b) => b[1] * b[0].length - a[1] * a[0].length || (a[0] < b[0] ? -1 : 1))
    .slice(0, size * 8);
  let counts = new Map<string, number>([...required].map((piece) => [piece, (seed.get(piece) ?? 0) + 1]));
  for (const [piece, count] of ranked) counts.set(piece, count);

  const normalise = (from: ReadonlyMap<string, number>): Map<string, number> => {
    let sum = 0;
    for (const count of from.values()) sum += count;
    return new Map([...from].map(([piece, count]) => [piece, Math.log(count / sum)]));
  };
  const estimate = (from: ReadonlyMap<string, number>): Map<string, number> => {
    let current = from;
    for (let iteration = 0; iteration < iterations; iteration++) {
      const scores = normalise(current);
      const expected = new Map<string, number>();
      for (const [word, count] of words) expectedCounts(word, count, scores, maxPieceLength, expected);
      const next = new Map<string, number>();
      for (const piece of current.keys()) {
        const uses = expected.get(piece) ?? 0;
        if (required.has(piece)) next.set(piece, Math.max(uses, 0.5));
        else if (uses >= 0.5) next.set(piece, uses);
      }
      current = next;
    }
    return new Map(current);
  };

  counts = estimate(counts);
  while (counts.size > size) {
    const scores = normalise(counts);
    const worth = [...counts]
      .filter(([piece]) => !required.has(piece))
      .map(([piece, count]): [string, number] => [
        piece,
        count * (scores.get(piece)! - bestScore(piece, scores, maxPieceLength, piece)),
      ])
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const keep = Math.max(size - required.size, Math.floor(worth.length * shrink));
    const kept = new Set(worth.slice(0, keep).map(([piece]) => piece));
    counts = estimate(new Map([...counts].filter(([piece]) => required.has(piece) || kept.has(piece))));
  }
  return [...normalise(counts)].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

/** Tokens 0 to 2 as in T5. */
export const specialTokens: readonly string[] = ["<pad>", "</s>", "<unk>"];

/** The content of a `tokenizer.json` in T5's manner: ids = specials, pieces by score, sentinels downwards at the end. */
export function tokenizerFile(pieces: readonly Piece[], sentinels: number): Record<string, unknown> {
  const extra = Array.from({ length: sentinels }, (_, index) => `<extra_id_${sentinels - 1 - index}>`);
  const added = (content: string, id: number): Record<string, unknown> => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const round = (score: number): number => Math.round(score * 1e4) / 1e4;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [
      ...specialTokens.map((token, id) => added(token, id)),
      ...extra.map((token, index) => added(token, specialTokens.length + pieces.length + index)),
    ],
    normalizer: { type: "NFKC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "WhitespaceSplit" },
        { type: "Metaspace", replacement: metaspace, add_prefix_space: true, prepend_scheme: "always" },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "</s>", type_id: 0 } }],
      pair: [
        { Sequence: { id: "A", type_id: 0 } },
        { SpecialToken: { id: "</s>", type_id: 0 } },
        { Sequence: { id: "B", type_id: 0 } },
        { SpecialToken: { id: "</s>", type_id: 0 } },
      ],
      special_tokens: { "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] } },
    },
    decoder: { type: "Metaspace", replacement: metaspace, add_prefix_space: true, prepend_scheme: "always" },
    model: {
      type: "Unigram",
      unk_id: 2,
      vocab: [
        ...specialTokens.map((token): [string, number] => [token, 0]),
        ...pieces.map(([piece, score]): [string, number] => [piece, round(score)]),
        ...extra.map((token): [string, number] => [token, 0]),
      ],
    },
  };
}

/** Every printable ASCII character (space excepted: it is the metaspace). */
export const printableAscii: readonly string[] = Array.from({ length: 94 }, (_, index) =>
  String.fromCharCode(33 + index),
);
