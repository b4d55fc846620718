#!/usr/bin/env bun
// The data layer against Python: `bun test/conformance/data.ts`. The cache is shared with huggingface_hub in both
// directions, parquet rows equal pyarrow's, token ids and decoded texts equal tokenizers'. Builds its own virtual
// environment (or takes $BUNSEN_PYTHON); a missing library or missing real data is a failure. Not in the quick suite.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findDataset } from "#datasets/index.ts";
import { draw } from "#datasets/random.ts";
import { plain } from "#toolkit/batches/columns.ts";
import { hubFiles, loadDataset, readEnvironment } from "#toolkit/batches/index.ts";
import { readParquet } from "#toolkit/batches/parquet.ts";
import { loadTokenizer } from "#toolkit/tokenizers/index.ts";
import { dataPython, runBeside } from "../bench/data-python.ts";
import { defaultCommit, startHub } from "../toolkit/batches/hub-server.ts";
import { hasShared, shared } from "../toolkit/shared-data.ts";

const script = join(import.meta.dirname, "data.py");
const fixtures = join(import.meta.dirname, "../toolkit/batches/fixtures");
const repo = "nyu-mll/glue";

let checks = 0;
function equal(what: string, found: unknown, expected: unknown): void {
  checks++;
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a === b) return;
  let at = 0;
  while (a?.[at] === b?.[at]) at++;
  throw new Error(
    `${what}: found …${a?.slice(Math.max(0, at - 40), at + 80)}, expected …${b?.slice(Math.max(0, at - 40), at + 80)}`,
  );
}

async function sharedCache(python: string, folder: string): Promise<void> {
  const hub = startHub({ kind: "headers", folder: shared("hub") });
  try {
    const variables = {
      HF_HOME: join(folder, "hf"),
      HF_ENDPOINT: hub.url,
      BUNSEN_CACHE: join(folder, "bunsen"),
      BUNSEN_LOCK: join(folder, "lock.json"),
    };
    const environment = readEnvironment(variables);
    // Ours, found by Python, without a network.
    const mine = "rte/train-00000-of-00001.parquet";
    const [file] = await hubFiles(repo, [mine], { environment });
    const found = JSON.parse(
      await runBeside(python, [script, "find", repo, mine], { ...variables, HF_HUB_OFFLINE: "1" }),
    );
    equal("Python finds what Bunsen downloaded", found, {
      path: file!.path,
      sha256: file!.sha256,
      warnings: [],
      repos: { [repo]: { [defaultCommit]: ["main"] } },
    });
    // Python's, found by ours; the server is asked for no content again.
    const theirs = "cola/train-00000-of-00001.parquet";
    const { path } = JSON.parse(await runBeside(python, [script, "download", repo, theirs], variables));
    const fetched = (): number =>
      hub.requests.filter((request) => request.startsWith(`GET /datasets/${repo}/resolve/`)).length;
    const before = fetched();
    const [again] = await hubFiles(repo, [theirs], { environment });
    equal("Bunsen finds what Python downloaded", [again!.path, again!.downloaded, fetched()], [path, false, before]);
    const [offline] = await hubFiles(repo, [theirs], {
      environment: { ...environment, offline: true, lockFile: join(folder, "none.json") },
    });
    equal("and offline too", offline!.path, path);
    equal("the table from it", (await loadDataset("glue/cola", { environment })).numRows, 8551);
    // And the two side by side in one cache.
    const all = JSON.parse(
      await runBeside(python, [script, "find", repo, theirs], { ...variables, HF_HUB_OFFLINE: "1" }),
    );
    equal("one cache, no warnings", [all.warnings, Object.keys(all.repos)], [[], [repo]]);
  } finally {
    await hub.stop();
  }
}

