// Every dataset's template on handcrafted rows in the hub's schema: both variants, with and without the prefix, the
// traps of the published code, and rows that are not what the dataset promises.
import { describe, expect, it } from "vitest";
import type { RenderOptions, Row } from "#datasets/contract.ts";
import { catalogue, type DatasetName } from "#datasets/index.ts";
import { tableFromRows } from "#datasets/schema.ts";
import { padPunctuation, roundHalfEven } from "#datasets/template.ts";

const OPTIONS: RenderOptions = { prefix: true, variant: "fixed", split: "test" };
const render = (name: DatasetName, row: Row, options: Partial<RenderOptions> = {}) =>
  catalogue[name].render(row, { ...OPTIONS, ...options });
const input = (name: DatasetName, row: Row, options: Partial<RenderOptions> = {}): string =>
  render(name, row, options)[0]!.input;
const target = (name: DatasetName, row: Row, options: Partial<RenderOptions> = {}): string =>
  render(name, row, options)[0]!.target;

const TWO = { sentence1: "A cat sat.", sentence2: "It sat.", label: 1, idx: 7 };
const QUESTION = { question: "Who won?", context: "Denver (the Broncos) won 24–10.", key: "k", labels: [] };

/** Rows that hold in both variants: name, row, input without the prefix, prefix, target. */
const PLAIN: readonly (readonly [DatasetName, Row, string, string, string])[] = [
  ["glue/sst2", { sentence: "a gripping film ", label: 1, idx: 0 }, "sentence: a gripping film ", "sst2", "1"],
  ["glue/cola", { sentence: "Him slept.", label: 0n, idx: 0 }, "sentence: Him slept.", "cola", "0"],
  ["glue/mrpc", TWO, "sentence1: A cat sat. sentence2: It sat.", "mrpc", "1"],
  ["glue/rte", { ...TWO, label: 0 }, "sentence1: A cat sat. sentence2: It sat.", "rte", "0"],
  ["paws-wiki", { ...TWO, id: 3 }, "sentence1: A cat sat. sentence2: It sat.", "paws", "1"],
  [
    "glue/qqp",
    { question1: "Why?", question2: "How?", label: 0, idx: 0 },
    "question1: Why? question2: How?",
    "qqp",
    "0",
  ],
  ["glue/qnli", { question: "Why?", sentence: "So.", label: 1, idx: 0 }, "question: Why? sentence: So.", "qnli", "1"],
  ["glue/mnli", { premise: "P.", hypothesis: "H.", label: 2, idx: 0 }, "premise: P. hypothesis: H.", "mnli", "2"],
  [
    "superglue/cb",
    { premise: "P.", hypothesis: "H.", label: 2, idx: 0 },
    "premise: P. hypothesis: H.",
    "superglue-cb",
    "2",
  ],
  [
    "superglue/boolq",
    { question: "is it", passage: "It is.", label: 1, idx: 0 },
    "question: is it passage: It is.",
    "superglue-boolq",
    "1",
  ],
  [
    "superglue/wic",
    {
      word: "bank",
      sentence1: "A bank.",
      sentence2: "The bank.",
      start1: 2,
      start2: 4,
      end1: 6,
      end2: 8,
      idx: 0,
      label: 1,
    },
    "sentence1: A bank. sentence2: The bank. word: bank",
    "superglue-wic",
    "1",
  ],
  ["yelp-polarity", { text: "Good\\nfood", label: 1 }, "sentence: Good\\nfood", "yelp_polarity", "1"],
  [
    "e2e-nlg",
    { meaning_representation: "name[Zizzi], eatType[pub]", human_reference: "Zizzi is a pub." },
    "meaning: name[Zizzi], eatType[pub]",
    "e2e_nlg",
    "Zizzi is a pub.",
  ],
];

describe("plain templates", () => {
  it.each(PLAIN)("%s", (name, row, body, prefix, expected) => {
    for (const variant of ["faithful", "fixed"] as const) {
      expect(input(name, row, { variant })).toBe(`${prefix} ${body}`);
      expect(input(name, row, { variant, prefix: false })).toBe(body);
      expect(target(name, row, { variant })).toBe(expected);
    }
    expect(catalogue[name].task).toBe(prefix);
  });
});

