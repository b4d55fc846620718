// A loaded split: an Arrow table that knows its dataset, so that it renders itself to text. Made by load-dataset.ts.
import { type RecordBatch, type Schema, Table, type Vector } from "apache-arrow";
import type { Dataset, Example, Row, Split, Variant } from "#datasets/contract.ts";
import { plain } from "./columns.ts";
import { DataError, type DataWarning, dataError } from "./errors.ts";
import { digest, taken } from "./rows.ts";

export interface TableOrigin {
  readonly dataset: Dataset;
  readonly split: Split;
  readonly variant: Variant;
  readonly prefix: boolean;
  /** Names the content: file hash, split rule, shots and seed. */
  readonly fingerprint: string;
  /** The hub's commit; null for mirrors, local files and generated rows. */
  readonly revision: string | null;
  /** The file on disk that the rows came from; "generated" where there is none. */
  readonly file: string;
  readonly warnings: readonly DataWarning[];
}

/**
 * One split of a dataset. Every method of Arrow's Table works. `slice` and `filter` give tables that know their dataset too;
 * a selection of columns is a plain table.
 */
export class DatasetTable extends Table implements TableOrigin {
  readonly dataset: Dataset;
  readonly split: Split;
  readonly variant: Variant;
  readonly prefix: boolean;
  readonly fingerprint: string;
  readonly revision: string | null;
  readonly file: string;
  readonly warnings: readonly DataWarning[];
  private readonly columns: readonly (readonly [string, Vector])[];

  constructor(schema: Schema, batches: readonly RecordBatch[], origin: TableOrigin) {
    super(schema, [...batches]);
    this.dataset = origin.dataset;
    this.split = origin.split;
    this.variant = origin.variant;
    this.prefix = origin.prefix;
    this.fingerprint = origin.fingerprint;
    this.revision = origin.revision;
    this.file = origin.file;
    this.warnings = origin.warnings;
    this.columns = schema.fields.map((field) => [field.name, this.getChild(field.name)!] as const);
  }

  /** Row `i` as plain values: whole numbers as numbers, lists as arrays, structs as objects. */
  row(i: number): Row {
    if (!Number.isInteger(i) || i < 0 || i >= this.numRows)
      throw new DataError(
        `${this.dataset.name} ${this.split}: there is no row ${i}; rows are 0 to ${this.numRows - 1}.`,
      );
    const row: Record<string, unknown> = {};
    for (const [name, column] of this.columns) row[name] = plain(column.get(i));
    return row;
  }

  /** Each row as `row` gives it, in order. Arrow's own iterator has whole numbers of 64 bits as bigint. */
  *rows(): Generator<Row> {
    for (let i = 0; i < this.numRows; i++) yield this.row(i);
  }

  /** The rows that `keep` says true of: `table.filter((row) => row.label === 1)`. */
  filter(keep: (row: Row, i: number) => boolean): DatasetTable {
    const indices: number[] = [];
    for (let i = 0; i < this.numRows; i++) if (keep(this.row(i), i)) indices.push(i);
    const fingerprint = digest(this.fingerprint, "rows", indices.join());
    return new DatasetTable(this.schema, [...taken(this, indices, this.file)], { ...this.origin, fingerprint });
  }

  override slice(begin?: number, end?: number): DatasetTable {
    const part = super.slice(begin, end);
    const fingerprint = digest(this.fingerprint, "slice", String(begin), String(end));
    return new DatasetTable(this.schema, part.batches, { ...this.origin, fingerprint });
  }

  private get origin(): TableOrigin {
    const { dataset, split, variant, prefix, fingerprint, revision, file, warnings } = this;
    return { dataset, split, variant, prefix, fingerprint, revision, file, warnings };
  }

  /**
   * The text pairs of row `i`: one, or several where training explodes a row with several answers.
   * @throws DataError naming file, row and column where the template meets a value that it cannot use.
   */
  renderRow(i: number, prefix: boolean = this.prefix): readonly Example[] {
    try {
      return this.dataset.render(this.row(i), { prefix, variant: this.variant, split: this.split });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw dataError({ file: `${this.split} split of ${this.file}`, row: i }, cause.message, { cause });
    }
  }

  /** All text pairs, in the order of rows. */
  render(prefix: boolean = this.prefix): Example[] {
    const examples: Example[] = [];
    for (let i = 0; i < this.numRows; i++) examples.push(...this.renderRow(i, prefix));
    return examples;
  }
}
