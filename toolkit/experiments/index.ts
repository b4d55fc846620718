// Public names of the experiments room.
export { type Grid, gridSteps, runGrid, runName } from "./grid.ts";
