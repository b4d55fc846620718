// Generated rows in the schemas of SQuAD and the MRQA sets: the context tells a few facts, the question asks one.
import type { Draw } from "../random.ts";
import type { Generator } from "./glue.ts";
import { ask, type Question } from "./relations.ts";
import { drawFacts, ORDERS, say } from "./world.ts";

/** A context of `facts` sentences and a question that exactly one of them answers. */
export function reading(facts: number, draw: Draw): Question & { readonly context: string } {
  const told = drawFacts(draw, facts);
  const context = told.map((fact) => say(fact, draw, { order: draw.pick(ORDERS) })).join(" ");
  return { ...ask(draw.pick(told), draw), context };
}

/** Where the answer's words begin; not inside a longer word ("the car" is no part of "the carpet"). */
function startOf(answer: string, context: string): number {
  return ` ${context} `.indexOf(` ${answer} `);
}

export const squad: Generator = (index, draw) => {
  const { question, answer, context } = reading(1 + draw.below(2), draw);
  return {
    id: `mini-${index.toString(16).padStart(8, "0")}`,
    title: "Mini",
    context,
    question,
    answers: { text: [answer], answer_start: [startOf(answer, context)] },
  };
};

/** The MRQA layout: answers as a list of strings, their character spans as `labels` (the end is inclusive). */
export function mrqa(facts: number): Generator {
  return (index, draw) => {
    const { question, answer, context } = reading(facts, draw);
    const start = startOf(answer, context);
    return {
      context,
      question,
      answers: [answer],
      key: `mini-${index.toString(16).padStart(8, "0")}`,
      labels: [{ end: [start + answer.length - 1], start: [start] }],
    };
  };
}
