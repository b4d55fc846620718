// Public names of the experiments room.
export { type Grid, gridSteps, runGrid, runName } from "./grid.ts";
export {
  runStudy,
  type Study,
  type StudyMethod,
  type StudySource,
  sourceRuns,
  studySteps,
  targetGrids,
} from "./study.ts";
