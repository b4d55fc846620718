// AdapterDrop: adapters in the upper layers only.
//
// From the paper (Rücklé et al., EMNLP 2021): lower layers without adapters cost nothing in training below them. From
// public code (ATTEMPT's baseline): T5-base keeps layers 5 to 11 of both stacks. A backbone with fewer layers needs
// `firstLayer` set.
import { type AdapterOptions, adapterFields, adapterMethod } from "./adapter.ts";
import type { Method } from "./contract.ts";
import { defaultsOf } from "./options.ts";

export const adapterDrop: Method<AdapterOptions> = adapterMethod(
  "adapter-drop",
  "AdapterDrop",
  "Rücklé et al., AdapterDrop: On the Efficiency of Adapters in Transformers (EMNLP 2021); layers as in the ATTEMPT baseline",
  { ...defaultsOf(adapterFields), firstLayer: 5 },
);
