// Names of the kernels that random.ts adds to tfjs-core. Hosts compute them in random.ts, the compiler lowers them.
export const randomKernels = {
  split: "ThreefrySplit",
  foldIn: "ThreefryFoldIn",
  uniform: "ThreefryUniform",
  bernoulli: "ThreefryBernoulli",
} as const;
