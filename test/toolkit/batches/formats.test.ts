// Every file format that tables are read from: right values in the right Arrow types, and clear errors for wrong files.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bool, Field, Float64, Int32, Int64, List, type RecordBatch, Schema, Struct, Table, Utf8 } from "apache-arrow";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Dataset } from "#datasets/contract.ts";
import { findDataset } from "#datasets/index.ts";
import { mapArrow, writeArrow } from "#toolkit/batches/arrow-files.ts";
import { plain, recordBatch } from "#toolkit/batches/columns.ts";
import { readParquet } from "#toolkit/batches/parquet.ts";
import { glueLayouts, readCsv, readGlueTsv, readJsonLines } from "#toolkit/batches/text-files.ts";

const sst2 = findDataset("glue/sst2");
const squad = findDataset("squad");
const record = findDataset("superglue/record");
const fixture = (name: string): string => join(import.meta.dirname, "fixtures", `${name}.parquet`);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-formats-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function rowsOf(batches: AsyncIterable<RecordBatch> | Iterable<RecordBatch>): Promise<unknown[]> {
  const rows: unknown[] = [];
  for await (const batch of batches) for (const row of batch) rows.push(plain(row));
  return rows;
}

const texts = ["plain words", "naïve café ½", "日本語", "", "🙂 emoji"];
const flat = Array.from({ length: 40 }, (_, i) => ({ sentence: `${texts[i % 5]} ${i % 7}`, label: i % 2, idx: i }));

