// Generated rows in the schemas of E2E NLG and WebNLG: a sentence that says exactly the given attributes or triples.
import type { Generator } from "./glue.ts";
import { drawFacts, joined, NAMES } from "./world.ts";

const VENUES = ["The Mill", "The Vaults", "Green Man", "Blue Spice", "The Phoenix", "Loch Fyne", "Cotto", "Zizzi"];
const KINDS = ["pub", "restaurant", "coffee shop"];
const FOODS = ["English", "French", "Indian", "Italian", "Japanese", "Chinese"];
const PRICES = ["cheap", "moderate", "high"];
const AREAS = ["riverside", "city centre"];

/** Rows come in pairs of one meaning, each with its own wording, as the real set has several of each. */
export const e2e: Generator = (index, draw) => {
  const pair = draw.fork(`meaning ${index >> 1}`);
  const [venue, kind, food] = [pair.pick(VENUES), pair.pick(KINDS), pair.pick(FOODS)];
  const [price, area] = [pair.pick(PRICES), pair.pick(AREAS)];
  const first = `${venue} is a ${price} priced ${kind} with ${food} food in the ${area}.`;
  const second = `In the ${area} there is a ${kind} called ${venue}. It serves ${food} food at a ${price} price.`;
  return {
    meaning_representation: `name[${venue}], eatType[${kind}], food[${food}], priceRange[${price}], area[${area}]`,
    human_reference: index % 2 === 0 ? first : second,
  };
};

/** Properties of the small world: who did what where, as subject, property and object, and how each is said. */
export const webnlg: Generator = (index, draw) => {
  const [fact] = drawFacts(draw, 1);
  const name = draw.pick(NAMES);
  const person = name[0]!.toUpperCase() + name.slice(1);
  const object = fact!.thing[0];
  const place = fact!.place[0].split(" ").at(-1)!;
  const count = 1 + draw.below(3);
  const triples = [
    `${person} | occupation | ${fact!.person[0]}`,
    `${person} | owns | ${object}`,
    `${person} | livesIn | ${place}`,
  ];
  const parts = [`is a ${fact!.person[0]}`, `has a ${object}`, `lives in the ${place}`];
  const chosen = draw.sample([0, 1, 2], count);
  const said = chosen.map((i) => parts[i]!);
  const turned = [...said].reverse();
  const sentence = (list: readonly string[]): string => `${joined(person, list.join(" and "))}.`;
  const texts = [...new Set([sentence(said), sentence(turned)])];
  const set = chosen.map((i) => triples[i]!);
  return {
    category: "Mini",
    size: count,
    eid: `Id${index + 1}`,
    original_triple_sets: { otriple_set: [set] },
    modified_triple_sets: { mtriple_set: [set] },
    shape: "",
    shape_type: "",
    lex: {
      comment: texts.map(() => "good"),
      lid: texts.map((_, i) => `Id${i + 1}`),
      text: texts,
      lang: texts.map(() => ""),
    },
    test_category: "",
    dbpedia_links: [],
    links: [],
  };
};
