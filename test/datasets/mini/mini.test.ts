// The generated benchmark: the real schemas, seeded, balanced, within a small vocabulary, and with labels that follow from
// the text. The labels are checked by readers written here, which know the words but not the generators.
import { describe, expect, it } from "vitest";
import type { Example, Row, Split, Variant } from "#datasets/contract.ts";
import { catalogue, type Dataset, mini, miniTable, splitRows } from "#datasets/index.ts";
import { BAD, GOOD } from "#datasets/mini/opinions.ts";
import { BLANKS } from "#datasets/mini/others.ts";
import { REASONS, SENSES } from "#datasets/mini/superglue.ts";
import { NAMES, SLOTS, type Slot } from "#datasets/mini/world.ts";
import { CONCEPTS, sentences, told, within } from "./world.ts";

const SPLITS: readonly Split[] = ["train", "validation", "test"];
const VARIANTS: readonly Variant[] = ["faithful", "fixed"];
const names = [...mini.keys()];
const datasetOf = (name: string): Dataset => mini.get(name)!;
const realOf = (name: string): Dataset =>
  Object.values(catalogue).find((each) => `mini/${each.name.split("/").at(-1)}` === name)!;

/** Rows of the hub's validation-like split of a stand-in, as plain values. */
function rows(name: string, count = 300, seed = 1): Row[] {
  const hubSplit = splitRows(datasetOf(name).splitRule, "test", {
    train: 999,
    validation: 9,
    test: 9,
    validation_matched: 9,
  }).hubSplit;
  return miniTable(name, hubSplit, { rows: count, seed })
    .toArray()
    .map((row) => row.toJSON());
}

function examples(name: string, options: { count?: number; split?: Split; variant?: Variant } = {}): Example[] {
  const { count = 300, split = "test", variant = "fixed" } = options;
  return rows(name, count).flatMap((row) => datasetOf(name).render(row, { prefix: false, variant, split }));
}

describe.each(names)("%s", (name) => {
  const dataset = datasetOf(name);
  const real = realOf(name);

  it("has the very schema, template, labels and metrics of the real one", () => {
    expect(dataset.generate!("train", { rows: 2 }).schema.toString()).toBe(real.schema.toString());
    expect(dataset).toMatchObject({ task: real.task, metrics: real.metrics, reported: real.reported });
    expect(dataset.labels).toBe(real.labels);
    expect(dataset.render).toBe(real.render);
    expect(dataset.splitRule.kind).toBe(real.splitRule.kind);
  });

  it("has the sizes it says, split by the real rule", () => {
    const counts: Record<string, number> = {};
    for (const split of SPLITS) {
      const { hubSplit } = splitRows(dataset.splitRule, split, {
        train: 9999,
        validation: 9,
        test: 9,
        dev: 9,
        validation_matched: 9,
        validation_mismatched: 9,
      });
      counts[hubSplit] = dataset.generate!(hubSplit).numRows;
    }
    for (const split of SPLITS) {
      const { hubSplit, indices } = splitRows(dataset.splitRule, split, counts);
      expect(dataset.rows[split]).toEqual({ rows: indices?.length ?? counts[hubSplit], verified: true });
    }
  });

  it("renders in every split and variant", () => {
    for (const split of SPLITS) {
      for (const variant of VARIANTS) {
        const rendered = examples(name, { count: 60, split, variant });
        expect(rendered.length).toBeGreaterThanOrEqual(60);
        for (const { input, target } of rendered) {
          expect(input.length).toBeGreaterThan(10);
          expect(target).not.toBe("");
          if (dataset.labels !== undefined) expect(dataset.labels).toContain(target);
        }
      }
    }
  });

  it("is the same for the same seed, another for another, and more rows begin as fewer do", () => {
    const text = (count: number, seed: number): string =>
      JSON.stringify(rows(name, count, seed), (_, value) => (typeof value === "bigint" ? Number(value) : value));
    expect(text(20, 5)).toBe(text(20, 5));
    expect(text(20, 5)).not.toBe(text(20, 6));
    expect(JSON.parse(text(20, 5)).slice(0, 10)).toEqual(JSON.parse(text(10, 5)));
  });

  it("has all labels in nearly equal shares, and a text never has two labels", () => {
    if (dataset.labels === undefined) return;
    const rendered = examples(name, { count: 1500 });
    const shares = new Map<string, number>();
    const byInput = new Map<string, string>();
    for (const { input, target } of rendered) {
      shares.set(target, (shares.get(target) ?? 0) + 1 / rendered.length);
      expect(byInput.get(input) ?? target, input).toBe(target);
      byInput.set(input, target);
    }
    const classes = name === "mini/stsb" ? 6 : dataset.labels.length;
    expect(shares.size).toBe(classes);
    for (const share of shares.values()) expect(Math.abs(share - 1 / classes)).toBeLessThan(0.06);
  });

  it("names what is wrong with what is asked of it", () => {
    expect(() => dataset.generate!("nonsense")).toThrow(
      new RegExp(`${name} has no split "nonsense"; its hub splits are train`),
    );
    for (const count of [0, -1, 1.5])
      expect(() => dataset.generate!("train", { rows: count })).toThrow(/at least 1, got/);
  });
});

