// The table of datasets: complete, consistent, and found by name.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  catalogue,
  type Dataset,
  type DatasetName,
  datasetNames,
  findDataset,
  findGroup,
  groups,
  hubSplitOf,
  mini,
  type Split,
} from "#datasets/index.ts";
import { int64, schemaOf, utf8 } from "#datasets/schema.ts";
import { classification } from "#datasets/template.ts";

const SPLITS: readonly Split[] = ["train", "validation", "test"];
const entries = Object.entries(catalogue) as [DatasetName, Dataset][];

describe("the catalogue", () => {
  it("has 25 entries: the 23 the paper counts, and two that are sources alone", () => {
    expect(entries.length).toBe(25);
    expect(groups.targets.length).toBe(23);
    expect(groups.sources).toEqual(["glue/mnli", "glue/qnli", "glue/qqp", "glue/sst2", "squad", "superglue/record"]);
    expect(groups.sources.filter((name) => !groups.targets.includes(name))).toEqual(["squad", "superglue/record"]);
    const union = [groups.glue, groups.superglue, groups.mrqa, groups.others, groups.nlg].flat();
    expect(new Set(union)).toEqual(new Set(Object.keys(catalogue)));
    expect(union.length).toBe(25);
  });

  it("names and task keys are unique, and so are the names of the generated stand-ins", () => {
    expect(new Set(entries.map(([, dataset]) => dataset.task)).size).toBe(25);
    expect(mini.size).toBe(25);
    expect(new Set(datasetNames()).size).toBe(50);
  });

  it.each(entries)("%s is filled in without contradiction", (name, dataset) => {
    expect(dataset.name).toBe(name);
    for (const text of [dataset.title, dataset.licence, dataset.citation, dataset.source.repo])
      expect(text).not.toBe("");
    expect(dataset.homepage).toMatch(/^https:\/\//);
    expect(dataset.metrics).toContain(dataset.reported);
    // Every split comes from a file that is listed, and each file is of use.
    const needed = new Set(SPLITS.map((split) => hubSplitOf(dataset.splitRule, split)));
    expect(new Set(Object.keys(dataset.source.files))).toEqual(needed);
    for (const path of Object.values(dataset.source.files)) expect(path).toMatch(/^[\w./-]+\.parquet$/);
    expect(dataset.generate).toBeUndefined();
    if (dataset.labelNames !== undefined) expect(dataset.labelNames.length).toBe(dataset.labels?.length);
    for (const split of SPLITS) expect(dataset.rows[split]?.rows, split).toBeGreaterThan(0);
    if (dataset.variants !== undefined) expect(dataset.variants.faithful).not.toBe(dataset.variants.fixed);
  });

  it("every citation key is in references.bib, and every entry there is used", () => {
    const bib = readFileSync(join(import.meta.dirname, "../../datasets/references.bib"), "utf8");
    const keys = [...bib.matchAll(/^@\w+\{([^,]+),/gm)].map((match) => match[1]);
    expect(new Set(keys)).toEqual(new Set(entries.map(([, dataset]) => dataset.citation)));
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("lengths and metrics are the published ones", () => {
    expect(catalogue["superglue/multirc"].maxInputLength).toBe(348);
    for (const name of groups.mrqa) expect(catalogue[name].maxInputLength).toBe(512);
    for (const name of groups.glue) expect(catalogue[name].maxInputLength).toBe(256);
    const reported = Object.fromEntries(entries.map(([name, dataset]) => [name, dataset.reported]));
    expect(reported).toMatchObject({
      "glue/stsb": "pearson",
      "glue/cola": "matthews",
      "glue/mrpc": "accuracy",
      "glue/qqp": "accuracy",
      "superglue/multirc": "f1a",
      "superglue/cb": "accuracy",
      "mrqa/newsqa": "squadF1",
      squad: "squadF1",
      "superglue/record": "squadF1",
      "paws-wiki": "accuracy",
    });
    expect(catalogue["superglue/cb"].metrics).toEqual(["macroF1", "accuracy"]);
  });

  it("label digits mean what the hub's integers mean", () => {
    const meanings = Object.fromEntries(
      entries.flatMap(([name, dataset]) =>
        dataset.labelNames === undefined ? [] : [[name, dataset.labelNames.join(" ")]],
      ),
    );
    expect(meanings).toEqual({
      "glue/mnli": "entailment neutral contradiction",
      "glue/qqp": "not_duplicate duplicate",
      "glue/qnli": "entailment not_entailment",
      "glue/sst2": "negative positive",
      "glue/mrpc": "not_equivalent equivalent",
      "glue/rte": "entailment not_entailment",
      "glue/cola": "unacceptable acceptable",
      "superglue/multirc": "false true",
      "superglue/boolq": "false true",
      "superglue/wic": "different same",
      "superglue/wsc": "different same",
      "superglue/cb": "entailment contradiction neutral",
      winogrande: "first option second option",
      "yelp-polarity": "negative positive",
      scitail: "entailment neutral",
      "paws-wiki": "different paraphrase",
    });
  });

  it("says what both variants do exactly where public code disagrees", () => {
    const differing = entries.filter(([, dataset]) => dataset.variants !== undefined).map(([name]) => name);
    expect(new Set(differing)).toEqual(
      new Set(["glue/stsb", "superglue/wsc", "superglue/record", "winogrande", "scitail", ...groups.mrqa]),
    );
  });
});

describe("finding a dataset", () => {
  it("knows every name", () => {
    for (const name of datasetNames()) expect(findDataset(name).name).toBe(name);
  });

  it.each([
    ["rte", "glue/rte"],
    ["glue/sst-2", "glue/sst2"],
    ["superglue/bolq", "superglue/boolq"],
    ["newsqa", "mrqa/newsqa"],
    ["mini/sst-2", "mini/sst2"],
    ["Squad", "squad"],
    ["wino-grande", "winogrande"],
    ["glue/stsb ", "glue/stsb"],
  ])("%s: did you mean %s?", (wrong, right) => {
    expect(() => findDataset(wrong)).toThrow(`Did you mean "${right}"`);
  });

  it("does not guess at what is like nothing, nor take an object's own names for datasets", () => {
    for (const name of ["imagenet", "", "toString", "__proto__", "constructor"]) {
      expect(() => findDataset(name)).toThrow(/there is no dataset/);
    }
    expect(() => findDataset("imagenet")).not.toThrow(/Did you mean/);
    expect(() => findDataset("imagenet")).toThrow(/Known: glue\/mnli, .*webnlg; and mini\/… for each/);
  });

  it("finds groups, and the stand-ins of a group", () => {
    expect(findGroup("others")).toEqual(["winogrande", "yelp-polarity", "scitail", "paws-wiki"]);
    expect(findGroup("mini/sources")).toEqual([
      "mini/mnli",
      "mini/qnli",
      "mini/qqp",
      "mini/sst2",
      "mini/squad",
      "mini/record",
    ]);
    for (const name of Object.keys(groups)) for (const each of findGroup(`mini/${name}`)) findDataset(each);
    expect(() => findGroup("glu")).toThrow(/there is no group "glu"; groups are glue, superglue/);
  });
});

it("a dataset of one's own is one object, rendered like any other", () => {
  const tickets: Dataset = {
    ...findDataset("glue/sst2"),
    name: "tickets",
    task: "tickets",
    schema: schemaOf({ text: utf8, label: int64 }),
    render: classification({ name: "tickets", task: "tickets", fields: [["text:", "text"]], labels: 2 }),
  };
  const options = { prefix: true, variant: "fixed", split: "train" } as const;
  expect(tickets.render({ text: "It burns!", label: 1 }, options)).toEqual([
    { input: "tickets text: It burns!", target: "1" },
  ]);
  expect(() => tickets.render({ text: "It burns!", label: 3 }, options)).toThrow(/tickets: column "label"/);
});
