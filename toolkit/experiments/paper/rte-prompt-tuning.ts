// Recipe: vanilla prompt tuning on RTE, T5-base, 76,800 parameters: the baseline that MPT is compared with.
//
//   command   bunsen train toolkit/experiments/paper/rte-prompt-tuning.ts      (needs no source stage)
//   expected  accuracy 77.7 as run again for ULPT (verified, Table 1); 54.7 in the MPT paper (recalled, unverified)
//   time      not measured yet; 40,000 steps
//
// One seed of three; the paper's sets of all groups and methods: bunsen sweep full --model google-t5/t5-base.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperRecipe } from "../paper.ts";

export const recipe: RunConfigInput = paperRecipe("prompt tuning", ["glue/rte"]);
