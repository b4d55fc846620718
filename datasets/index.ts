// The catalogue: a typed table of every dataset, its generated stand-ins, and finding one by name. Loading rows from
// the hub belongs to toolkit/batches.
import type { Table } from "apache-arrow";
import type { Dataset, GenerateOptions } from "./contract.ts";
import { DataError } from "./errors.ts";
import { cola } from "./glue/cola.ts";
import { mnli } from "./glue/mnli.ts";
import { mrpc } from "./glue/mrpc.ts";
import { qnli } from "./glue/qnli.ts";
import { qqp } from "./glue/qqp.ts";
import { rte } from "./glue/rte.ts";
import { sst2 } from "./glue/sst2.ts";
import { stsb } from "./glue/stsb.ts";
import { type DatasetName, type GroupName, groups } from "./groups.ts";
import { GENERATORS } from "./mini/generators.ts";
import { miniDataset } from "./mini/index.ts";
import { hotpotqa } from "./mrqa/hotpotqa.ts";
import { naturalQuestions } from "./mrqa/natural-questions.ts";
import { newsqa } from "./mrqa/newsqa.ts";
import { searchqa } from "./mrqa/searchqa.ts";
import { squad } from "./mrqa/squad.ts";
import { e2eNlg } from "./nlg/e2e.ts";
import { webnlg } from "./nlg/webnlg.ts";
import { pawsWiki } from "./others/paws-wiki.ts";
import { scitail } from "./others/scitail.ts";
import { winogrande } from "./others/winogrande.ts";
import { yelpPolarity } from "./others/yelp-polarity.ts";
import { boolq } from "./superglue/boolq.ts";
import { cb } from "./superglue/cb.ts";
import { multirc } from "./superglue/multirc.ts";
import { record } from "./superglue/record.ts";
import { wic } from "./superglue/wic.ts";
import { wsc } from "./superglue/wsc.ts";

export type {
  Dataset,
  Example,
  GenerateOptions,
  MetricName,
  RenderOptions,
  Row,
  Split,
  SplitRule,
  Variant,
} from "./contract.ts";
export { DataError } from "./errors.ts";
export { type AnyDatasetName, type DatasetName, type GroupName, groups } from "./groups.ts";
export { randperm } from "./randperm.ts";
export { float32, int32, int64, list, schemaOf, struct, utf8 } from "./schema.ts";
export { type ShotMode, shotRows } from "./shots.ts";
export { hubSplitOf, type SplitRows, splitRows } from "./splits.ts";
export { classification, digits } from "./template.ts";

/** Every dataset of the benchmark by name. */
export const catalogue: Readonly<Record<DatasetName, Dataset>> = {
  "glue/mnli": mnli,
  "glue/qqp": qqp,
  "glue/qnli": qnli,
  "glue/sst2": sst2,
  "glue/stsb": stsb,
  "glue/mrpc": mrpc,
  "glue/rte": rte,
  "glue/cola": cola,
  "superglue/multirc": multirc,
  "superglue/boolq": boolq,
  "superglue/wic": wic,
  "superglue/wsc": wsc,
  "superglue/cb": cb,
  "superglue/record": record,
  "mrqa/naturalquestions": naturalQuestions,
  "mrqa/hotpotqa": hotpotqa,
  "mrqa/searchqa": searchqa,
  "mrqa/newsqa": newsqa,
  squad,
  winogrande,
  "yelp-polarity": yelpPolarity,
  scitail,
  "paws-wiki": pawsWiki,
  "e2e-nlg": e2eNlg,
  webnlg,
};

/** The generated stand-ins, `mini/sst2` and so on, one for each entry of the catalogue. */
export const mini: ReadonlyMap<string, Dataset> = new Map(
  (Object.keys(GENERATORS) as DatasetName[]).map((name) => {
    const dataset = miniDataset(catalogue[name], GENERATORS[name]);
    return [dataset.name, dataset];
  }),
);

/** Datasets of the user's own, known to this process after `addDataset`. */
const own = new Map<string, Dataset>();

/**
 * Makes a dataset of one's own known by its name, to `loadDataset`, `train` and the reports of this process. The same
 * name may be added again (a notebook cell that runs twice); a name of the catalogue may not.
 * @throws DataError where the name is taken or would not be a plain name.
 */
export function addDataset(dataset: Dataset): Dataset {
  const { name } = dataset;
  if (!/^[\w-]+(\/[\w-]+)*$/.test(name))
    throw new DataError(`a dataset's name is made of letters, digits, "-", "_" and "/", not ${JSON.stringify(name)}`);
  if (Object.hasOwn(catalogue, name) || mini.has(name))
    throw new DataError(`the catalogue has a dataset "${name}" already; choose another name`);
  own.set(name, dataset);
  return dataset;
}

/** Every name that `findDataset` knows: the catalogue, the generated stand-ins, then one's own. */
export function datasetNames(): string[] {
  return [...Object.keys(catalogue), ...mini.keys(), ...own.keys()];
}

/** @throws DataError with the nearest names where there is no such dataset. */
export function findDataset(name: string): Dataset {
  const found = Object.hasOwn(catalogue, name) ? catalogue[name as DatasetName] : (mini.get(name) ?? own.get(name));
  if (found !== undefined) return found;
  const near = nearestNames(name, datasetNames());
  const hint = near.length > 0 ? `Did you mean ${near.map((each) => `"${each}"`).join(" or ")}? ` : "";
  throw new DataError(
    `there is no dataset "${name}". ${hint}Known: ${[...Object.keys(catalogue), ...own.keys()].join(", ")}; and mini/… for each of the catalogue. One of your own is made known by addDataset.`,
  );
}

/** The names of a group (`glue`, `sources`, …), or of its generated stand-ins (`mini/glue`). @throws DataError */
export function findGroup(name: string): readonly string[] {
  const isMini = name.startsWith("mini/");
  const group = isMini ? name.slice("mini/".length) : name;
  if (!Object.hasOwn(groups, group)) {
    throw new DataError(
      `there is no group "${name}"; groups are ${Object.keys(groups).join(", ")} (and mini/… of each)`,
    );
  }
  const names = groups[group as GroupName];
  return isMini ? names.map((each) => `mini/${each.slice(each.lastIndexOf("/") + 1)}`) : names;
}

/**
 * The generated table of one hub split of a stand-in (`sst2` and `mini/sst2` are both understood).
 * @throws DataError where there is no such stand-in or split.
 */
export function miniTable(name: string, hubSplit: string, options: GenerateOptions = {}): Table {
  const dataset = findDataset(name.startsWith("mini/") ? name : `mini/${name}`);
  if (dataset.generate === undefined) throw new DataError(`"${name}" is not a generated dataset`);
  return dataset.generate(hubSplit, options);
}

/** Up to three known names that a mistyped one may stand for: same last part first, then by edit distance. */
function nearestNames(name: string, known: readonly string[]): string[] {
  const wanted = name.toLowerCase();
  const last = (text: string): string => text.slice(text.lastIndexOf("/") + 1);
  const scored = known.map((candidate) => ({
    candidate,
    distance:
      last(candidate) === last(wanted) ? 0.5 : Math.min(edits(wanted, candidate), edits(wanted, last(candidate)) + 0.5),
  }));
  const limit = Math.max(1, Math.floor(wanted.length / 3)) + 0.5;
  return scored
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** Levenshtein distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
