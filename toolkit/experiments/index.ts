// Public names of the experiments room.
export { fullStudy } from "./full.ts";
export { type Grid, gridSteps, runGrid, runName } from "./grid.ts";
export { type PaperValue, paperModel, paperRecipe, paperStudy, paperValues } from "./paper.ts";
export { measureStudy, type PlanCost, type PlanLine, planCost, type StepTimes, studyPlan } from "./plan.ts";
export {
  type Evidence,
  type PublishedGroup,
  type PublishedRow,
  type PublishedTask,
  published,
  publishedGroups,
  publishedScore,
} from "./published.ts";
export { publishedBeside } from "./published-table.ts";
export { quickStudy } from "./quick.ts";
export { applyStudySettings } from "./settings.ts";
export {
  runStudy,
  type Study,
  type StudyMethod,
  type StudySource,
  type StudyStage,
  type StudyUnit,
  sourceRuns,
  studyStages,
  studySteps,
  studyUnits,
  targetGrids,
} from "./study.ts";
