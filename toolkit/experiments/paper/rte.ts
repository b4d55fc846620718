// Recipe: MPT on RTE, T5-base, 77,668 parameters.
//
//   command   bunsen train toolkit/experiments/paper/rte.ts      (after source.ts)
//   expected  accuracy 79.4 (verified in ULPT, Table 1); average of GLUE 85.6
//   time      not measured yet; 40,000 steps
//
// One seed of three; the paper's sets of all groups and methods: bunsen sweep full --model google-t5/t5-base.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperRecipe } from "../paper.ts";

export const recipe: RunConfigInput = paperRecipe("MPT", ["glue/rte"]);
