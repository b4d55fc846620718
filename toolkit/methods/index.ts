// Public names of the methods room.
export {
  type Adapter,
  type AdapterHeader,
  adapterBackboneProblems,
  loadAdapter,
  openAdapter,
  type SaveContext,
  saveAdapter,
} from "./adapter-files.ts";
export type {
  BackboneSizes,
  InitContext,
  Method,
  Parameters,
  PortContext,
  SourceShape,
  SourceState,
} from "./contract.ts";
export {
  type DistillationOptions,
  distillationDefaults,
  distillationLosses,
  type Outputs,
  stackTeachers,
  teacherPorts,
} from "./distillation.ts";
export { type FillInputs, fillPorts, portContext } from "./fill-ports.ts";
export {
  type AnyMethod,
  findMethod,
  type MethodName,
  methodNames,
  methods,
  type ResolvedMethod,
  resolveMethod,
  validateOptions,
} from "./methods.ts";
export { collapseMpt } from "./mpt.ts";
export { didYouMean } from "./options.ts";
export { promptSimilarity, retrievePrompts, type Similarity, type SourcePrompt, sourcePrompts } from "./sources.ts";