describe("STS-B", () => {
  const row = (label: number): Row => ({ sentence1: "A.", sentence2: "B.", label: Math.fround(label), idx: 0 });
  it.each([
    [3.8, "3.8", "3.8"],
    [3.25, "3.2", "3.2"], // half to even: 32.5 → 32
    [2.75, "2.8", "2.8"],
    [0.5, "0.5", "0.4"], // a half of 0.2: 2.5 → 2
    [1.5, "1.5", "1.6"],
    [4.909, "4.9", "5.0"],
    [0, "0.0", "0.0"],
    [5, "5.0", "5.0"],
    [3, "3.0", "3.0"],
  ])("%f is %s to the nearest 0.1 (faithful) and %s to the nearest 0.2 (fixed)", (label, faithful, fixed) => {
    expect(target("glue/stsb", row(label), { variant: "faithful" })).toBe(faithful);
    expect(target("glue/stsb", row(label), { variant: "fixed" })).toBe(fixed);
    expect(catalogue["glue/stsb"].labels).toContain(fixed);
  });
  it("keeps both sentences and refuses scores outside 0 to 5", () => {
    expect(input("glue/stsb", row(1))).toBe("stsb sentence1: A. sentence2: B.");
    expect(() => render("glue/stsb", row(-1))).toThrow(/"label" should be a score from 0 to 5, but is -1/);
    expect(() => render("glue/stsb", row(Number.NaN))).toThrow(/finite number/);
  });
  it("rounds halves to even, below zero too", () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999].map((x) => roundHalfEven(x, 1) + 0)).toEqual([0, 2, 2, 0, -2, 2]);
  });
});

describe("MultiRC", () => {
  const row = {
    paragraph: "<b>Sent 1: </b>He fell.<br><b>Sent 2: </b>She ran.",
    question: "Who <br> fell?",
    answer: "<b>he</b>",
    idx: { paragraph: 3, question: 41n, answer: 102 },
    label: 0,
  };
  it("makes spaces of line breaks, drops bold marks, and groups by question", () => {
    expect(render("superglue/multirc", row)).toEqual([
      {
        input: "superglue-multirc question: Who   fell? answer: he paragraph: Sent 1: He fell. Sent 2: She ran.",
        target: "0",
        group: "41",
      },
    ]);
  });
  it("says where the index is broken", () => {
    expect(() => render("superglue/multirc", { ...row, idx: null })).toThrow(
      /column "idx" should be a struct, but is null/,
    );
    expect(() => render("superglue/multirc", { ...row, idx: {} })).toThrow(
      /\(idx\): column "question" should be a whole number/,
    );
  });
});

describe("WSC", () => {
  const row = (text: string, span1: readonly [string, number], span2: readonly [string, number]): Row => ({
    text,
    span1_text: span1[0],
    span1_index: span1[1],
    span2_text: span2[0],
    span2_index: span2[1],
    idx: 0,
    label: 1,
  });
  it("marks the noun phrase with * and the pronoun with #, whichever comes first", () => {
    const later = row("Mark told Pete many lies about himself .", ["Mark", 0], ["himself", 6]);
    expect(input("superglue/wsc", later)).toBe(
      "superglue-wsc.fixed text: * Mark * told Pete many lies about # himself # .",
    );
    const earlier = row("When she left , Anna cried .", ["Anna", 4], ["she", 1]);
    expect(input("superglue/wsc", earlier, { prefix: false })).toBe("text: When # she # left , * Anna * cried .");
  });
  it("finds the span at its place, not at its first occurrence", () => {
    const twice = row("it said it was late", ["it", 2], ["it", 0]);
    expect(input("superglue/wsc", twice)).toBe("superglue-wsc.fixed text: # it # said * it * was late");
  });
  it("reads spans as regular expressions only in the faithful variant", () => {
    // "." is any character there: the span "a.b" is found where the text says "aXb".
    const dot = row("see aXb and it", ["a.b", 1], ["it", 3]);
    expect(input("superglue/wsc", dot, { variant: "faithful" })).toBe(
      "superglue-wsc.fixed text: see * aXb * and # it #",
    );
    // Literally it is not found, and the pronoun is marked all the same.
    expect(input("superglue/wsc", dot)).toBe("superglue-wsc.fixed text: see aXb and # it #");
    const absent = row("see aXb and it", ["cat", 1], ["it", 3]);
    expect(input("superglue/wsc", absent, { variant: "faithful" })).toBe("superglue-wsc.fixed text: see aXb and it");
    const bracket = row("The (big dog barked at it", ["The (big dog", 0], ["it", 5]);
    expect(() => input("superglue/wsc", bracket, { variant: "faithful" })).toThrow(/is no regular expression/);
    expect(input("superglue/wsc", bracket)).toBe("superglue-wsc.fixed text: * The (big dog * barked at # it #");
    const dollar = row("It cost $& and $1 more", ["$&", 2], ["It", 0]);
    expect(input("superglue/wsc", dollar)).toBe("superglue-wsc.fixed text: # It # cost * $& * and $1 more");
    const plus = row("C++ (old) beat it", ["C++ (old)", 0], ["it", 3]);
    expect(input("superglue/wsc", plus)).toBe("superglue-wsc.fixed text: * C++ (old) * beat # it #");
  });
  it("words may be parted by more than one space in the fixed variant", () => {
    const wide = row("Then  Bob said he left", ["Bob", 1], ["he", 3]);
    expect(input("superglue/wsc", wide)).toBe("superglue-wsc.fixed text: Then  * Bob * said # he # left");
    expect(input("superglue/wsc", wide, { variant: "faithful" })).toBe(
      "superglue-wsc.fixed text: Then  Bob said he left",
    );
  });
  it("refuses a negative index", () => {
    expect(() => render("superglue/wsc", row("a b", ["a", -1], ["b", 1]))).toThrow(/"span1_index" should be 0 or more/);
  });
});