async function sameRows(python: string): Promise<void> {
  const files: [string, string][] = [
    ...["cola", "rte", "sst2", "stsb", "mrpc"].flatMap((config) =>
      ["train", "validation"].map((split): [string, string] => [
        `glue/${config}`,
        shared(`hub/datasets/${repo}/${config}/${split}-00000-of-00001.parquet`),
      ]),
    ),
    ["glue/qnli", shared(`hub/datasets/${repo}/qnli/validation-00000-of-00001.parquet`)],
    ...["none", "snappy", "gzip", "zstd", "brotli", "lz4", "plain", "delta"].map((kind): [string, string] => [
      "glue/sst2",
      join(fixtures, `flat-${kind}.parquet`),
    ]),
    ["glue/sst2", join(fixtures, "nulls.parquet")],
    ["squad", join(fixtures, "squad.parquet")],
    ["superglue/record", join(fixtures, "record.parquet")],
  ];
  const lines = (await runBeside(python, [script, "rows", ...files.map(([, path]) => path)])).trim().split("\n");
  for (const [i, [name, path]] of files.entries()) {
    const rows: unknown[] = [];
    for await (const batch of readParquet(path, findDataset(name).schema))
      for (const row of batch) rows.push(plain(row));
    equal(`rows of ${path}`, rows, JSON.parse(lines[i]!));
  }
}

async function sameIds(python: string, folder: string): Promise<void> {
  const environment = readEnvironment({
    HF_HOME: join(folder, "hf2"),
    BUNSEN_CACHE: join(folder, "bunsen2"),
    BUNSEN_LOCK: join(folder, "lock2.json"),
  });
  const texts: string[] = [];
  for (const [name, split] of [
    ["glue/rte", "train"],
    ["glue/cola", "train"],
    ["glue/mrpc", "train"],
    ["glue/sst2", "test"],
    ["glue/qnli", "test"],
  ] as const)
    for (const { input } of (await loadDataset(name, { split, from: shared("hub"), environment })).render())
      texts.push(input);
  const random = draw(7, "texts");
  // Left out, because known to differ: a combining mark after a ligature, a fraction or a space. The reference drops such
  // a mark, the library keeps it as unknown; neither is SentencePiece.
  const pieces = [
    "the",
    " ",
    "  ",
    "\t",
    "ﬁ",
    "½",
    "é",
    "日本",
    "🙂",
    "<extra_id_3>",
    "</s>",
    "‘",
    "\u00a0",
    "\u200b",
    "ZZ",
    "1.5",
    "~",
    "—",
    "ё",
    "ß",
    "e\u0301",
    "x".repeat(70),
  ];
  for (let i = 0; i < 3000; i++)
    texts.push(
      Array.from({ length: 1 + random.below(12) }, () => random.pick(pieces)).join(random.chance(0.5) ? " " : ""),
    );
  const list = join(folder, "texts.json");
  await writeFile(list, JSON.stringify(texts));
  const limit = 64;
  for (const path of [
    shared("tokenizers/t5.tokenizer.json"),
    shared("golden/t5-tiny/tokenizer.json"),
    join(import.meta.dirname, "../../datasets/mini/backbone/tokenizer.json"),
  ]) {
    const expected = JSON.parse(await runBeside(python, [script, "ids", path, list, String(limit)])) as {
      ids: number[][];
      texts: string[];
    };
    const tokenizer = await loadTokenizer(path);
    let different = 0;
    for (const [i, text] of texts.entries()) {
      const ids = [...tokenizer.encode(text, { maxLength: limit })];
      if (JSON.stringify(ids) !== JSON.stringify(expected.ids[i])) {
        different++;
        console.log(`  ids differ for ${JSON.stringify(text)}:\n    ${ids}\n    ${expected.ids[i]}`);
      } else equal(`decoded ${JSON.stringify(text)}`, tokenizer.decode(ids), expected.texts[i]);
    }
    equal(`texts with other ids under ${path}`, different, 0);
  }
  console.log(`  ${texts.length} texts`);
}

if (!hasShared) throw new Error("This needs the real data: set BUNSEN_SHARED to the shared data folder.");
const folder = await mkdtemp(join(tmpdir(), "bunsen-conformance-"));
try {
  const python = dataPython();
  for (const [what, check] of [
    ["the Hugging Face cache", sharedCache],
    ["parquet rows", sameRows],
    ["token ids", sameIds],
  ] as const) {
    await check(python, folder);
    console.log(`${what}: equal`);
  }
  console.log(`${checks} comparisons, all equal`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
