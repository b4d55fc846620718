#!/usr/bin/env bun
// The metrics against the libraries that define them (scikit-learn, scipy, sacreBLEU, NLTK, rouge-score, pycocoevalcap, T5's
// metrics), on random inputs: `bun test/conformance/metrics.ts [--cases N] [--seed N] [--squad-script FILE] [--mrqa-script FILE]`.
// It builds its own virtual environment, and a missing library is a failure, not a skip. The official scripts of SQuAD v1.1
// and of MRQA are in no package: with copies of evaluate-v1.1.py and mrqa_official_eval.py they are compared as well, and
// then must be; without, version 2's functions in transformers stand for the first. Not part of the quick test suite.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { pythonDict } from "#datasets/mrqa/python.ts";
import { type Draw, draw } from "#datasets/random.ts";
import { padPunctuation, roundHalfEven } from "#datasets/template.ts";
import { answerTokens, type MetricName, metrics, type Scored } from "#toolkit/metrics/index.ts";
import { tokenize13a } from "#toolkit/metrics/tokens.ts";

const root = resolve(import.meta.dirname, "../..");
const requirements = join(import.meta.dirname, "metrics-requirements.txt");
/** Installed without their dependencies: TensorFlow and Java, which the parts used here do not need. */
const BARE = ["t5==0.9.4", "pycocoevalcap==1.2"];

/** Everything that must be compared at least once, or the run fails. */
const REQUIRED: readonly string[] = [
  "sklearn accuracy",
  "sklearn f1",
  "sklearn macroF1",
  "sklearn matthews",
  "t5 f1",
  "t5 f1a",
  "t5 macroF1",
  "t5 groupExactMatch",
  "scipy pearson",
  "scipy spearman",
  "t5 pearson",
  "t5 spearman",
  "t5 squadF1",
  "t5 exactMatch",
  "transformers squadF1",
  "transformers exactMatch",
  "sacrebleu bleu",
  "rouge-score rougeL",
  "nltk nist",
  "pycocoevalcap cider",
];

interface Case {
  readonly kind: "labels" | "numbers" | "answers" | "texts";
  readonly predictions: readonly string[];
  readonly targets?: readonly string[];
  readonly groups?: readonly string[];
  readonly references?: readonly (readonly string[])[];
  /** No answer or prediction is empty after normalisation. */
  readonly normal?: boolean;
}

function run(command: readonly string[], input?: string): string {
  const result = Bun.spawnSync([...command], {
    cwd: root,
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PYTHONUTF8: "1", PYTHONWARNINGS: "ignore" },
  });
  if (result.exitCode !== 0) {
    throw new Error(
      `${command.slice(0, 4).join(" ")} … failed (exit ${result.exitCode}):\n${result.stderr.toString().slice(-3000)}`,
    );
  }
  return result.stdout.toString();
}

/** The Python of `.venv-conformance`, with the pinned references installed. */
function referencePython(): string {
  const venv = join(root, ".venv-conformance");
  const python = join(venv, "bin/python");
  const wanted = `${readFileSync(requirements, "utf8")}\n${BARE.join("\n")}`;
  const marker = join(venv, "metrics-installed.txt");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return python;
  console.log("building .venv-conformance (once) …");
  if (!existsSync(python)) run(["python3", "-m", "venv", venv]);
  run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
  run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", ...BARE]);
  mkdirSync(venv, { recursive: true });
  writeFileSync(marker, wanted);
  return python;
}

const WORDS =
  `the a an The A AN red hat Hat café naïve Straße ΟΔΟΣ 東京 x1 1,000.5 3-4 -5 e.g. U.S. don't it's "quoted" “curly”
  (round) [square] end. end, what? wow! half-and-half under_score &amp; &quot; <b> 50% $5 #1 @you a/b ½ ٣ über é e\u0301 I i
  theatre another`.split(/\s+/);
const SPACES = [" ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u2003", "\u0085"];

