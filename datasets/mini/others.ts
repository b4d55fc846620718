// Generated rows in the schemas of WinoGrande, Yelp, SciTail and PAWS. Each row's text determines its label.
import type { Generator } from "./glue.ts";
import { review } from "./opinions.ts";
import { contradicted, entailed, unrelated } from "./relations.ts";
import { drawFact, joined, NAMES, ORDERS, say } from "./world.ts";

/** What one did for or to the other, and whom the blank in the reason stands for: the first or the second. */
export const BLANKS: readonly (readonly [deed: string, reason: string, isFirst: boolean])[] = [
  ["gave a coat to", "had a coat to give", true],
  ["gave a coat to", "was cold", false],
  ["asked a question of", "did not know the answer", true],
  ["asked a question of", "knew the answer", false],
  ["cooked food for", "was a good cook", true],
  ["cooked food for", "wanted to eat", false],
  ["ran away from", "was scared", true],
  ["ran away from", "was angry", false],
  ["sold a boat to", "needed money", true],
  ["sold a boat to", "needed a boat", false],
];

export const winogrande: Generator = (_index, draw) => {
  const answer = 1 + draw.below(2);
  const [one, other] = draw.sample(NAMES, 2);
  const [deed, reason, isFirst] = draw.pick(BLANKS);
  const right = isFirst ? one! : other!;
  const wrong = isFirst ? other! : one!;
  return {
    sentence: joined(one!, deed, other!, "because _", reason, "."),
    option1: answer === 1 ? right : wrong,
    option2: answer === 1 ? wrong : right,
    answer: String(answer),
  };
};

export const yelpPolarity: Generator = (_index, draw) => {
  const label = draw.below(2);
  return {
    text: joined(
      draw.chance(0.5) ? "we went there last week ." : "",
      review(label === 1, "restaurant", 2 + draw.below(3), draw),
    ),
    label,
  };
};

export const scitail: Generator = (_index, draw) => {
  const entails = draw.chance(0.5);
  const { first, second } = entails ? entailed(draw) : draw.chance(0.5) ? contradicted(draw) : unrelated(draw);
  // SciTail's "neutral" is everything that does not follow.
  const gold = entails ? "entailment" : "neutral";
  return {
    sentence1_binary_parse: `( ${first} )`,
    sentence1_parse: `(ROOT ${first})`,
    sentence1: first,
    sentence2_parse: `(ROOT ${second})`,
    sentence2: second,
    annotator_labels: [gold],
    gold_label: gold,
  };
};

/** Two people of one sentence change places (not a paraphrase), or the sentence is turned round (a paraphrase). */
export const pawsWiki: Generator = (index, draw) => {
  const label = draw.below(2);
  const fact = drawFact(draw);
  const [one, other] = draw.sample(NAMES, 2);
  const end = say(fact, draw, { order: draw.pick(ORDERS) });
  const tell = (giver: string, taker: string, turned: boolean): string =>
    turned
      ? joined(taker, "got the", fact.thing[0], "from", giver, "and", end)
      : joined(giver, "gave the", fact.thing[0], "to", taker, "and", end);
  const turned = draw.chance(0.5);
  const same = label === 1;
  return {
    id: index,
    sentence1: tell(one!, other!, turned),
    // The same words in another order either way: only who gave and who got tells.
    sentence2: same ? tell(one!, other!, !turned) : tell(other!, one!, !turned),
    label,
  };
};
