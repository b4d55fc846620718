// Recipe: MPT on BoolQ with 16 examples, T5-base.
//
//   command   bunsen train toolkit/experiments/paper/boolq-16.ts      (after source.ts)
//   expected  accuracy 63.3 (recalled, unverified)
//   time      not measured yet; 1,000 steps
//
// One seed of three; the paper's sets of all groups and methods: bunsen sweep full --model google-t5/t5-base.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperRecipe } from "../paper.ts";

export const recipe: RunConfigInput = paperRecipe("MPT", ["superglue/boolq"], 16);
