// Recipe: MPT's source stage on T5-base: six teachers, then the shared prompt with distillation.
//
//   command   bunsen train toolkit/experiments/paper/source.ts      (--set model=FOLDER for another T5)
//   expected  no published number of its own; the targets' recipes start from it
//   time      not measured yet; 6 × 40,000 teacher steps and 200,000 joint ones
//
// Batch, steps, T and κ are not stated in any source that could be read: their provenance is in ../paper.ts.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperSourceRecipe } from "../paper.ts";

export const recipe: RunConfigInput = paperSourceRecipe();
