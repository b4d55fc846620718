// Opinions about films and places to eat: phrases that are good or bad by their words alone, a few turned round by
// "not". For SST-2, Yelp and the pretraining text.
import type { Draw } from "../random.ts";
import { joined } from "./world.ts";

export const GOOD: readonly string[] =
  `great wonderful lovely brilliant funny charming fresh clever excellent delightful
  superb warm sweet strong gentle touching thrilling perfect`.split(/\s+/);
export const BAD: readonly string[] =
  `awful terrible boring dull stupid weak ugly flat lifeless messy poor dreadful silly
  tedious cold bland clumsy painful`.split(/\s+/);

const SUBJECTS: Readonly<Record<Scene, readonly string[]>> = {
  film: ["film", "movie", "story", "plot", "acting", "music", "ending", "cast", "script", "humor"],
  restaurant: ["food", "service", "soup", "bread", "room", "music", "waiter", "price", "coffee", "view"],
};
const ADVERBS: readonly string[] = ["", "", "", "very", "really", "quite", "so"];

export type Scene = "film" | "restaurant";

/** One judgement of one subject: "the plot is very dull", "the cast is not bland". */
export function judgement(good: boolean, subject: string, draw: Draw, tense: "is" | "was" = "is"): string {
  const turned = draw.chance(0.12);
  const word = draw.pick(good !== turned ? GOOD : BAD);
  return turned ? joined("the", subject, tense, "not", word) : joined("the", subject, tense, draw.pick(ADVERBS), word);
}

/** A phrase in the manner of SST-2: one to three judgements, all of the same mind. */
export function phrase(good: boolean, draw: Draw): string {
  const words = good ? GOOD : BAD;
  const subjects = draw.sample(SUBJECTS.film, 3);
  switch (draw.below(5)) {
    case 0:
      return joined("a", draw.pick(words), "and", draw.pick(words), subjects[0]!);
    case 1:
      return joined(judgement(good, subjects[0]!, draw), "and", judgement(good, subjects[1]!, draw), ".");
    case 2:
      return joined("with a", draw.pick(words), subjects[0]!, ",", judgement(good, subjects[1]!, draw), ".");
    case 3:
      return joined(judgement(good, subjects[0]!, draw), ".");
    default:
      return joined(draw.pick(words), ",", draw.pick(words), "and", draw.pick(words), ".");
  }
}

/** A review of `sentences` sentences, all of the same mind. */
export function review(good: boolean, scene: Scene, sentences: number, draw: Draw): string {
  return draw
    .sample(SUBJECTS[scene], sentences)
    .map((subject) => joined(judgement(good, subject, draw, "was"), "."))
    .join(" ");
}