describe("parquet", () => {
  for (const kind of ["none", "snappy", "gzip", "zstd", "brotli", "lz4", "plain", "delta"])
    it(`is read with ${kind} pages`, async () => {
      expect(await rowsOf(readParquet(fixture(`flat-${kind}`), sst2.schema))).toEqual(flat);
    });

  it("keeps the declared Arrow types and the row groups", async () => {
    const batches: RecordBatch[] = [];
    for await (const batch of readParquet(fixture("flat-snappy"), sst2.schema)) batches.push(batch);
    expect(batches.map((batch) => batch.numRows)).toEqual([17, 17, 6]);
    expect(batches[0]!.schema.fields.map((field) => String(field.type))).toEqual(["Utf8", "Int64", "Int32"]);
  });

  it("keeps nested columns: SQuAD's answers", async () => {
    const rows = await rowsOf(readParquet(fixture("squad"), squad.schema));
    expect(rows).toHaveLength(40);
    expect(rows[0]).toMatchObject({ id: "q0", answers: { text: [], answer_start: [] } });
    expect(rows[31]).toMatchObject({
      question: "What is 31?",
      answers: { text: ["31", "32", "33"], answer_start: [14, 15, 16] },
    });
  });

  it("keeps nested columns: ReCoRD's entities", async () => {
    const rows = await rowsOf(readParquet(fixture("record"), record.schema));
    expect(rows[5]).toMatchObject({ entities: ["A5", "B5"], answers: [], idx: { passage: 5, query: 6 } });
    expect(rows[6]).toMatchObject({ entities: [], answers: ["A6"] });
  });

  it("keeps missing values as null", async () => {
    const rows = (await rowsOf(readParquet(fixture("nulls"), sst2.schema))) as { sentence: string | null }[];
    expect(rows.slice(2, 5).map(({ sentence }) => sentence)).toEqual(["s2", null, "s4"]);
  });

  const wrong: readonly [string, RegExp][] = [
    [
      "missing-column",
      /missing-column\.parquet, column "label": the column is missing\. Expected sentence, label, idx; the file has sentence, idx/,
    ],
    ["wrong-type", /wrong-type\.parquet, row 0 .*, column "label": expected Int64, but the value is "0"/],
    [
      "invalid-utf8",
      /invalid-utf8\.parquet, row 29 .*, column "sentence": the text is not valid UTF-8 \(begins 63 61 66 e9/,
    ],
  ];
  for (const [name, message] of wrong)
    it(`that is wrong is refused by file, row and column: ${name}`, async () => {
      await expect(rowsOf(readParquet(fixture(name), sst2.schema))).rejects.toThrow(message);
    });

  it("that is not there whole is refused", async () => {
    const whole = await readFile(fixture("flat-snappy"));
    const path = join(folder, "part.parquet");
    for (const bytes of [whole.subarray(0, 1000), whole.subarray(100), Buffer.from("<html>not found</html>")]) {
      await writeFile(path, bytes);
      await expect(rowsOf(readParquet(path, sst2.schema))).rejects.toThrow(/part\.parquet: not a whole parquet file/);
    }
    await writeFile(path, "");
    await expect(rowsOf(readParquet(path, sst2.schema))).rejects.toThrow(/part\.parquet: the file is empty/);
  });

  const datasetOf = (name: string): Dataset =>
    name === "squad" ? findDataset("squad") : name === "record" ? findDataset("superglue/record") : sst2;

  /** Parquet has no checksum everywhere: a damaged value may read as another. What is read, or an error by its name. */
  const readDamaged = async (name: string, bytes: Uint8Array): Promise<string | undefined> => {
    const path = join(folder, `damaged-${name}.parquet`);
    await writeFile(path, bytes);
    try {
      await rowsOf(readParquet(path, datasetOf(name).schema));
      return undefined;
    } catch (error) {
      expect((error as Error).name).toBe("DataError");
      expect((error as Error).message).toContain(`damaged-${name}.parquet`);
      return (error as Error).message;
    }
  };

  const kinds = ["none", "snappy", "gzip", "zstd", "brotli", "lz4", "plain", "delta"];
  it("that is damaged ends in an error that names the file, never in a crash or a loop", async () => {
    const names = [...kinds.map((kind) => `flat-${kind}`), "nulls", "squad", "record"];
    const whole = new Map(await Promise.all(names.map(async (name) => [name, await readFile(fixture(name))] as const)));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.integer({ min: 1, max: 255 }),
        async (name, share, flip) => {
          const bytes = Buffer.from(whole.get(name)!);
          bytes[4 + Math.floor(share * (bytes.length - 8))]! ^= flip;
          await readDamaged(name, bytes);
        },
      ),
      { numRuns: 400 },
    );
  });

  // Each of these once took the reader a minute or all memory, or would have; the places come from a search over every byte.
  const damages: readonly [string, string, number, number, RegExp][] = [
    ["a Zstandard stream", "flat-zstd", 371, 1, /"idx": row group 0 .* cannot be read: Data corruption/],
    [
      "a schema's count of children",
      "squad",
      3262,
      1,
      /element 5 of the schema's 12 claims -3 children\. The file is damaged/,
    ],
    [
      "another schema's count",
      "record",
      1906,
      1,
      /element 3 of the schema's 22 claims -2 children\. The file is damaged/,
    ],
  ];
  for (const [what, name, at, flip, message] of damages)
    it(`that is damaged is refused, not followed: ${what}`, async () => {
      const bytes = Buffer.from(await readFile(fixture(name)));
      bytes[at]! ^= flip;
      expect(await readDamaged(name, bytes)).toMatch(message);
    });

  it("that promises more than it holds is refused before it is read", async () => {
    const whole = await readFile(fixture("flat-none"));
    const seen = new Set<string>();
    for (let at = 4; at < whole.length - 8; at++) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x10;
      const message = await readDamaged("flat-none", bytes);
      const claim = /claims (?:to be )?-?\d+ (values|bytes|children)|more values than/.exec(message ?? "");
      if (claim) seen.add(claim[1] ?? "sum");
    }
    expect([...seen].sort()).toEqual(["bytes", "children", "sum", "values"]);
  });

  it("with a run longer than its page's values reads no further than them", async () => {
    const bytes = Buffer.from(await readFile(fixture("nulls")));
    const rows = await rowsOf(readParquet(fixture("nulls"), sst2.schema));
    // The first data page's definition levels: their length, 4 bytes, then runs. A run of 2^30 present values.
    const run = [0xfe, 0xff, 0xff, 0xff, 0x07, 0x01];
    let changed = 0;
    for (let at = 4; at < 1000; at++) {
      if (bytes.readUInt32LE(at) !== 2 || bytes[at + 4] !== 20 || bytes[at + 5] !== 1) continue;
      const damaged = Buffer.from(bytes);
      damaged.set(run, at + 4);
      await readDamaged("nulls", damaged);
      changed++;
    }
    expect(changed).toBeGreaterThan(0);
    expect(rows).toHaveLength(40);
  });
});

