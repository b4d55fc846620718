// Generated rows in the schemas of the SuperGLUE sets. Each row's text determines its label.
import type { Generator } from "./glue.ts";
import { ask, contradicted, entailed, unrelated } from "./relations.ts";
import {
  type Concept,
  changed,
  drawFacts,
  joined,
  NAMES,
  ORDERS,
  PEOPLE,
  PLACES,
  type Slot,
  say,
  TIMES,
} from "./world.ts";

export const boolq: Generator = (idx, draw) => {
  const label = draw.below(2);
  const told = drawFacts(draw, 1 + draw.below(2));
  const fact = draw.pick(told);
  // Answered "no": the passage denies it, or tells of another person or deed than the question.
  const isDenied = label === 0 && draw.chance(0.5);
  const asked = label === 1 || isDenied ? fact : changed(fact, [draw.pick(["person", "action"] as const)], draw);
  const question = joined("was the", asked.thing[0], asked.action[0], "by the", asked.person[0]);
  const passage = told.map((each) => say(each, draw, { order: draw.pick(ORDERS), negated: isDenied && each === fact }));
  return { question, passage: passage.join(" "), idx, label };
};

/** CB's order of labels: entailment, contradiction, neutral. */
export const cb: Generator = (idx, draw) => {
  const label = draw.below(3);
  const pair = [entailed, contradicted, unrelated][label]!(draw);
  return { premise: pair.first, hypothesis: pair.second, idx, label };
};

/** Words of two senses, each with sentences that fix the sense. */
export const SENSES: Readonly<Record<string, readonly [one: readonly string[], other: readonly string[]]>> = {
  bank: [
    [
      "the boat lay at the bank of the river .",
      "the grass on the bank was wet .",
      "we sat on the bank of the stream .",
    ],
    ["the bank lost the money .", "the merchant went to the bank with a coin .", "the bank gave the farmer a loan ."],
  ],
  bat: [
    ["the bat slept in the barn .", "a bat flew from the tower at night .", "the small black bat has wings ."],
    ["the boy held the wooden bat .", "the player broke the bat .", "the ball hit the bat ."],
  ],
  ring: [
    ["the queen has a gold ring .", "the ring was on the finger .", "the thief sold the ring with the red stone ."],
    ["there was a ring at the door .", "i heard the ring of the telephone .", "the ring of the bell woke me ."],
  ],
  watch: [
    ["the watch shows the time .", "the old watch stopped at noon .", "the king wound the watch ."],
    [
      "the guard kept watch at night .",
      "the soldier was on watch at the gate .",
      "the watch on the wall was long for the sentry .",
    ],
  ],
  letter: [
    ["the letter came by post .", "the writer sent a long letter .", "the letter lay in the box unopened ."],
    [
      "the first letter of the word is a .",
      "the pupil wrote one letter of the alphabet .",
      "the letter b comes after a .",
    ],
  ],
  play: [
    ["the play has three acts .", "we saw a play with a great cast .", "the writer wrote a play ."],
    ["the children play in the garden .", "the dog and the child play with a ball .", "they play on the hill ."],
  ],
};

export const wic: Generator = (idx, draw) => {
  const label = draw.below(2);
  const word = draw.pick(Object.keys(SENSES));
  const [one, other] = draw.shuffle(SENSES[word]!);
  const [sentence1, same] = draw.sample(one!, 2);
  const sentence2 = label === 1 ? same! : draw.pick(other!);
  const start1 = startOfWord(word, sentence1!);
  const start2 = startOfWord(word, sentence2);
  return {
    word,
    sentence1: sentence1!,
    sentence2,
    start1,
    start2,
    end1: start1 + word.length,
    end2: start2 + word.length,
    idx,
    label,
  };
};

function startOfWord(word: string, sentence: string): number {
  return ` ${sentence}`.indexOf(` ${word} `);
}

/** What the subject did, and why: the reason tells whether "they" are the first or the second. */
export const REASONS: readonly (readonly [deed: string, reason: string, refersToFirst: boolean])[] = [
  ["thanked", "had got help", true],
  ["thanked", "had given help", false],
  ["paid", "had bought the lamp", true],
  ["paid", "had sold the lamp", false],
  ["called", "needed a friend", true],
  ["called", "knew the answer", false],
  ["followed", "had lost the way", true],
  ["followed", "knew the way", false],
];

export const wsc: Generator = (idx, draw) => {
  const label = draw.below(2);
  const [first, second] = draw.sample(NAMES, 2);
  const [deed, reason, refersToFirst] = draw.pick(REASONS);
  // The pronoun stands for one of the two; the candidate is that one (label 1) or the other.
  const candidateIsFirst = refersToFirst === (label === 1);
  return {
    text: `${first} ${deed} ${second} because they ${reason} .`,
    span1_index: candidateIsFirst ? 0 : 2,
    span2_index: 4,
    span1_text: candidateIsFirst ? first! : second!,
    span2_text: "they",
    idx,
    label,
  };
};

/** Concepts that may answer a question about a slot. */
const ANSWERS = { person: PEOPLE, place: PLACES, time: TIMES } as const satisfies Partial<
  Record<Slot, readonly Concept[]>
>;

/** Four rows a question: its paragraph is the same, an answer is right in any wording of the right concept. */
export const multirc: Generator = (index, draw) => {
  const question = index >> 2;
  const shared = draw.fork(`question ${question}`);
  const told = drawFacts(shared, 2);
  const slot = shared.pick(["person", "place", "time"] as const);
  const fact = shared.pick(told);
  const asked = ask(fact, shared, slot);
  const sentences = told.map((each, i) => `<b>Sent ${i + 1}: </b>${say(each, shared, { order: shared.pick(ORDERS) })}`);
  const label = draw.below(2);
  const wrong = ANSWERS[slot].filter((concept) => concept !== fact[slot]);
  const answer = draw.pick(label === 1 ? fact[slot] : draw.pick(wrong));
  return {
    paragraph: sentences.join("<br>"),
    question: asked.question,
    answer: slot === "person" ? `the ${answer}` : answer,
    idx: { paragraph: question, question, answer: index },
    label,
  };
};

/** News of the small world with highlights; the query leaves out one of the named entities. */
export const record: Generator = (index, draw) => {
  const names = draw.sample(NAMES, 3);
  const facts = drawFacts(draw, 3);
  const tell = (i: number): string =>
    joined(names[i]!, facts[i]!.action[0], "the", facts[i]!.thing[0], facts[i]!.place[0]);
  const body = names.map((_, i) => `${tell(i)} .`).join(" ");
  const asked = draw.below(3);
  const highlight = joined(names[(asked + 1) % 3]!, "was seen", facts[(asked + 1) % 3]!.place[0]);
  const passage = `${body}\n@highlight\n${highlight}\n@highlight\nit was told ${facts[asked]!.time[0]}`;
  const query = joined("@placeholder", facts[asked]!.action[0], "the", facts[asked]!.thing[0], ".");
  const starts = names.map((name) => passage.indexOf(name));
  return {
    passage,
    query,
    entities: names,
    entity_spans: { text: names, start: starts, end: starts.map((start, i) => start + names[i]!.length) },
    answers: [names[asked]!],
    idx: { passage: index, query: index },
  };
};
