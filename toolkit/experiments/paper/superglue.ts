// Recipe: MPT* on the five SuperGLUE tasks together, T5-base.
//
//   command   bunsen train toolkit/experiments/paper/superglue.ts      (after source.ts)
//   expected  average 76.1 as printed, 76.24 by its columns: MultiRC 74.8, BoolQ 79.6, WiC 70.2, WSC 67.3, CB 89.3
//             (verified in ULPT, Table 1)
//   time      not measured yet; 200,000 steps
//
// One seed of three; the paper's sets of all groups and methods: bunsen sweep full --model google-t5/t5-base.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperRecipe } from "../paper.ts";
import { publishedGroups } from "../published.ts";

export const recipe: RunConfigInput = paperRecipe("MPT*", publishedGroups.superglue);
