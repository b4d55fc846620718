// Recipe: MPT on PAWS, T5-base, 77,668 parameters.
//
//   command   bunsen train toolkit/experiments/paper/others.ts      (after source.ts)
//   expected  accuracy 93.5 ± 0.1 (verified in ULPT, Table 5); average of the group 85.5: WinoGrande 56.5, Yelp 96.4,
//             SciTail 95.5 with --set tasks and --set run for each
//   time      not measured yet; 40,000 steps
//
// One seed of three; the paper's sets of all groups and methods: bunsen sweep full --model google-t5/t5-base.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperRecipe } from "../paper.ts";

export const recipe: RunConfigInput = paperRecipe("MPT", ["paws-wiki"]);
