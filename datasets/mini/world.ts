// The small world that every generated row is about: who did what to which thing, where and when, in a few hundred
// words. One vocabulary and one grammar for all tasks and for the pretraining text, so that what is learned in one
// task helps in another. This file says facts; what a task asks about them is in the task files.
import type { Draw } from "../random.ts";

/** One thing and all the words for it; the first is the usual one. */
export type Concept = readonly [string, ...string[]];

/** `"car|automobile hat|cap"` → concepts with their synonyms; an underscore stands for a space. */
function concepts(text: string): readonly Concept[] {
  return text
    .trim()
    .split(/\s+/)
    .map((entry) => {
      const [first, ...rest] = entry.replaceAll("_", " ").split("|");
      return [first!, ...rest] as const;
    });
}

export const PEOPLE: readonly Concept[] = concepts(`
  doctor|physician teacher|instructor farmer|grower child|kid lawyer|attorney soldier|trooper sailor|seaman
  writer|author cook|chef driver|chauffeur nurse|caretaker king|ruler painter|artist singer|vocalist baker hunter
  guard|sentry pilot|aviator judge student|pupil worker|labourer thief|robber friend|pal merchant|trader`);

export const NAMES: readonly string[] = `anna boris carla david elena frank grace henry irene jack karen louis maria
  nina oscar paula quentin rosa simon tina victor wendy`.split(/\s+/);

/** Verbs in the past tense, which is also the participle: "the cook found it", "it was found by the cook". */
export const ACTIONS: readonly Concept[] = concepts(`
  found|discovered fixed|repaired bought|purchased carried|hauled built|constructed cleaned|washed concealed|covered
  watched|observed closed|shut lost|misplaced moved|shifted tossed|flung pulled|dragged wanted|desired stopped|halted
  painted opened sold burned counted borrowed measured sketched kept`);

export const THINGS: readonly Concept[] = concepts(`
  car|automobile stone|rock boat|ship coat|jacket book letter|note box|crate bag|sack chair|seat table|desk
  bicycle|bike telephone|phone cup|mug hat|cap clock|watch lamp|lantern ring knife|blade rope|cord basket ladder drum
  flute map|chart coin bottle|flask gate door window carpet|rug`);

export const PLACES: readonly Concept[] = concepts(`
  in_the_garden|in_the_yard in_the_forest|in_the_woods near_the_river|near_the_stream on_the_hill in_the_kitchen
  at_the_market at_the_school on_the_road|on_the_street in_the_barn at_the_station in_the_castle|in_the_palace
  on_the_bridge in_the_village at_the_harbor|at_the_port in_the_tower near_the_church by_the_lake at_the_museum`);

export const TIMES: readonly Concept[] = concepts(`
  in_the_morning|at_dawn at_noon|at_midday in_the_evening|at_dusk at_night on_monday on_tuesday on_friday on_sunday
  in_january in_april in_july in_october last_week last_year`);

export const QUALITIES: readonly Concept[] = concepts(`
  big|large small|little old|ancient new red blue green black white heavy wooden metal round broken|cracked`);

/** What happened. Every task is built out of these. */
export interface Fact {
  readonly person: Concept;
  readonly action: Concept;
  readonly quality: Concept;
  readonly thing: Concept;
  readonly place: Concept;
  readonly time: Concept;
}

export type Slot = keyof Fact;
export const SLOTS: readonly Slot[] = ["person", "action", "quality", "thing", "place", "time"];

const CHOICES: Readonly<Record<Slot, readonly Concept[]>> = {
  person: PEOPLE,
  action: ACTIONS,
  quality: QUALITIES,
  thing: THINGS,
  place: PLACES,
  time: TIMES,
};

export function drawFact(draw: Draw): Fact {
  return {
    person: draw.pick(PEOPLE),
    action: draw.pick(ACTIONS),
    quality: draw.pick(QUALITIES),
    thing: draw.pick(THINGS),
    place: draw.pick(PLACES),
    time: draw.pick(TIMES),
  };
}

/** `count` facts of which no two share a person or a thing, so that a question about one has one answer. */
export function drawFacts(draw: Draw, count: number): Fact[] {
  const people = draw.sample(PEOPLE, count);
  const things = draw.sample(THINGS, count);
  return people.map((person, i) => ({ ...drawFact(draw), person, thing: things[i]! }));
}

/** The fact with another concept in each of `slots`. */
export function changed(fact: Fact, slots: readonly Slot[], draw: Draw): Fact {
  const other = { ...fact };
  for (const slot of slots) other[slot] = draw.pick(CHOICES[slot].filter((concept) => concept !== fact[slot]));
  return other;
}

/** Word orders of a sentence. */
export const ORDERS = ["active", "passive", "place first", "time first"] as const;
export type Order = (typeof ORDERS)[number];

export interface SayOptions {
  readonly order?: Order;
  /** Slots left unsaid: any of quality, place, time. */
  readonly without?: readonly Slot[];
  /** Now and then use another word of a concept than its usual one. */
  readonly synonyms?: boolean;
  /** Say that it did not happen. */
  readonly negated?: boolean;
}

/** One sentence about a fact, lower-cased, its full stop set off by a space: "the cook found the red hat at noon ." */
export function say(fact: Fact, draw: Draw, options: SayOptions = {}): string {
  // Rare enough that two sentences about one fact share most of their words: a very small model must be able to see it.
  const word = (slot: Slot): string => (options.synonyms && draw.chance(0.3) ? draw.pick(fact[slot]) : fact[slot][0]);
  const optional = (slot: Slot): string => (options.without?.includes(slot) ? "" : word(slot));
  const order = options.order ?? "active";
  const person = `the ${word("person")}`;
  const thing = joined("the", optional("quality"), word("thing"));
  const not = options.negated ? "never" : "";
  const active = [person, not, word("action"), thing];
  const place = optional("place");
  const time = optional("time");
  switch (order) {
    case "active":
      return joined(...active, place, time, ".");
    case "passive":
      return joined(thing, "was", not, word("action"), "by", person, place, time, ".");
    case "place first":
      return place === "" ? joined(...active, time, ".") : joined(place, ",", ...active, time, ".");
    case "time first":
      return time === "" ? joined(...active, place, ".") : joined(time, ",", ...active, place, ".");
  }
}

/** Words joined by one space, empty ones left out. */
export function joined(...words: readonly string[]): string {
  return words.filter((word) => word !== "").join(" ");
}

/** Every word of this world by the concept's usual one: `automobile` → `car`. Places and times are whole phrases. */
export const USUAL_WORD: ReadonlyMap<string, string> = new Map(
  [PEOPLE, ACTIONS, THINGS, PLACES, TIMES, QUALITIES]
    .flat()
    .flatMap((concept) => concept.map((word) => [word, concept[0]] as const)),
);