function sentence(stream: Draw, least: number, most: number): string {
  const length = least + stream.below(most - least + 1);
  let text = "";
  for (let i = 0; i < length; i++) text += (i === 0 ? "" : stream.pick(SPACES)) + stream.pick(WORDS);
  return text;
}

/** The text with some of its words dropped, doubled or replaced. */
function disturbed(text: string, stream: Draw): string {
  return text
    .split(" ")
    .flatMap((word) =>
      stream.chance(0.15)
        ? []
        : stream.chance(0.15)
          ? [stream.pick(WORDS)]
          : stream.chance(0.1)
            ? [word, word]
            : [word],
    )
    .join(" ");
}

function makeCase(stream: Draw): Case {
  const n = 2 + stream.below(60);
  const times = <T>(make: (i: number) => T, count = n): T[] => Array.from({ length: count }, (_, i) => make(i));
  switch (stream.below(4)) {
    case 0: {
      const classes = stream.pick([
        ["0", "1"],
        ["0", "1", "2"],
      ]);
      const targets = times(() => stream.pick(classes));
      const junk = stream.chance(0.5) ? ["maybe", "01", "true", "9"] : [];
      const predictions = targets.map((target) => (stream.chance(0.6) ? target : stream.pick([...classes, ...junk])));
      return { kind: "labels", targets, predictions, groups: times(() => String(stream.below(1 + n / 3))) };
    }
    case 1: {
      const grid = stream.pick([1, 5, 10, 1000]);
      const targets = times(() => String(stream.below(5 * grid + 1) / grid));
      const predictions = targets.map((target) =>
        String(stream.chance(0.5) ? Number(target) : stream.below(5 * grid + 1) / grid),
      );
      const constant = (values: readonly string[]): boolean => new Set(values).size < 2;
      return constant(targets) || constant(predictions) ? makeCase(stream) : { kind: "numbers", targets, predictions };
    }
    case 2: {
      const least = stream.chance(0.3) ? 0 : 2;
      const references = times(() => times(() => sentence(stream, least, 6), 1 + stream.below(4)));
      const predictions = references.map((each) =>
        stream.chance(0.3) ? stream.pick(each) : disturbed(stream.pick(each), stream),
      );
      const normal = [...predictions, ...references.flat()].every((text) => answerTokens(text).length > 0);
      return { kind: "answers", references, predictions, normal };
    }
    default: {
      const references = times(() => times(() => sentence(stream, 1, 25), 1 + stream.below(4)), 3 + stream.below(20));
      const predictions = references.map((each) =>
        stream.chance(0.1) ? sentence(stream, 6, 9) : disturbed(stream.pick(each), stream),
      );
      return { kind: "texts", references, predictions };
    }
  }
}

function examplesOf(one: Case): Scored[] {
  return one.predictions.map((_, i) => ({
    target: one.targets?.[i] ?? one.references![i]![0]!,
    ...(one.references === undefined ? {} : { references: one.references[i]! }),
    ...(one.groups === undefined ? {} : { group: one.groups[i]! }),
  }));
}

/** Official scripts that a copy may be given of, in the order in which metrics.py takes their paths. */
const scripts = ["squad", "mrqa"] as const;
const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "400" },
    seed: { type: "string", default: "1" },
    "squad-script": { type: "string" },
    "mrqa-script": { type: "string" },
  },
});
const stream = draw(Number(values.seed), "conformance/metrics");
const cases = Array.from({ length: Number(values.cases) }, () => makeCase(stream));
const texts = Array.from({ length: 500 }, () => sentence(stream, 0, 12));
const scores = Array.from({ length: 500 }, () => Math.fround(stream.below(5001) / stream.pick([1000, 1000, 1250])));
const lists = Array.from({ length: 200 }, () =>
  Array.from(
    { length: stream.below(4) },
    () => sentence(stream, 0, 5) + stream.pick(["", "'", "\\", '"', "'\"", "\u200b", "\x07", "😀", "\u{e0001}"]),
  ),
);
const reply = referenceValues([...cases, { kind: "python", texts, scores, lists }]);