describe("text files", () => {
  const write = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  };

  it("JSON Lines: one object a line, row numbers where there is no idx", async () => {
    const path = await write(
      "a.jsonl",
      '{"sentence": "one", "label": 1}\n\n{"label": 0, "sentence": "two", "more": []}\n',
    );
    expect(await rowsOf(readJsonLines(path, sst2))).toEqual([
      { sentence: "one", label: 1, idx: 0 },
      { sentence: "two", label: 0, idx: 1 },
    ]);
  });

  it("CSV and TSV: quotes, commas and line ends inside cells, labels by name", async () => {
    const csv = await write("a.csv", '\ufeffsentence,label,idx\r\n"a, ""b""\nc",positive,7\r\nd,0,8\r\n');
    expect(await rowsOf(readCsv(csv, sst2, ","))).toEqual([
      { sentence: 'a, "b"\nc', label: 1, idx: 7 },
      { sentence: "d", label: 0, idx: 8 },
    ]);
    const tsv = await write("a.tsv", "sentence\tlabel\none\t1\n");
    expect(await rowsOf(readCsv(tsv, sst2, "\t"))).toEqual([{ sentence: "one", label: 1, idx: 0 }]);
  });

  it("GLUE's own TSV: no quoting, its own column names, CoLA without a header", async () => {
    const read = async (name: string, content: string): Promise<unknown[]> =>
      rowsOf(readGlueTsv(await write(`${name}.tsv`, content), findDataset(`glue/${name}`), glueLayouts[name]!));
    expect(await read("cola", 'gj04\t1\t\tThe "sailors rode.\ngj04\t0\t*\tThey drank.\n')).toEqual([
      { sentence: 'The "sailors rode.', label: 1, idx: 0 },
      { sentence: "They drank.", label: 0, idx: 1 },
    ]);
    expect(await read("rte", "index\tsentence1\tsentence2\tlabel\n5\ta\tb\tnot_entailment\n")).toEqual([
      { sentence1: "a", sentence2: "b", label: 1, idx: 5 },
    ]);
    expect(await read("mrpc", "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t70\t71\ta\tb\n")).toEqual([
      { sentence1: "a", sentence2: "b", label: 1, idx: 0 },
    ]);
    expect(await read("stsb", "index\tgenre\tsentence1\tsentence2\tscore\n3\tx\ta\tb\t2.5\n")).toEqual([
      { sentence1: "a", sentence2: "b", label: 2.5, idx: 3 },
    ]);
    expect(await read("mnli", "index\tsentence1\tsentence2\tgold_label\n0\tp\th\tcontradiction\n")).toEqual([
      { premise: "p", hypothesis: "h", label: 2, idx: 0 },
    ]);
    expect(await read("qqp", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n9\t1\t2\tq\tr\t0\n")).toEqual([
      { question1: "q", question2: "r", label: 0, idx: 9 },
    ]);
  });

  it("that are wrong are refused by file and line or row", async () => {
    const lines = await write("bad.jsonl", '{"sentence": "a", "label": 1}\n{"sentence": \n');
    await expect(rowsOf(readJsonLines(lines, sst2))).rejects.toThrow(/bad\.jsonl: line 2 is not JSON/);
    const list = await write("list.jsonl", "[1]\n");
    await expect(rowsOf(readJsonLines(list, sst2))).rejects.toThrow(/line 1 is not a JSON object/);
    const column = await write("column.jsonl", '{"text": "a", "label": 1}\n');
    await expect(rowsOf(readJsonLines(column, sst2))).rejects.toThrow(
      /column "sentence": the column is missing.*the file has text, label/,
    );
    const value = await write("value.csv", "sentence,label\na,1\nb,maybe\n");
    await expect(rowsOf(readCsv(value, sst2, ","))).rejects.toThrow(
      /value\.csv, row 1 .*column "label": expected Int64, but the value is "maybe"/,
    );
    const cells = await write("cells.csv", "sentence,label\na,1\nb\n");
    await expect(rowsOf(readCsv(cells, sst2, ","))).rejects.toThrow(/cells\.csv, row 1/);
    const bytes = await write(
      "bytes.jsonl",
      Buffer.concat([
        Buffer.from('{"sentence":"a","label":1}\n{"sentence":"'),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('","label":1}'),
      ]),
    );
    await expect(rowsOf(readJsonLines(bytes, sst2))).rejects.toThrow(/bytes\.jsonl: line 2 is not valid UTF-8/);
    const short = await write("short.tsv", "index\tsentence1\tsentence2\tlabel\n5\ta\n");
    await expect(rowsOf(readGlueTsv(short, findDataset("glue/rte"), glueLayouts.rte!))).rejects.toThrow(
      /short\.tsv, row 0 .*2 cells, expected 4/,
    );
  });
});

