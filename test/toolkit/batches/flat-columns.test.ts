// Flat columns built and gathered without a value per cell hold what the cell-by-cell way holds, and refuse what it refuses.
import { Field, Float32, Int32, Int64, type RecordBatch, Schema, Table, Utf8 } from "apache-arrow";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { catalogue } from "#datasets/index.ts";
import { recordBatch } from "#toolkit/batches/columns.ts";
import { gathered } from "#toolkit/batches/flat-columns.ts";

const schema = new Schema([
  new Field("text", new Utf8(), true),
  new Field("big", new Int64(), true),
  new Field("small", new Int32(), true),
  new Field("real", new Float32(), true),
]);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const row = fc.record({
  text: fc.option(fc.string({ unit: "grapheme", maxLength: 12 }).map((text) => text.toWellFormed())),
  big: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  small: fc.option(fc.integer()),
  real: fc.option(fc.float({ noNaN: true })),
});
type Row = Record<"text" | "big" | "small" | "real", unknown>;
const columnsOf = (rows: readonly Row[], text: (value: string) => unknown): unknown[][] =>
  schema.names.map((name) =>
    rows.map((each) => {
      const value = each[name as keyof Row];
      return typeof value === "string" ? text(value) : value;
    }),
  );
const valuesOf = (table: Table): Row[] => table.toArray().map((each) => ({ ...(each as { toJSON(): Row }).toJSON() }));

describe("flat columns", () => {
  it("hold the same from bytes as from strings, nulls included", () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), (rows) => {
        const fast = recordBatch(schema, columnsOf(rows, bytes), "fast", 0);
        const plain = recordBatch(
          schema,
          columnsOf(rows, (text) => text),
          "plain",
          0,
        );
        expect(valuesOf(new Table([fast]))).toEqual(valuesOf(new Table([plain])));
        expect(valuesOf(new Table([fast]))).toEqual(rows.map((each) => ({ ...each })));
      }),
    );
  });

  it("gather rows of any batches in any order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(row, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        (parts, picks) => {
          const batches: RecordBatch[] = parts.map((rows) => recordBatch(schema, columnsOf(rows, bytes), "part", 0));
          const table = new Table(batches);
          const indices = Uint32Array.from(picks, (pick) => pick % table.numRows);
          const columns = schema.names.map((name) => gathered(table.getChild(name as string)!, indices)!);
          const taken = new Table([recordBatch(schema, columns, "taken", 0)]);
          const all = parts.flat();
          expect(valuesOf(taken)).toEqual(Array.from(indices, (index) => ({ ...all[index]! })));
        },
      ),
    );
  });

  it("refuse a text that only its neighbour makes whole, and numbers out of range, by row", () => {
    const one = (name: string): Schema => new Schema(schema.fields.filter((field) => field.name === name));
    const refused = (name: string, values: unknown[]): (() => unknown) => {
      return () => recordBatch(one(name), [values], "file", 100);
    };
    expect(refused("text", [bytes("a"), Uint8Array.of(0xc3), Uint8Array.of(0xa9)])).toThrow(
      /file, row 101 .*column "text": the text is not valid UTF-8 \(begins c3\)/,
    );
    expect(refused("text", [bytes("é"), Uint8Array.of(0xff, 0x61)])).toThrow(/row 101 .*begins ff 61/);
    expect(refused("big", [1n, 2n ** 63n])).toThrow(/row 101 .*9223372036854775808 does not fit into Int64/);
    expect(refused("small", [1, 2 ** 31])).toThrow(/row 101 .*does not fit into Int32/);
    expect(refused("small", [1, 0.5])).toThrow(/row 101 .*expected Int32, but the value is 0.5/);
  });
});

describe("columns that decide whether a row can be rendered", () => {
  it("do so alone: any text in the others, and the label in its range", () => {
    const some = Object.values(catalogue).filter(({ decidedBy }) => decidedBy !== undefined);
    expect(some.length).toBeGreaterThan(10);
    for (const dataset of some) {
      const rowOf = (label: number, text: string): Record<string, unknown> =>
        Object.fromEntries(
          dataset.schema.fields.map(({ name, type }) => [
            name,
            name === "label" ? label : type instanceof Utf8 ? text : 0,
          ]),
        );
      const options = { prefix: true, variant: "fixed", split: "train" } as const;
      const last = dataset.reported === "pearson" ? 5 : dataset.labels!.length - 1;
      fc.assert(
        fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 0, max: last }), (text, label) => {
          expect(dataset.render(rowOf(label, text), options)).toHaveLength(1);
          for (const wrong of [-1, last + 1])
            expect(() => dataset.render(rowOf(wrong, text), options)).toThrow(/label/);
        }),
        { numRuns: 5 },
      );
    }
  });
});
