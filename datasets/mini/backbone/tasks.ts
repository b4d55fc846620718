// What the toy backbone is pretrained on: text turned into (input, target) pairs by generic denoising. No row, label or
// template of the benchmark is used. The text is of ../text.ts (which tells in words, of some pairs, whether they mean
// the same or follow from each other, and of some opinions, whether they are good: a T5 has read such things too) and
// of ./english.ts.
import { type Draw, draw } from "../../random.ts";
import { type Document, documents, type Kind } from "../text.ts";
import { sentence } from "./english.ts";

/** Token ids of an input and a target, both without `</s>`. */
export interface Denoising {
  readonly objective: "spans" | "ending" | "choice";
  readonly kind: Kind | "english";
  readonly input: readonly number[];
  readonly target: readonly number[];
}

export interface DenoisingOptions {
  readonly encode: (text: string) => readonly number[];
  /** Id of sentinel `<extra_id_N>`. */
  readonly sentinel: (index: number) => number;
  readonly seed: number;
  /** Name of the stream: `train` and `held out` share no draw. */
  readonly stream: string;
  readonly maxInput: number;
  readonly maxTarget: number;
}

/**
 * How often each kind of text is read. The kinds that a model of this size does not get in some minutes (numbers of
 * agreeing parts, ratings, consequences) are left out rather than left unlearned.
 */
export const kindWeights: Readonly<Partial<Record<Kind, number>> & { english: number }> = {
  review: 5,
  question: 5,
  story: 2,
  rewording: 2,
  name: 1,
  english: 2,
};

/** Documents longer than this are passed over: three facts and a question are more than two layers can hold apart. */
const maxWords = 44;

const symbols: readonly string[] = [..."0123456789", ..."0123456789", ..."abcdefghijklmnopqrstuvwxyz"];

/**
 * T5's span corruption (Raffel et al. 2020, section 3.1.4): spans of 1 to 4 tokens, begun at `chance` of the places
 * (0.075: about 15 % of the tokens are hidden), become sentinels; the target names each sentinel and what it hides.
 */
export function corruptSpans(
  ids: readonly number[],
  stream: Draw,
  sentinel: (index: number) => number,
  { chance = 0.075, maxSpans = 8 }: { readonly chance?: number; readonly maxSpans?: number } = {},
): [number[], number[]] {
  const input: number[] = [];
  const target: number[] = [];
  let spans = 0;
  for (let i = 0; i < ids.length; ) {
    if (spans < maxSpans && stream.chance(chance)) {
      const length = 1 + stream.below(4);
      input.push(sentinel(spans));
      target.push(sentinel(spans), ...ids.slice(i, i + length));
      i += length;
      spans++;
    } else input.push(ids[i++]!);
  }
  if (spans === 0) {
    const at = stream.below(ids.length);
    input.splice(at, 1, sentinel(0));
    target.push(sentinel(0), ids[at]!);
  }
  return [input, target];
}

/** An endless stream of denoising pairs. */
export function* denoising(options: DenoisingOptions): Generator<Denoising> {
  const { encode, sentinel, maxInput, maxTarget } = options;
  const stream = draw(options.seed, "mini/backbone", options.stream);
  const weighted = Object.entries(kindWeights) as [Kind | "english", number][];
  let total = 0;
  const cumulative = weighted.map(([, weight]) => {
    total += weight;
    return total;
  });
  // Each kind of text has its own source, so that the mixture can weigh them.
  const sources = new Map<Kind, Generator<Document>>();
  const next = (kind: Kind): Document => {
    const seed = stream.below(2 ** 31);
    let source = sources.get(kind);
    if (source === undefined) {
      source = documents({ count: Number.MAX_SAFE_INTEGER, seed, kinds: [kind] });
      sources.set(kind, source);
    }
    for (;;) {
      const document = source.next().value as Document;
      if (document.text.split(" ").length <= maxWords) return document;
    }
  };
  for (;;) {
    const at = stream.real() * total;
    const kind = weighted.find((_, index) => at < cumulative[index]!)![0];
    const pair = ((): Denoising => {
      if (kind === "english") {
        const ids = encode(`${sentence(stream)} ${stream.chance(0.3) ? sentence(stream) : ""}`).slice(0, maxInput);
        const [input, target] = corruptSpans(ids, stream, sentinel);
        return { objective: "spans", kind, input, target };
      }
      const document = next(kind);
      const chance = stream.real();
      if (chance < 0.45) {
        const [input, target] = corruptSpans(encode(document.text).slice(0, maxInput), stream, sentinel);
        return { objective: "spans", kind, input, target };
      }
      const other = next(kind).end;
      if (chance < 0.85 || other === document.end) {
        // Prefix language modelling: the end from the beginning, no sentinel on either side.
        return { objective: "ending", kind, input: encode(document.beginning), target: encode(document.end) };
      }
      // Which of two endings it has, by a symbol that the input itself gives each of them: what a prompt may later ask.
      const [a, b] = stream.sample([...new Set(symbols)], 2) as [string, string];
      const first = stream.chance(0.5);
      const [one, two] = first ? [document.end, other] : [other, document.end];
      const input = encode(`${a} : ${one} ${b} : ${two} / ${document.beginning}`);
      return { objective: "choice", kind, input, target: encode(first ? a : b) };
    })();
    if (pair.input.length > maxInput || pair.target.length > maxTarget) {
      yield { ...pair, input: pair.input.slice(0, maxInput), target: pair.target.slice(0, maxTarget) };
    } else yield pair;
  }
}

/** Text for learning the vocabulary: everything the pairs above are made of, and every digit and letter alone. */
export function* vocabularyText(seed: number, count: number): Generator<string> {
  for (const document of documents({ count, seed })) yield document.text;
  const stream = draw(seed, "mini/backbone", "vocabulary");
  for (let i = 0; i < count; i++) yield sentence(stream);
  for (let i = 0; i < 60; i++) for (const symbol of new Set(symbols)) yield symbol;
}
