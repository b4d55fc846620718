// The reproduction of the paper (Wang et al., Multitask Prompt Tuning, ICLR 2023) on T5-base: its sources, its groups
// of targets, its compared methods.
//
//   command   bunsen sweep full --model google-t5/t5-base       (any T5's folder or hub id; --set changes any value)
//   expected  published.ts; in short, MPT: GLUE 85.6, SuperGLUE 74.1, MRQA 72.2, Others 85.5; MPT*: GLUE 85.8,
//             SuperGLUE 76.1 (verified in ULPT, Tables 1 and 5). Few-shot scores are recalled, unverified.
//   time      not measured yet; `--plan --step-ms N` says the hours for a step time measured on the machine at hand
//
// Never run here in full: it needs the network and a GPU. One MPT run of a group alone: paper/*.ts.
// Not in it: generation (E2E, WebNLG on T5-large), T5-small and large, HyperFormer, HyperDecoder, LST.
import { join } from "node:path";
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { runName } from "./grid.ts";
import { publishedGroups } from "./published.ts";
import { type Study, sourceRuns, targetGrids } from "./study.ts";

/** The hub id the paper's tables are of. */
export const paperModel = "google-t5/t5-base";

/** Six large tasks of different kinds. SQuAD and ReCoRD are sources alone. Verified in ATTEMPT's configurations. */
export const paperSources: readonly string[] = [
  "glue/mnli",
  "glue/qnli",
  "glue/qqp",
  "glue/sst2",
  "squad",
  "superglue/record",
];

/** One value that the paper leaves open, or that could not be read again: what is used here, and why. */
export interface PaperValue {
  readonly value: number | string;
  /** The setting that changes it: `bunsen sweep full --model … --set <key>=…`. */
  readonly key: string;
  readonly provenance: string;
}

export const paperValues: Readonly<Record<string, PaperValue>> = {
  promptLength: { value: 100, key: "numVirtualTokens", provenance: "the paper's; 77.6K parameters follow from it" },
  batchSize: { value: 32, key: "common.batchSize", provenance: "not stated readably; ATTEMPT and DePT use 32" },
  targetSteps: {
    value: 40_000,
    key: "targetSteps",
    provenance: "not stated readably; DePT's 40 k steps (ATTEMPT: 20 epochs)",
  },
  fewShotSteps: { value: 1000, key: "fewShotSteps", provenance: "not stated readably; this project's own choice" },
  sourceSteps: { value: 200_000, key: "sourceSteps", provenance: "not stated readably; this project's own choice" },
  teacherSteps: {
    value: 40_000,
    key: "teacherSteps",
    provenance: "not stated readably; a teacher is a prompt tuned as a target is",
  },
  temperature: { value: 1, key: "distillation.temperature", provenance: "T is not stated readably; 1 is no softening" },
  weight: { value: 0.9, key: "distillation.weight", provenance: "recalled from the literature, unverified" },
  maxTasks: {
    value: 6,
    key: "sampling.slots.max",
    provenance: "κ is not stated readably; all sources, as a public descendant of MPT's code draws from 2 to all tasks",
  },
  warmup: { value: 500, key: "common.warmup", provenance: "ATTEMPT and DePT: 500 steps, then linear decay" },
  evaluateEvery: { value: 1000, key: "common.evaluateEvery", provenance: "DePT: every 1,000 steps, the best is kept" },
  rates: {
    value: "0.3 shared, 0.4 task",
    key: "rates",
    provenance: "second-hand and recalled, unverified; the method's own rates, `rates` are multiples",
  },
};

const count = (name: keyof typeof paperValues): number => paperValues[name]!.value as number;

/** The study itself, with the variant of every dataset that public code made the published numbers with. */
export function paperStudy(folder: string, model: string, engine: string): Study {
  return {
    folder,
    model,
    sourceTasks: paperSources,
    targets: Object.values(publishedGroups).flat(),
    groups: publishedGroups,
    sources: [{ name: "mpt", method: "mpt", distillation: count("weight") }],
    methods: [
      { label: "full fine-tuning", method: "full-fine-tuning", options: {} },
      { label: "Adapter", method: "adapter", options: {} },
      { label: "AdapterDrop", method: "adapter-drop", options: {} },
      { label: "BitFit", method: "bitfit", options: {} },
      { label: "LoRA", method: "lora", options: {} },
      { label: "prompt tuning", method: "prompt-tuning" },
      // 60 rows and rank 30: prompt tuning's own number of parameters (DePT's code).
      { label: "DePT", method: "dept", options: { numVirtualTokens: 60, rank: 30 } },
      { label: "SPoT", method: "spot", from: "teachers" }, // the first source, MNLI, as ATTEMPT's configuration has it
      { label: "ATTEMPT", method: "attempt", from: "teachers" },
      { label: "MPT", method: "mpt", from: "mpt" },
      { label: "MPT*", method: "mpt", from: "mpt", joint: true },
    ],
    shots: [4, 16, 32, null],
    fewShotTargets: ["superglue/boolq", "superglue/cb", "scitail"],
    seeds: [1, 2, 3],
    rates: [1],
    numVirtualTokens: count("promptLength"),
    sourceSteps: count("sourceSteps"),
    teacherSteps: count("teacherSteps"),
    targetSteps: count("targetSteps"),
    fewShotSteps: count("fewShotSteps"),
    distillation: { temperature: count("temperature") },
    sampling: { kind: "proportional", slots: { min: 2, max: count("maxTasks") } },
    common: {
      engine,
      variant: "faithful",
      batchSize: count("batchSize"),
      warmup: count("warmup"),
      evaluateEvery: count("evaluateEvery"),
      checkpointEvery: count("evaluateEvery"),
    },
  };
}

const byDefault = (): Study => paperStudy(join("runs", "paper"), paperModel, "auto");

/** The source stage as a run of its own, in the folder where the sweep looks for it. */
export const paperSourceRecipe = (): RunConfigInput => sourceRuns(byDefault())[0]!;

/**
 * One run of the study, with its first seed, in the folder where the sweep looks for it.
 * @throws Error where the study has no such run
 */
export function paperRecipe(label: string, tasks: readonly string[], shots: number | null = null): RunConfigInput {
  const seed = 1;
  const grid = targetGrids(byDefault()).find(
    (found) =>
      found.label === label &&
      found.config.tasks.join() === tasks.join() &&
      (found.config as { shots?: number | null }).shots === shots,
  );
  if (grid === undefined)
    throw new Error(`the paper's study has no run of ${label} on ${tasks.join(", ")} with shots ${shots ?? "full"}`);
  const rate = grid.rates[0]!;
  const run = join(grid.folder, runName(label, tasks, seed, rate));
  return { ...grid.config, run, seed, learningRateScale: rate } as RunConfigInput;
}