describe("ReCoRD", () => {
  const row = {
    passage: 'He said "no"\n@highlight\nAnn left\n@highlight\nBob stayed.\n@highlight\nThe end',
    query: "@placeholder left",
    entities: ["Ann", "Bob"],
    entity_spans: { text: ["Ann", "Bob"], start: [24, 44], end: [26, 46] },
    answers: ["Ann", "Anna", "Ann"],
    idx: { passage: 0, query: 0 },
  };
  const body = 'entities: Ann, Bob passage: He said "no" Ann left. Bob stayed. The end';
  it("makes sentences of highlights, and says record twice only in the faithful variant", () => {
    expect(input("superglue/record", row)).toBe(`superglue-record query: @placeholder left ${body}`);
    expect(input("superglue/record", row, { variant: "faithful" })).toBe(
      `superglue-record record query: @placeholder left ${body}`,
    );
    expect(input("superglue/record", row, { variant: "faithful", prefix: false })).toBe(
      `record query: @placeholder left ${body}`,
    );
  });
  it("has one example for each answer in training, and all answers as references in evaluation", () => {
    expect(render("superglue/record", row, { split: "train" }).map((each) => each.target)).toEqual([
      "Ann",
      "Anna",
      "Ann",
    ]);
    expect(render("superglue/record", row, { split: "train" })[0]).not.toHaveProperty("references");
    expect(render("superglue/record", row, { split: "validation" })).toMatchObject([
      { target: "Ann", references: ["Ann", "Anna"] },
    ]);
  });
  it("without an answer the target is <unk>, in one row", () => {
    expect(render("superglue/record", { ...row, answers: [] }, { split: "train" }).map((each) => each.target)).toEqual([
      "<unk>",
    ]);
  });
  it("keeps a highlight at the very start or end, which has no line break on both sides", () => {
    expect(input("superglue/record", { ...row, passage: "@highlight\nA\n@highlight" })).toMatch(
      /passage: @highlight\nA\n@highlight$/,
    );
  });
});

describe("pad-punctuation", () => {
  it.each([
    ["Denver (the Broncos) won 24–10.", "Denver ( the Broncos ) won 24 – 10 . "],
    ["snake_case stays_", "snake_case stays_"],
    ["naïve façade, Å and ½ and Ⅳ and ٣", "naïve façade , Å and ½ and Ⅳ and ٣"],
    ["e\u0301clair", "e\u0301clair"], // a combining mark is no punctuation
    ["a\u00a0b\u2003c\n\td", "a b c d"],
    ["“quoted”…", " “ quoted ” … "],
    ["hi 😀!", "hi 😀 ! "], // one character, though two UTF-16 units
    ["a\u200db", "a \u200d b"], // a joiner is neither space nor letter
    ["a\u0085b\ufeffc", "a b \ufeff c"], // Python's white space, not JavaScript's
    ["", ""],
  ])("%j → %j", (text, padded) => {
    expect(padPunctuation(text)).toBe(padded);
  });
});

