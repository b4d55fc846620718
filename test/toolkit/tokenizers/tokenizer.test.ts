// The tokenizer wrapper against the reference ids, and the caches against the library itself.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer, TokenizerError } from "#toolkit/tokenizers/index.ts";
import { hasShared, shared } from "../shared-data.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bunsen-tokenizer-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Golden {
  readonly text: string;
  readonly ids: readonly number[];
  readonly decoded: string;
}

describe.skipIf(!hasShared)("with the real T5 tokenizer", () => {
  let t5: Tokenizer;
  let library: HubTokenizer;
  let golden: Record<string, readonly Golden[]>;
  beforeAll(async () => {
    t5 = await loadTokenizer(shared("tokenizers/t5.tokenizer.json"));
    library = new HubTokenizer(await Bun.file(shared("tokenizers/t5.tokenizer.json")).json(), {});
    golden = await Bun.file(shared("golden/tokenizers.json")).json();
  });

  it("gives the reference's ids and texts for T5 and for the tiny T5", async () => {
    const tiny = await loadTokenizer(shared("golden/t5-tiny"));
    for (const [tokenizer, name] of [
      [t5, "t5"],
      [tiny, "t5-tiny"],
    ] as const) {
      expect(golden[name]!.length).toBeGreaterThan(10);
      for (const { text, ids, decoded } of golden[name]!) {
        expect([...tokenizer.encode(text)], text).toEqual([...ids]);
        expect(tokenizer.decode(ids), text).toBe(decoded);
      }
    }
  });

  it("knows the vocabulary: 32,100 entries, pad 0, end 1, unknown 2", () => {
    expect([t5.vocabularySize, t5.padId, t5.endId, t5.unknownId]).toEqual([32100, 0, 1, 2]);
    expect(t5.tokenToId("<extra_id_0>")).toBe(32099);
  });

  it("cuts long texts before the end token", () => {
    const full = t5.encode("one two three four five");
    const cut = t5.encode("one two three four five", { maxLength: 4 });
    expect([...cut]).toEqual([...full.slice(0, 3), 1]);
    expect([...t5.encode("one two", { maxLength: 1 })]).toEqual([1]);
    expect(t5.encodeBatch(["one two three", "one"], { maxLength: 3 }).truncated).toBe(1);
    expect(() => t5.encode("one", { maxLength: 0 })).toThrow(/maxLength must be a whole number of at least 1, not 0/);
  });

  it("packs a batch as flat ids and offsets equal to single texts", () => {
    const texts = ["", "a b", "mnli premise: x hypothesis: y"];
    const { tokens, offsets } = t5.encodeBatch(texts);
    texts.forEach((text, i) => {
      expect([...tokens.subarray(offsets[i], offsets[i + 1])]).toEqual([...t5.encode(text)]);
    });
  });

  it("gives the library's own ids, cached or not, on real sentences", async () => {
    const file = await Bun.file(
      shared("hub/datasets/nyu-mll/glue/rte/validation-00000-of-00001.parquet"),
    ).arrayBuffer();
    const rows = (await parquetReadObjects({ file })) as { sentence1: string; sentence2: string }[];
    expect(rows).toHaveLength(277);
    for (const pass of [1, 2])
      for (const { sentence1, sentence2 } of rows) {
        const text = `rte sentence1: ${sentence1} sentence2: ${sentence2}`;
        expect([...t5.encode(text)], `pass ${pass}: ${text}`).toEqual(library.encode(text).ids);
      }
  });

  it("gives the library's own ids on any text", () => {
    const text = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 40 }),
      fc.string({ unit: "grapheme-ascii", maxLength: 60 }),
      fc
        .array(
          fc.constantFrom("the", "<extra_id_1>", "</s>", " ", "  ", "~`", "\u2581", "}{", "½", "\t", "\u00a0", "日本"),
        )
        .map((words) => words.join(" ")),
    );
    fc.assert(
      fc.property(text, (value) => {
        expect([...t5.encode(value)]).toEqual(library.encode(value).ids);
      }),
      { numRuns: 300 },
    );
  });

  it("takes a lone surrogate as U+FFFD instead of failing", () => {
    expect([...t5.encode("a \ud800 b")]).toEqual([...t5.encode("a \ufffd b")]);
  });

  it("decodes to the text that was encoded, spaces before punctuation and all", () => {
    for (const text of ["it 's a charming , often affecting journey .", "what ? do n't", "3.0", "( 1994 - 2001 )"])
      expect(t5.decode(t5.encode(text))).toBe(text);
  });

  it("names an id outside the vocabulary", () => {
    expect(() => t5.decode([5, 40000])).toThrow(/Token id 40000 at position 1 is outside the vocabulary of 32100/);
    expect(t5.decode([])).toBe("");
    expect(t5.decode([0, 1, 0])).toBe("");
  });
});

describe("a tokenizer file that is none", () => {
  it("is named together with what was expected", async () => {
    await expect(loadTokenizer(join(folder, "absent"))).rejects.toThrow(/No tokenizer at .*absent: expected a folder/);
    await expect(loadTokenizer(folder)).rejects.toThrow(/holds no tokenizer\.json/);
    const path = resolve(folder, "broken.json");
    await Bun.write(path, "{");
    await expect(loadTokenizer(path)).rejects.toThrow(TokenizerError);
    await expect(loadTokenizer(path)).rejects.toThrow(/broken\.json is not JSON/);
    await Bun.write(path, '{"pad_token": "<pad>"}');
    await expect(loadTokenizer(path)).rejects.toThrow(/JSON without a "model"/);
    await Bun.write(path, '{"model": {"type": "Nonsense"}}');
    await expect(loadTokenizer(path)).rejects.toThrow(/not a tokenizer that can be read here/);
  });
});
