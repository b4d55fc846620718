// The full study: the whole table at small scale, every method there is.
//
//   command   bunsen sweep full             (needs the hub's GLUE files: BUNSEN_HUB or the network)
//   expected  no published number: a T5 of this size is far below any. What is looked at is the order of the methods.
//   time      about 3.1 hours on two cores by the quick study's steps, pretraining not counted; `--plan --step-ms N` says
//             it for a measured step, and `--plan` alone after the quick study
//
// Backbone, sources, targets, rates and lengths are the quick study's; what is more: every method of the methods table,
// MPT*, and k = 4, 16, 32 beside the full training split. All methods have the same steps for a task: MPT* trains both
// targets in one run of twice the steps. Given a model, the same command is the paper's reproduction: paper.ts.
import { quickStudy } from "./quick.ts";
import type { Study } from "./study.ts";

/** The study itself; `model` is the folder that pretraining fills. */
export function fullStudy(folder: string, model: string, engine: string): Study {
  const quick = quickStudy(folder, model, engine);
  const routed = { numExperts: 4, expertLength: 5 }; // 4 × 5: SMoP's own best, and the study's 20 rows
  return {
    ...quick,
    sources: [
      ...quick.sources,
      { name: "mpt-adapter", method: "mpt-adapter", distillation: 0.9 },
      // Routed prompts are no fixed prompt and particles are no student: neither has teachers.
      { name: "smop-mpt", method: "smop-mpt", distillation: 0, options: routed, ownLength: true },
      { name: "bmtpt", method: "bmtpt", distillation: 0 },
    ],
    methods: [
      ...quick.methods,
      { label: "MPT*", method: "mpt", from: "mpt", joint: true },
      { label: "MPT + adapters", method: "mpt-adapter", from: "mpt-adapter" },
      { label: "MPT inside SMoP", method: "smop-mpt", from: "smop-mpt", options: routed },
      { label: "BMTPT", method: "bmtpt", from: "bmtpt" },
      { label: "SMoP", method: "smop", options: routed },
      // 13 rows and rank 4 over 96 positions: 13·128 + 4·(96 + 128) = 20·128, prompt tuning's own number of parameters.
      { label: "DePT", method: "dept", options: { numVirtualTokens: 13, rank: 4, maxLength: 96 } },
      { label: "P-tuning", method: "p-tuning" },
      { label: "P-tuning v2", method: "p-tuning-v2" },
      { label: "prefix tuning", method: "prefix-tuning" },
      { label: "Adapter", method: "adapter", options: {} },
      // T5-base drops the first 5 of 12 layers; of 3 that is the first.
      { label: "AdapterDrop", method: "adapter-drop", options: { firstLayer: 1 } },
      { label: "Compacter", method: "compacter", options: {} },
      { label: "BitFit", method: "bitfit", options: {} },
    ],
    shots: [4, 16, 32, null],
  };
}
