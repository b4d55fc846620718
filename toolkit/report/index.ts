// Public names of the report room.
export { type Figure, type FigureOptions, lossFigure, lossPoints, type ScorePoint, scoreFigure } from "./figures.ts";
export { eventLine, finish, type Show, type WatchOptions, watch } from "./live.ts";
export {
  compareMethods,
  deviation,
  type LabelledRun,
  mean,
  mixedSeeds,
  type Summary,
  summarise,
  summaryFigure,
  summaryTable,
} from "./summary.ts";
export { type Cell, type Column, type ResultTable, resultTable } from "./table.ts";