it("all stand-ins together use a few hundred words", () => {
  const words = new Set<string>();
  for (const name of names) {
    for (const { input, target } of examples(name))
      for (const word of `${input} ${target}`.split(/\s+/)) words.add(word);
  }
  expect(words.size).toBeGreaterThan(200);
  expect(words.size).toBeLessThan(800);
});

it("no word of the small world stands for two concepts of one kind, and slots never share a word", () => {
  const words = SLOTS.flatMap((slot) => CONCEPTS[slot].flat());
  expect(new Set(words).size).toBe(words.length);
});

/** What the text must be labelled as, by a reader that sees the text alone. */
const READERS: Readonly<Record<string, (input: string) => string>> = {
  "mini/sst2": (input) => polarity(input),
  "mini/yelp-polarity": (input) => polarity(input),
  "mini/rte": (input) => entailment(input, "sentence1:", "sentence2:", ["0", "1", "1"]),
  "mini/scitail": (input) => entailment(input, "sentence1:", "sentence2:", ["0", "1", "1"]),
  "mini/mnli": (input) => entailment(input, "premise:", "hypothesis:", ["0", "1", "2"]),
  "mini/cb": (input) => entailment(input, "premise:", "hypothesis:", ["0", "2", "1"]),
  "mini/mrpc": (input) => {
    const [first, second] = parts(input, "sentence1:", "sentence2:").map(told);
    return !input.includes(" never ") && within(first!, second!) && within(second!, first!) ? "1" : "0";
  },
  "mini/stsb": (input) => {
    const [first, second] = parts(input, "sentence1:", "sentence2:").map(told);
    return `${Object.keys(first!).filter((slot) => first![slot as Slot] === second![slot as Slot]).length}.0`;
  },
  "mini/qqp": (input) => {
    const [first, second] = parts(input, "question1:", "question2:");
    const same = within(told(first!), told(second!)) && within(told(second!), told(first!));
    return same && first!.split(" ")[0] === second!.split(" ")[0] ? "1" : "0";
  },
  "mini/qnli": (input) => {
    const [question, sentence] = parts(input, "question:", "sentence:");
    const facts = told(sentence!);
    return within(told(question!), facts) && facts[askedSlot(question!)] !== undefined ? "0" : "1";
  },
  "mini/boolq": (input) => {
    const [question, passage] = parts(input, "question:", "passage:");
    const affirmed = sentences(passage!).filter((each) => !each.includes(" never "));
    return affirmed.some((each) => within(told(question!), told(each))) ? "1" : "0";
  },
  "mini/multirc": (input) => {
    const [question, answer, paragraph] = parts(input, "question:", "answer:", "paragraph:");
    return sentences(paragraph!).some((each) => within({ ...told(question!), ...told(answer!) }, told(each)))
      ? "1"
      : "0";
  },
  "mini/cola": (input) => {
    const words = input.replace("sentence: ", "").split(" ");
    const ordered = words[0] === "the" && words[1] !== "the" && !input.includes("the the");
    return ordered && told(input).action !== undefined ? "1" : "0";
  },
  "mini/wic": (input) => {
    const [first, second, word] = parts(input, "sentence1:", "sentence2:", "word:");
    const senseOf = (sentence: string): number => SENSES[word!]!.findIndex((sense) => sense.includes(sentence));
    return senseOf(first!) === senseOf(second!) ? "1" : "0";
  },
  "mini/wsc": (input) => {
    const candidate = / \* (\w+) \* /.exec(input)![1]!;
    const people = input.split(" ").filter((word) => NAMES.includes(word));
    const [, , first] = REASONS.find(
      ([deed, reason]) => input.includes(` ${deed} `) && input.includes(`they # ${reason} .`),
    )!;
    return candidate === people[first ? 0 : 1] ? "1" : "0";
  },
  "mini/winogrande": (input) => {
    const [sentence, zero] = parts(input, "sentence:", "option0:", "option1:");
    const people = sentence!.split(" ").filter((word) => NAMES.includes(word));
    const [, , first] = BLANKS.find(
      ([deed, reason]) => sentence!.includes(` ${deed} `) && sentence!.includes(`because _ ${reason} .`),
    )!;
    return zero === people[first ? 0 : 1] ? "0" : "1";
  },
  "mini/paws-wiki": (input) => {
    const exchange = (sentence: string): string => {
      const people = sentence.split(" ").filter((word) => NAMES.includes(word));
      return (sentence.includes(" gave the ") ? people : people.reverse()).join(" to ");
    };
    const [first, second] = parts(input, "sentence1:", "sentence2:");
    return exchange(first!) === exchange(second!) ? "1" : "0";
  },
  "mini/record": (input) => {
    const [query, , passage] = parts(input, "query:", "entities:", "passage:");
    const asked = query!.replace("@placeholder ", "").replace(" .", "");
    return new RegExp(`(\\w+) ${asked} `).exec(passage!)![1]!;
  },
  ...Object.fromEntries(
    ["squad", "naturalquestions", "hotpotqa", "searchqa", "newsqa"].map((each) => [`mini/${each}`, answered]),
  ),
};

