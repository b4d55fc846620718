// Recipe: MPT* on the eight GLUE tasks together, T5-base, 10,468 parameters a task.
//
//   command   bunsen train toolkit/experiments/paper/glue.ts      (after source.ts)
//   expected  average 85.8: MNLI 84.3, QQP 90.0, QNLI 93.0, SST-2 93.0, STS-B 90.4, MRPC 89.2, RTE 82.7, CoLA 63.5
//             (verified in ULPT, Table 1; another paper quotes 93.3 for SST-2)
//   time      not measured yet; 320,000 steps
//
// One seed of three; the paper's sets of all groups and methods: bunsen sweep full --model google-t5/t5-base.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperRecipe } from "../paper.ts";
import { publishedGroups } from "../published.ts";

export const recipe: RunConfigInput = paperRecipe("MPT*", publishedGroups.glue);
