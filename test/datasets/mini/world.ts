// A reader of the small world for the tests: it knows the vocabulary, not the generators, and finds out what a sentence
// says. With it a test decides what a row's label must be from its text alone.
import {
  ACTIONS,
  type Concept,
  type Fact,
  PEOPLE,
  PLACES,
  QUALITIES,
  SLOTS,
  type Slot,
  THINGS,
  TIMES,
} from "#datasets/mini/world.ts";

export const CONCEPTS: Readonly<Record<Slot, readonly Concept[]>> = {
  person: PEOPLE,
  action: ACTIONS,
  quality: QUALITIES,
  thing: THINGS,
  place: PLACES,
  time: TIMES,
};

export type Told = Partial<Record<Slot, string>>;

/** What a sentence says, each slot by its concept's usual word. */
export function told(sentence: string): Told {
  const text = ` ${sentence} `;
  const found: Told = {};
  for (const slot of SLOTS) {
    const concept = CONCEPTS[slot].find((each) => each.some((word) => text.includes(` ${word} `)));
    if (concept !== undefined) found[slot as keyof Fact] = concept[0];
  }
  return found;
}

/** Whether all that the second says is said by the first. */
export function within(second: Told, first: Told): boolean {
  return Object.entries(second).every(([slot, word]) => first[slot as Slot] === word);
}

/** Sentences of a text, each with its full stop. */
export function sentences(text: string): string[] {
  return text.split(/(?<= \.)\s+/);
}
