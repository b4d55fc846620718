// Text of the small world for pretraining a toy backbone: documents in which the relations that the tasks ask about
// are told in words ("in other words", "but not", a question and its answer, a verdict), and never by the templates or
// label digits of the benchmark. How a model is pretrained on it belongs to mini/backbone.
import { type Draw, draw } from "../random.ts";
import { judgement, phrase, review } from "./opinions.ts";
import { ask, contradicted, entailed, lookalike, paraphrase, similar, unrelated } from "./relations.ts";
import { drawFacts, joined, NAMES, ORDERS, say } from "./world.ts";

/** A document; `text` is `beginning`, a space, and `end`, where the end follows from the beginning. */
export interface Document {
  readonly kind: Kind;
  readonly text: string;
  readonly beginning: string;
  readonly end: string;
}

export const KINDS = ["story", "rewording", "consequence", "likeness", "question", "review", "rating", "name"] as const;
export type Kind = (typeof KINDS)[number];

const NUMBERS: readonly string[] = ["no", "one", "two", "three", "four", "five"];

const WRITERS: Readonly<Record<Kind, (draw: Draw) => readonly [beginning: string, end: string]>> = {
  story: (draw) => {
    const sentences = drawFacts(draw, 2 + draw.below(3)).map((fact) =>
      say(fact, draw, { order: draw.pick(ORDERS), synonyms: true }),
    );
    return [sentences.slice(0, -1).join(" "), sentences.at(-1)!];
  },
  rewording: (draw) => {
    const same = draw.chance(0.5);
    const { first, second } = same ? paraphrase(draw) : lookalike(draw);
    return [joined(first, second), same ? "these mean the same ." : "these mean different things ."];
  },
  consequence: (draw) => {
    const kind = draw.below(3);
    const { first, second } = [entailed, unrelated, contradicted][kind]!(draw);
    return [
      joined("it is known that", first, "it is said that", second),
      ["this is true .", "this is not known .", "this is false ."][kind]!,
    ];
  },
  likeness: (draw) => {
    const shared = draw.below(6);
    const { first, second } = similar(shared, draw);
    return [joined(first, second), joined("these agree in", NUMBERS[shared]!, "of five .")];
  },
  question: (draw) => {
    // Sometimes two questions about the same facts: the more answers to copy, the sooner copying is learned.
    const facts = drawFacts(draw, 1 + draw.below(2));
    const told = facts.map((fact) => say(fact, draw, { order: draw.pick(ORDERS) })).join(" ");
    const first = ask(draw.pick(facts), draw);
    const { question, answer } = ask(draw.pick(facts), draw);
    if (draw.chance(0.5)) return [joined(told, first.question, first.answer, ".", question), `${answer} .`];
    return draw.chance(0.5) ? [joined(told, question), `${answer} .`] : [joined(question, told), `${answer} .`];
  },
  review: (draw) => {
    const good = draw.chance(0.5);
    const told = draw.chance(0.5)
      ? phrase(good, draw)
      : review(good, draw.chance(0.5) ? "film" : "restaurant", 2 + draw.below(2), draw);
    return [told, good ? "i liked it ." : "i did not like it ."];
  },
  rating: (draw) => {
    const stars = draw.below(6);
    const words = joined(judgement(stars >= 3, draw.pick(["film", "food", "room"]), draw), ".");
    const grade = `${stars}.${draw.pick(["0", "2", "4", "5", "6", "8"])}`;
    return [
      joined("on day", String(draw.below(10)), words),
      joined("it was given", stars === 5 ? "5.0" : grade, "of 5 ."),
    ];
  },
  name: (draw) => {
    const [giver, taker] = draw.sample(NAMES, 2);
    const thing = draw.pick(["letter", "book", "coat", "lamp", "key"]);
    const asked = draw.chance(0.5);
    return [
      joined(giver!, "gave the", thing, "to", taker!, ".", asked ? "who gave" : "who got", "the", thing, "?"),
      joined(asked ? giver! : taker!, "."),
    ];
  },
};

export interface TextOptions {
  readonly count: number;
  readonly seed?: number;
  /** Kinds to write about, in equal shares; all of them by default. */
  readonly kinds?: readonly Kind[];
}

/** `count` seeded documents. The same options give the same text. @throws RangeError where count is no whole number */
export function* documents(options: TextOptions): Generator<Document> {
  if (!Number.isInteger(options.count) || options.count < 0) {
    throw new RangeError(`count should be a whole number of documents, got ${options.count}`);
  }
  const stream = draw(options.seed ?? 0, "mini/text");
  const kinds = options.kinds ?? KINDS;
  for (let i = 0; i < options.count; i++) {
    const kind = stream.pick(kinds);
    const [beginning, end] = WRITERS[kind](stream);
    yield { kind, beginning, end, text: `${beginning} ${end}` };
  }
}
