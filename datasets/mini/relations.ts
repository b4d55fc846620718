// Pairs of sentences of the small world whose relation is certain, because both are said from facts: same meaning,
// other meaning, entailed, contradicted, unrelated; and questions with their answers. The tasks label them.
import type { Draw } from "../random.ts";
import { changed, drawFact, type Fact, joined, ORDERS, type SayOptions, type Slot, say } from "./world.ts";

export interface Pair {
  readonly first: string;
  readonly second: string;
}

const anyOrder = (draw: Draw): SayOptions => ({ order: draw.pick(ORDERS), synonyms: true });

/** The same fact twice, in other words and another order. */
export function paraphrase(draw: Draw): Pair {
  const fact = drawFact(draw);
  const orders = draw.sample(ORDERS, 2);
  return {
    first: say(fact, draw, { order: orders[0]!, synonyms: true }),
    second: say(fact, draw, { order: orders[1]!, synonyms: true }),
  };
}

/** Two facts that share the rest, but differ in three of who, what was done, to which thing and where. */
export function lookalike(draw: Draw): Pair {
  const fact = drawFact(draw);
  const slots = draw.sample<Slot>(["person", "action", "thing", "place"], 3);
  return { first: say(fact, draw, anyOrder(draw)), second: say(changed(fact, slots, draw), draw, anyOrder(draw)) };
}

/** The second leaves out details of the first: it follows from it. */
export function entailed(draw: Draw): Pair {
  const fact = drawFact(draw);
  const without = draw.sample<Slot>(["quality", "place", "time"], 2);
  return { first: say(fact, draw, anyOrder(draw)), second: say(fact, draw, { ...anyOrder(draw), without }) };
}

/** As `entailed`, but the second denies it: it cannot be. */
export function contradicted(draw: Draw): Pair {
  const fact = drawFact(draw);
  const without = draw.sample<Slot>(["quality", "place", "time"], 2);
  return {
    first: say(fact, draw, anyOrder(draw)),
    second: say(fact, draw, { ...anyOrder(draw), without, negated: true }),
  };
}

/** The same fact twice, in another order, the second denied: never the same meaning. */
export function denied(draw: Draw): Pair {
  const fact = drawFact(draw);
  const orders = draw.sample(ORDERS, 2);
  return {
    first: say(fact, draw, { order: orders[0]!, synonyms: true }),
    second: say(fact, draw, { order: orders[1]!, synonyms: true, negated: true }),
  };
}

/** The second is about another person, deed and thing: it neither follows nor is excluded. */
export function unrelated(draw: Draw): Pair {
  const fact = drawFact(draw);
  const slots: readonly Slot[] = ["person", "action", "thing"];
  const without = draw.sample<Slot>(["quality", "place", "time"], 2);
  return {
    first: say(fact, draw, anyOrder(draw)),
    second: say(changed(fact, slots, draw), draw, { ...anyOrder(draw), without }),
  };
}

/** Slots that `similar` compares; each shared one is worth a point of five. */
export const COMPARED: readonly Slot[] = ["person", "action", "thing", "place", "time"];

/** Two sentences that share `shared` of the five compared slots. */
export function similar(shared: number, draw: Draw): Pair {
  const fact = drawFact(draw);
  const other = changed(fact, draw.sample(COMPARED, COMPARED.length - shared), draw);
  return {
    first: say(fact, draw, { ...anyOrder(draw), without: ["quality"] }),
    second: say(other, draw, { ...anyOrder(draw), without: ["quality"] }),
  };
}

export interface Question {
  readonly question: string;
  /** The words as `say` puts them when it does not use synonyms. */
  readonly answer: string;
  readonly slot: Slot;
}

/** What questions may ask for. */
export const ASKED: readonly Slot[] = ["person", "thing", "place", "time"];

/** A question about one slot of a fact, answered by the fact's sentence said without synonyms. */
export function ask(fact: Fact, draw: Draw, slot: Slot = draw.pick(ASKED)): Question {
  const thing = `the ${fact.thing[0]}`;
  const person = `the ${fact.person[0]}`;
  const action = fact.action[0];
  switch (slot) {
    case "person":
      return { slot, question: joined("who", action, thing, "?"), answer: person };
    case "place":
      return { slot, question: joined("where was", thing, action, "?"), answer: fact.place[0] };
    case "time":
      return { slot, question: joined("when was", thing, action, "?"), answer: fact.time[0] };
    case "quality":
      return { slot, question: joined("how was", thing, "that was", action, "?"), answer: fact.quality[0] };
    case "action":
      return { slot, question: joined("what was done to", thing, "by", person, "?"), answer: action };
    case "thing":
      return {
        slot,
        question: joined("what was", action, "by", person, "?"),
        answer: joined("the", fact.quality[0], fact.thing[0]),
      };
  }
}
