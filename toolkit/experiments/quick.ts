// The quick study: do the paper's claims hold at a scale that two cores finish?
//
//   command   bunsen sweep quick            (needs the hub's GLUE files: BUNSEN_HUB or the network)
//   expected  no published number: a T5 of this size is far below any. What is looked at is the order of the methods.
//   time      60 minutes on two cores that others used at a lower priority, 99 minutes of processor time, from nothing;
//             on quiet ones about 50 are expected (LOG.md). It goes on where it was broken off
//
// Backbone: a T5 v1.0 of 1.8 M parameters, pretrained here by span corruption and prefix language modelling on the
// training splits of the five GLUE sets named below, nothing task-specific. Sources SST-2, CoLA, MRPC; targets RTE,
// STS-B; k = 16 and full; 3 seeds; the same steps, batch and learning-rate grid for every method, chosen on validation.
import { type PretrainOptions, t5v10 } from "#toolkit/training/index.ts";
import type { Study } from "./study.ts";

/** Text of these training splits is what the backbone is pretrained on. */
export const quickText: readonly string[] = ["glue/sst2", "glue/cola", "glue/mrpc", "glue/rte", "glue/stsb"];

export const quickModel: PretrainOptions["model"] = {
  hiddenSize: 128,
  headSize: 32,
  numHeads: 4,
  feedForwardSize: 512,
  numEncoderLayers: 3,
  numDecoderLayers: 3,
  ...t5v10,
  dropoutRate: 0,
};

export const quickPretraining: Omit<PretrainOptions, "folder" | "texts"> = {
  model: quickModel,
  pieces: 3000,
  steps: 6000,
  batchSize: 32,
  inputLength: 40,
  labelLength: 32,
  learningRate: 2e-3,
  embeddingRate: 60,
  prefixShare: 0.5,
  spanChance: 0.15,
  seed: 1,
};

/** The study itself; `model` is the folder that pretraining fills, or a real T5's. */
export function quickStudy(folder: string, model: string, engine: string): Study {
  return {
    folder,
    model,
    sourceTasks: ["glue/sst2", "glue/cola", "glue/mrpc"],
    targets: ["glue/rte", "glue/stsb"],
    sources: [
      { name: "mpt", method: "mpt", distillation: 0.9 },
      { name: "mpt-without-distillation", method: "mpt", distillation: 0 },
      { name: "mpt-without-decomposition", method: "mpt", options: { decomposition: false }, distillation: 0.9 },
    ],
    methods: [
      { label: "full fine-tuning", method: "full-fine-tuning", options: {} },
      { label: "prompt tuning", method: "prompt-tuning" },
      { label: "SPoT", method: "spot", from: "teachers" },
      { label: "ATTEMPT", method: "attempt", from: "teachers" },
      { label: "LoRA", method: "lora", options: {} },
      { label: "MPT", method: "mpt", from: "mpt" },
      { label: "MPT without distillation", method: "mpt", from: "mpt-without-distillation" },
      {
        label: "MPT without decomposition",
        method: "mpt",
        from: "mpt-without-decomposition",
        options: { numVirtualTokens: 20, decomposition: false },
      },
    ],
    shots: [16, null],
    seeds: [1, 2, 3],
    // Multiples of the methods' own rates, which were chosen for T5-base and tens of thousands of steps.
    rates: [1, 3, 10],
    numVirtualTokens: 20,
    sourceSteps: 300,
    teacherSteps: 300,
    targetSteps: 200,
    common: {
      engine,
      // At this size a step gains 1.4 from a second thread, and runs side by side gain 2; with one thread each, a run's
      // bits are the same on any number of cores.
      threads: 1,
      // Of teachers and source stages, where no grid chooses: at 1 a teacher writes no label yet after 200 steps.
      learningRateScale: 10,
      batchSize: 16,
      maxInputLength: 96,
      // A model this small computes a step faster than a shape more compiles.
      lengths: "merged",
      evaluationExamples: 256,
      evaluationBatchSize: 64,
      maxNewTokens: 6,
      checkpointEvery: 1000,
    },
  };
}
