// Public names of the nn room: stateless layers, losses, optimisers, schedules, host randomness.
export * from "./layers.ts";
export * from "./losses.ts";
export { type AdafactorOptions, adafactor } from "./optimizers/adafactor.ts";
export { type AdamWOptions, adamw } from "./optimizers/adamw.ts";
export { clipByGlobalNorm, globalNorm } from "./optimizers/clip.ts";
export type { Named, Optimizer, OptimizerState, Updated } from "./optimizers/contract.ts";
export { type SgdOptions, sgd } from "./optimizers/sgd.ts";
export * from "./random.ts";
export { type ScheduleName, type ScheduleOptions, scheduleFactor } from "./schedules.ts";