describe("SQuAD", () => {
  const row = {
    id: "1",
    title: "T",
    context: QUESTION.context,
    question: QUESTION.question,
    answers: { text: ["Denver (the Broncos)", "the Broncos", "the Broncos"], answer_start: [0, 8, 8] },
  };
  it("pads punctuation without trimming, and targets the first answer", () => {
    expect(render("squad", row, { split: "train" })).toEqual([
      {
        input: "squad question: Who won ?  context: Denver ( the Broncos ) won 24 – 10 . ",
        target: "Denver ( the Broncos ) ",
      },
    ]);
    expect(render("squad", row)[0]?.references).toEqual(["Denver ( the Broncos ) ", "the Broncos"]);
  });
  it("prints the whole answers field in the faithful variant, as Python would", () => {
    const odd = { ...row, answers: { text: ["it's", 'say "x" isn\'t', "a\\b\nc\u00a0é"], answer_start: [1, 2, 3n] } };
    // What str() gives: {'text': ["it's", 'say "x" isn\'t', 'a\\b\nc\xa0é'], 'answer_start': [1, 2, 3]}, padded.
    expect(target("squad", odd, { variant: "faithful" })).toBe(
      padPunctuation("{'text': [\"it's\", 'say \"x\" isn\\'t', 'a\\\\b\\nc\\xa0é'], 'answer_start': [1, 2, 3]}"),
    );
    expect(target("squad", row, { variant: "faithful" })).toMatch(/^ \{ ' text ' : \[ ' Denver/);
    expect(render("squad", row, { variant: "faithful" })[0]).not.toHaveProperty("references");
  });
  it("says so where there is no answer, or the answers are not lists", () => {
    expect(() => render("squad", { ...row, answers: { text: [], answer_start: [] } })).toThrow(/holds no answer/);
    expect(() => render("squad", { ...row, answers: "Denver" })).toThrow(
      /"answers" should be a struct, but is "Denver"/,
    );
    expect(() => render("squad", { ...row, answers: { text: [3] } })).toThrow(
      /"text" should be a list of strings, but is 3/,
    );
  });
});

describe("the MRQA sets", () => {
  it.each([
    ["mrqa/naturalquestions", "nq"],
    ["mrqa/hotpotqa", "hotpotqa"],
    ["mrqa/searchqa", "searchqa"],
    ["mrqa/newsqa", "newsqa"],
  ] as const)("%s has the key %s; only the fixed variant scores against every answer", (name, key) => {
    const row = { ...QUESTION, answers: ["24–10", "24"] };
    expect(input(name, row)).toBe(`${key} question: Who won ?  context: Denver ( the Broncos ) won 24 – 10 . `);
    expect(render(name, row)).toMatchObject([{ target: "24 – 10", references: ["24 – 10", "24"] }]);
    expect(render(name, row, { variant: "faithful" })[0]).not.toHaveProperty("references");
    expect(render(name, row, { split: "train" })[0]).not.toHaveProperty("references");
    expect(() => render(name, { ...row, answers: [] })).toThrow(
      new RegExp(`${name}: column "answers" holds no answer`),
    );
  });
});

describe("WinoGrande", () => {
  const row = { sentence: "Ann beat Eve because _ was fast.", option1: "Ann", option2: "Eve", answer: "1" };
  it("shows both options in the fixed variant, the first one twice in the faithful", () => {
    expect(input("winogrande", row)).toBe(
      "winogrande sentence: Ann beat Eve because _ was fast. option0: Ann option1: Eve",
    );
    expect(input("winogrande", row, { variant: "faithful" })).toMatch(/option0: Ann option1: Ann$/);
    expect([target("winogrande", row), target("winogrande", { ...row, answer: "2" })]).toEqual(["0", "1"]);
  });
  it("refuses the hub's test rows, which have no answer", () => {
    expect(() => render("winogrande", { ...row, answer: "" })).toThrow(/"answer" should be "1" or "2", but is ""/);
  });
});

describe("SciTail", () => {
  const row = { sentence1: "Ice melts.", sentence2: "Ice is water.", gold_label: "neutral" };
  it("has two ways of naming its parts", () => {
    expect(input("scitail", row)).toBe("scitail sentence1: Ice melts. sentence2: Ice is water.");
    expect(input("scitail", row, { variant: "faithful" })).toBe(
      "scitail premise: Ice melts. hypothesis: Ice is water.",
    );
    expect([target("scitail", { ...row, gold_label: "entailment" }), target("scitail", row)]).toEqual(["0", "1"]);
    expect(() => render("scitail", { ...row, gold_label: "contradiction" })).toThrow(
      /entailment or neutral, but is "contradiction"/,
    );
  });
});

describe("E2E NLG and WebNLG", () => {
  it("wordings of one meaning are a group in evaluation, and rows of their own in training", () => {
    const row = { meaning_representation: "name[Zizzi]", human_reference: "It is Zizzi." };
    expect(render("e2e-nlg", row)[0]?.group).toBe("name[Zizzi]");
    expect(render("e2e-nlg", row, { split: "train" })[0]).not.toHaveProperty("group");
  });
  it("triples are one line; training has an example for each wording, evaluation all of them", () => {
    const row = {
      modified_triple_sets: {
        mtriple_set: [["Aarhus_Airport | cityServed | Aarhus", "Aarhus | leaderName | Jacob_B"]],
      },
      lex: { comment: ["good", "good"], lid: ["Id1", "Id2"], text: ["One.", "Two."], lang: ["", ""] },
    };
    const line = "triples: Aarhus Airport | cityServed | Aarhus && Aarhus | leaderName | Jacob B";
    expect(render("webnlg", row)).toEqual([{ input: `webnlg ${line}`, target: "One.", references: ["One.", "Two."] }]);
    expect(render("webnlg", row, { split: "train", prefix: false })).toEqual([
      { input: line, target: "One." },
      { input: line, target: "Two." },
    ]);
    expect(render("webnlg", { ...row, lex: { ...row.lex, text: [] } })).toEqual([]);
    expect(render("webnlg", { ...row, test_category: "testdata_unseen_with_lex" })).toEqual([]);
    expect(render("webnlg", { ...row, test_category: "testdata_with_lex" }).length).toBe(1);
    expect(() => render("webnlg", { ...row, modified_triple_sets: { mtriple_set: [] } })).toThrow(/is empty/);
  });
});

describe("rows that are not what the dataset promises", () => {
  it.each([
    [
      "a missing column",
      { sentence2: "b", label: 0 },
      /glue\/rte: column "sentence1" should be a string, but is missing/,
    ],
    ["a null", { sentence1: null, sentence2: "b", label: 0 }, /"sentence1" should be a string, but is null/],
    [
      "a label out of range",
      { sentence1: "a", sentence2: "b", label: 2n },
      /"label" should be a label from 0 to 1, but is 2/,
    ],
    ["an unlabelled row", { sentence1: "a", sentence2: "b", label: -1 }, /from 0 to 1, but is -1/],
    ["a label that is no number", { sentence1: "a", sentence2: "b", label: "1" }, /a whole number, but is "1"/],
    ["a broken number", { sentence1: "a", sentence2: "b", label: 0.5 }, /a whole number, but is 0.5/],
    ["a very long value", { sentence1: ["x".repeat(500)], sentence2: "b", label: 0 }, /but is x{57}…\. The file/],
  ])("%s is named by dataset, column and value", (_, row, message) => {
    expect(() => render("glue/rte", row)).toThrow(message);
    expect(() => render("glue/rte", row)).toThrow(expect.objectContaining({ name: "DataError" }));
  });

  it("Arrow rows, with vectors for lists and bigint for int64, are rows like any other", () => {
    const row = {
      id: "1",
      title: "T",
      context: "C.",
      question: "Q?",
      answers: { text: ["A", "B"], answer_start: [0, 1] },
    };
    const table = tableFromRows(catalogue.squad.schema, [row]);
    for (const variant of ["faithful", "fixed"] as const) {
      expect(render("squad", table.get(0)!.toJSON(), { variant })).toEqual(render("squad", row, { variant }));
    }
    const pair = tableFromRows(catalogue["glue/rte"].schema, [TWO]);
    expect(render("glue/rte", pair.get(0)!.toJSON())).toEqual(render("glue/rte", TWO));
  });
});
