// The table of kernels that `compile` can lower, by tfjs-core's kernel name. One file per kind beside this one.
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import type { Lowering } from "./lowering.ts";
import { products } from "./products.ts";
import { random } from "./random.ts";
import { reductions } from "./reductions.ts";
import { shapes } from "./shapes.ts";

export const lowerings: Readonly<Record<string, Lowering>> = {
  ...elementwise,
  ...reductions,
  ...shapes,
  ...indexing,
  ...products,
  ...random,
};