describe("Arrow files", () => {
  const schema = new Schema([
    new Field("text", new Utf8(), true),
    new Field("big", new Int64(), true),
    new Field("real", new Float64(), true),
    new Field("yes", new Bool(), true),
    new Field("items", new List(new Field("item", new Struct([new Field("n", new Int32(), true)]), true)), true),
  ]);
  const row = fc.record({
    text: fc.option(fc.string({ unit: "grapheme" })),
    big: fc.option(fc.maxSafeInteger()),
    real: fc.option(fc.double({ noNaN: true })),
    yes: fc.option(fc.boolean()),
    items: fc.option(fc.array(fc.record({ n: fc.option(fc.integer()) }), { maxLength: 3 })),
  });

  it("give back what was written, whatever it is and however it was cut into batches", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(row, { minLength: 1, maxLength: 6 }), { maxLength: 4 }), async (parts) => {
        const batches = parts.map((rows) =>
          recordBatch(
            schema,
            schema.fields.map(({ name }) => rows.map((each) => each[name as keyof typeof each])),
            "memory",
            0,
          ),
        );
        const path = join(folder, `roundtrip-${run++}.arrow`);
        expect(await writeArrow(path, schema, batches)).toBe(parts.flat().length);
        const table = mapArrow(path);
        expect(table.schema.names).toEqual(schema.names);
        expect([...table].map(plain)).toEqual(parts.flat());
      }),
      { numRuns: 50 },
    );
  });

  it("are whole or absent: a failing writer leaves nothing", async () => {
    const path = join(folder, "failing.arrow");
    const failing = function* (): Generator<RecordBatch> {
      yield recordBatch(sst2.schema, [["a"], [1], [0]], "memory", 0);
      throw new Error("no more");
    };
    await expect(writeArrow(path, sst2.schema, failing())).rejects.toThrow("no more");
    expect(await Bun.file(path).exists()).toBe(false);
    expect([...new Bun.Glob("failing*").scanSync(folder)]).toEqual([]);
  });

  it("that are none are refused by name", async () => {
    const path = join(folder, "none.arrow");
    await writeFile(path, "not arrow at all, but long enough to be read as something");
    expect(() => mapArrow(path)).toThrow(/none\.arrow: not a readable Arrow IPC file/);
    await writeFile(path, "");
    expect(() => mapArrow(path)).toThrow(/none\.arrow: the file is empty/);
  });

  it("name the value that does not fit", () => {
    const dataset: Pick<Dataset, "schema"> = { schema: new Schema([new Field("n", new Int32(), false)]) };
    const put = (value: unknown) => (): Table =>
      new Table([recordBatch(dataset.schema, [[0, value]], "f.csv", 10, true)]);
    expect(put(2 ** 31)).toThrow(/f\.csv, row 11 .*column "n": 2147483648 does not fit into Int32/);
    expect(put(null)).toThrow(/expected Int32, but there is no value/);
    expect(put(1.5)).toThrow(/expected Int32, but the value is 1.5/);
    expect(put({})).toThrow(/but the value is an object/);
  });
});
