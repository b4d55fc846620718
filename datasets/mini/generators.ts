// Which generator stands in for which dataset: one row per entry of the catalogue.
import type { DatasetName } from "../groups.ts";
import * as glue from "./glue.ts";
import * as mrqa from "./mrqa.ts";
import * as nlg from "./nlg.ts";
import * as others from "./others.ts";
import * as superglue from "./superglue.ts";

export const GENERATORS: Readonly<Record<DatasetName, glue.Generator>> = {
  "glue/mnli": glue.mnli,
  "glue/qqp": glue.qqp,
  "glue/qnli": glue.qnli,
  "glue/sst2": glue.sst2,
  "glue/stsb": glue.stsb,
  "glue/mrpc": glue.mrpc,
  "glue/rte": glue.rte,
  "glue/cola": glue.cola,
  "superglue/multirc": superglue.multirc,
  "superglue/boolq": superglue.boolq,
  "superglue/wic": superglue.wic,
  "superglue/wsc": superglue.wsc,
  "superglue/cb": superglue.cb,
  "superglue/record": superglue.record,
  // The four differ in how much is to be read.
  "mrqa/naturalquestions": mrqa.mrqa(3),
  "mrqa/hotpotqa": mrqa.mrqa(4),
  "mrqa/searchqa": mrqa.mrqa(6),
  "mrqa/newsqa": mrqa.mrqa(5),
  squad: mrqa.squad,
  winogrande: others.winogrande,
  "yelp-polarity": others.yelpPolarity,
  scitail: others.scitail,
  "paws-wiki": others.pawsWiki,
  "e2e-nlg": nlg.e2e,
  webnlg: nlg.webnlg,
};
