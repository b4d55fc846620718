// Which generator stands in for which dataset: one row per entry of the catalogue.
import type { DatasetName } from "../groups.ts";
import * as glue from "./glue.ts";
import * as mrqa from "./mrqa.ts";

export const GENERATORS: Readonly<Partial<Record<DatasetName, glue.Generator>>> = {
  "glue/mnli": glue.mnli,
  "glue/qqp": glue.qqp,
  "glue/qnli": glue.qnli,
  "glue/sst2": glue.sst2,
  "glue/stsb": glue.stsb,
  "glue/mrpc": glue.mrpc,
  "glue/rte": glue.rte,
  "glue/cola": glue.cola,
  squad: mrqa.squad,
};
