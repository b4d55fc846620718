// Recipe: MPT on Natural Questions of MRQA, T5-base, 77,668 parameters.
//
//   command   bunsen train toolkit/experiments/paper/mrqa.ts      (after source.ts)
//   expected  F1 72.0 ± 0.1 (verified in ULPT, Table 5); average of the group 72.2: HotpotQA 75.8, SearchQA 77.2, NewsQA 63.7
//             with --set tasks and --set run for each
//   time      not measured yet; 40,000 steps
//
// One seed of three; the paper's sets of all groups and methods: bunsen sweep full --model google-t5/t5-base.
import type { RunConfigInput } from "#toolkit/training/index.ts";
import { paperRecipe } from "../paper.ts";

export const recipe: RunConfigInput = paperRecipe("MPT", ["mrqa/naturalquestions"]);