describe("labels follow from the text", () => {
  it.each(Object.keys(READERS))("%s: a reader of the text alone finds every label", (name) => {
    for (const { input, target } of examples(name, { count: 500 }))
      expect(READERS[name]!(input), input).toBe(target.trim());
  });

  it("E2E's wordings say every attribute, two of them for each meaning", () => {
    const byMeaning = new Map<string, string[]>();
    for (const { group, target } of examples("mini/e2e-nlg"))
      byMeaning.set(group!, [...(byMeaning.get(group!) ?? []), target]);
    for (const [meaning, texts] of byMeaning) {
      expect(texts.length).toBeGreaterThanOrEqual(2);
      for (const [, value] of meaning.matchAll(/\[(.+?)\]/g)) for (const text of texts) expect(text).toContain(value);
    }
  });

  it("WebNLG's wordings say every triple", () => {
    for (const { input, references } of examples("mini/webnlg")) {
      for (const triple of input.replace("triples: ", "").split(" && ")) {
        const [subject, , object] = triple.split(" | ");
        for (const text of references!) {
          expect(text).toContain(object);
          expect(text).toContain(subject);
        }
      }
    }
  });

  it("every reader is needed: only the two generation sets have none", () => {
    expect(names.filter((name) => READERS[name] === undefined)).toEqual(["mini/e2e-nlg", "mini/webnlg"]);
  });

  it("answers of SQuAD and the MRQA sets stand where their spans say", () => {
    for (const row of rows("mini/squad") as {
      context: string;
      answers: { text: Iterable<string>; answer_start: Iterable<number> };
    }[]) {
      const [text, start] = [[...row.answers.text][0]!, [...row.answers.answer_start][0]!];
      expect(` ${row.context} `.slice(start, start + text.length + 2)).toBe(` ${text} `);
    }
    for (const row of rows("mini/newsqa") as {
      context: string;
      answers: Iterable<string>;
      labels: Iterable<{ start: Iterable<bigint>; end: Iterable<bigint> }>;
    }[]) {
      const [span] = [...row.labels];
      const [start, end] = [Number([...span!.start][0]), Number([...span!.end][0])];
      expect(row.context.slice(start, end + 1)).toBe([...row.answers][0]);
    }
  });

  it("four rows of MultiRC are one question about one paragraph", () => {
    const all = rows("mini/multirc") as unknown as { question: string; paragraph: string; idx: { question: number } }[];
    for (let i = 0; i < all.length; i++) {
      expect(all[i]!.idx.question).toBe(i >> 2);
      expect(all[i]).toMatchObject({ question: all[i - (i % 4)]!.question, paragraph: all[i - (i % 4)]!.paragraph });
    }
  });
});

/** The texts after each key of a rendered input. */
function parts(input: string, ...keys: readonly string[]): string[] {
  return keys.map((key, i) => {
    const start = input.indexOf(key) + key.length;
    const next = keys[i + 1];
    return input.slice(start, next === undefined ? undefined : input.indexOf(next)).trim();
  });
}

/** Good words count for, bad ones against, "not" turns the next word round; no text is of two minds. */
function polarity(input: string): string {
  const words = input.split(/\s+/);
  const votes = words.flatMap((word, i) => {
    const sign = GOOD.includes(word) ? 1 : BAD.includes(word) ? -1 : 0;
    return sign === 0 ? [] : [words[i - 1] === "not" ? -sign : sign];
  });
  expect(new Set(votes).size).toBe(1);
  return votes[0] === 1 ? "1" : "0";
}

/** Entailed where the second says nothing that the first does not; contradicted where it denies that. */
function entailment(
  input: string,
  firstKey: string,
  secondKey: string,
  labels: readonly [string, string, string],
): string {
  const [first, second] = parts(input, firstKey, secondKey);
  if (!within(told(second!), told(first!))) return labels[1];
  return second!.includes(" never ") ? labels[2] : labels[0];
}

/** The slot that a question asks for, by its first word. */
function askedSlot(question: string): Slot {
  const slots: Readonly<Record<string, Slot>> = { who: "person", where: "place", when: "time", what: "thing" };
  return slots[question.split(" ")[0]!]!;
}

/** Reads the sentence that the question is about and takes what it asks for. */
function answered(input: string): string {
  const [question, context] = parts(input, "question:", "context:");
  const known = told(question!);
  const sentence = sentences(context!).find((each) => within(known, told(each)))!;
  const facts = told(sentence);
  const slot = askedSlot(question!);
  if (slot === "person") return `the ${facts.person}`;
  if (slot === "thing") return `the ${facts.quality} ${facts.thing}`;
  return facts[slot]!;
}