/** What the libraries say of each case. A library that cannot be installed or loaded ends the run. */
function referenceValues(given: readonly unknown[]): unknown[] {
  try {
    const named = scripts.map((name) => values[`${name}-script`]);
    const paths = named.map((path) => (path === undefined ? "" : resolve(path)));
    const command = [referencePython(), join(import.meta.dirname, "metrics.py"), ...paths];
    return JSON.parse(run(command, JSON.stringify(given)));
  } catch (error) {
    console.error(`no reference values, so nothing is verified: ${error instanceof Error ? error.message : error}`);
    process.exit(1);
  }
}

interface Tally {
  compared: number;
  worst: number;
  failures: string[];
}
const required = [
  ...REQUIRED,
  ...scripts
    .filter((name) => values[`${name}-script`] !== undefined)
    .flatMap((name) => [`${name} script squadF1`, `${name} script exactMatch`]),
];
const tallies = new Map<string, Tally>(required.map((name) => [name, { compared: 0, worst: 0, failures: [] }]));
const tally = (name: string): Tally => {
  const found = tallies.get(name) ?? { compared: 0, worst: 0, failures: [] };
  tallies.set(name, found);
  return found;
};

cases.forEach((one, i) => {
  for (const [name, expected] of Object.entries(reply[i] as Record<string, number | null>)) {
    const metric = name.split(" ").at(-1) as MetricName;
    const got = metrics[metric](one.predictions, examplesOf(one));
    const record = tally(name);
    record.compared++;
    const difference = expected === null ? Number.NaN : Math.abs(got - expected) / Math.max(1, Math.abs(expected));
    if (difference <= 1e-9) record.worst = Math.max(record.worst, difference);
    else record.failures.push(`case ${i}: expected ${expected}, got ${got}: ${JSON.stringify(one).slice(0, 600)}`);
  }
});

const printed = reply.at(-1) as Record<"repr" | "pad" | "tenth" | "fifth" | "tokens", string[]>;
const same = (name: string, inputs: readonly unknown[], expected: readonly string[], got: readonly string[]): void => {
  inputs.forEach((given, i) => {
    tally(name).compared++;
    if (expected[i] !== got[i])
      tally(name).failures.push(
        `${JSON.stringify(given)}: expected ${JSON.stringify(expected[i])}, got ${JSON.stringify(got[i])}`,
      );
  });
};
same(
  "python: printed answers",
  lists,
  printed.repr,
  lists.map((each) => pythonDict({ text: each, answer_start: each.map((_, k) => k) })),
);
same("python: pad-punctuation", texts, printed.pad, texts.map(padPunctuation));
same(
  "python: STS-B to 0.1",
  scores,
  printed.tenth,
  scores.map((each) => roundHalfEven(each, 10).toFixed(1)),
);
same(
  "python: STS-B to 0.2",
  scores,
  printed.fifth,
  scores.map((each) => roundHalfEven(each, 5).toFixed(1)),
);
same(
  "sacrebleu: 13a tokens",
  texts,
  printed.tokens,
  texts.map((each) => tokenize13a(each).join(" ")),
);

let failed = false;
for (const [name, { compared, worst, failures }] of tallies) {
  const bad = failures.length > 0 || compared === 0;
  failed ||= bad;
  console.log(
    `${bad ? "FAIL" : "ok  "}  ${name.padEnd(28)} ${String(compared).padStart(5)} compared, worst relative difference ${worst.toExponential(1)}`,
  );
  if (compared === 0) console.log("      nothing was compared: the reference gave no value; use more --cases");
  for (const line of failures.slice(0, 3)) console.log(`      ${line}`);
}
process.exit(failed ? 1 : 0);
