// Generated rows in the schemas of the GLUE sets. Each row's text determines its label; labels are balanced. Where a task
// has an easy and a hard way to be wrong (a denial, against other words), both occur, so that models can be told apart.
import type { Row } from "../contract.ts";
import type { Draw } from "../random.ts";
import { judgement, phrase } from "./opinions.ts";
import { ASKED, ask, contradicted, denied, entailed, lookalike, paraphrase, similar, unrelated } from "./relations.ts";
import { changed, drawFact, drawFacts, ORDERS, say } from "./world.ts";

/** Makes row number `index` of a hub split. */
export type Generator = (index: number, draw: Draw) => Row;

export const sst2: Generator = (idx, draw) => {
  const label = draw.below(2);
  return { sentence: phrase(label === 1, draw), label, idx };
};

export const rte: Generator = (idx, draw) => {
  const label = draw.below(2);
  const pair = label === 0 ? entailed(draw) : draw.chance(0.5) ? contradicted(draw) : unrelated(draw);
  return { sentence1: pair.first, sentence2: pair.second, label, idx };
};

export const mrpc: Generator = (idx, draw) => {
  const label = draw.below(2);
  const pair = label === 1 ? paraphrase(draw) : draw.chance(0.5) ? denied(draw) : lookalike(draw);
  return { sentence1: pair.first, sentence2: pair.second, label, idx };
};

export const qnli: Generator = (idx, draw) => {
  const label = draw.below(2);
  const [fact, other] = drawFacts(draw, 2);
  const { question, slot } = ask(fact!, draw);
  const order = draw.pick(ORDERS);
  if (label === 0) return { question, sentence: say(fact!, draw, { order }), label, idx };
  // Not entailed: another kind of sentence, one that leaves out the very time or place that is asked for, or another fact.
  const wrong = draw.real();
  const sentence =
    wrong < 0.4
      ? `${judgement(draw.chance(0.5), "film", draw)} .`
      : wrong < 0.7 && (slot === "time" || slot === "place")
        ? say(fact!, draw, { order, without: [slot] })
        : say(draw.chance(0.5) ? other! : changed(fact!, ["person", "thing"], draw), draw, { order });
  return { question, sentence, label, idx };
};

export const stsb: Generator = (idx, draw) => {
  const label = draw.below(6);
  const pair = similar(label, draw);
  // Nothing in common: half of these are not about the same kind of thing either.
  const second = label === 0 && draw.chance(0.5) ? `${judgement(draw.chance(0.5), "film", draw)} .` : pair.second;
  return { sentence1: pair.first, sentence2: second, label, idx };
};

export const mnli: Generator = (idx, draw) => {
  const label = draw.below(3);
  const pair = [entailed, unrelated, contradicted][label]!(draw);
  return { premise: pair.first, hypothesis: pair.second, label, idx };
};

/** Duplicates ask the same of the same fact; others ask for something else of it, or of another fact. */
export const qqp: Generator = (idx, draw) => {
  const label = draw.below(2);
  const fact = drawFact(draw);
  const asked = ask(fact, draw);
  const reworded = reword(fact, draw);
  const second = (): string => {
    if (label === 1) return ask(reworded, draw, asked.slot).question;
    if (draw.chance(0.5)) return ask(changed(reworded, ["action", "thing", "person"], draw), draw, asked.slot).question;
    const others = ASKED.filter((slot) => slot !== asked.slot);
    return ask(reworded, draw, draw.pick(others)).question;
  };
  return { question1: asked.question, question2: second(), label, idx };
};

/** The same fact, with a random synonym as the usual word of each slot. */
function reword(fact: ReturnType<typeof drawFact>, draw: Draw): typeof fact {
  return {
    person: [draw.pick(fact.person)],
    action: [draw.pick(fact.action)],
    quality: [draw.pick(fact.quality)],
    thing: [draw.pick(fact.thing)],
    place: [draw.pick(fact.place)],
    time: [draw.pick(fact.time)],
  };
}

/** Unacceptable sentences have two neighbouring words swapped, an article doubled, or the verb missing. */
export const cola: Generator = (idx, draw) => {
  const label = draw.below(2);
  const fact = drawFact(draw);
  const words = say(fact, draw, { order: draw.chance(0.5) ? "active" : "passive", without: ["quality"] }).split(" ");
  if (label === 0) {
    switch (draw.below(3)) {
      case 0: {
        // "the cook" → "cook the": never grammatical.
        [words[0], words[1]] = [words[1]!, words[0]!];
        break;
      }
      case 1:
        words.splice(draw.chance(0.5) ? 0 : words.indexOf("the", 1), 0, "the");
        break;
      default:
        words.splice(words.indexOf(fact.action[0]), 1);
    }
  }
  return { sentence: words.join(" "), label, idx };
};
