// A table of results that shows itself: HTML in a notebook, aligned text in a terminal, Arrow for further work. Not the
// rich table of datasets, which the kernel draws from Arrow by itself.
import { type Table, tableFromJSON } from "apache-arrow";

/** The display protocol: how an object tells a notebook how it looks. */
export const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

export type Cell = string | number | null;

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => Cell;
  /** How a number is written; default as it is. */
  readonly digits?: number;
  readonly align?: "left" | "right";
}

/** Columns and rows as text, with their renderings. */
export interface ResultTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  toString(): string;
  toHtml(): string;
  toMarkdown(): string;
  toArrow(): Table;
  readonly [displaySymbol]: () => Record<string, string>;
}

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** Builds a table from rows of any kind. */
export function resultTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], caption = ""): ResultTable {
  const cells = rows.map((row) => columns.map((column) => column.value(row)));
  const written = cells.map((row) =>
    row.map((cell, index) => {
      if (cell === null) return "–";
      const { digits } = columns[index]!;
      return typeof cell === "number" && digits !== undefined ? cell.toFixed(digits) : String(cell);
    }),
  );
  const titles = columns.map((column) => column.title);
  const right = columns.map(
    (column, index) =>
      (column.align ??
        (cells.every((row) => typeof row[index] === "number" || row[index] === null) ? "right" : "left")) === "right",
  );
  const toText = (): string => {
    const widths = titles.map((title, index) => Math.max(title.length, ...written.map((row) => row[index]!.length)));
    const line = (row: readonly string[]): string =>
      row
        .map((text, index) => (right[index] ? text.padStart(widths[index]!) : text.padEnd(widths[index]!)))
        .join("  ")
        .trimEnd();
    const rule = widths.map((width) => "─".repeat(width)).join("  ");
    return [...(caption === "" ? [] : [caption, ""]), line(titles), rule, ...written.map(line)].join("\n");
  };
  const toHtml = (): string => {
    const cell = (tag: string, text: string, index: number): string =>
      `<${tag} style="text-align:${right[index] ? "right" : "left"}">${escapeHtml(text)}</${tag}>`;
    const head = titles.map((title, index) => cell("th", title, index)).join("");
    const body = written
      .map((row) => `<tr>${row.map((text, index) => cell("td", text, index)).join("")}</tr>`)
      .join("");
    const legend = caption === "" ? "" : `<caption style="text-align:left">${escapeHtml(caption)}</caption>`;
    return `<table>${legend}<thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`;
  };
  const toMarkdown = (): string => {
    const line = (row: readonly string[]): string =>
      `| ${row.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
    return [line(titles), `|${right.map((end) => (end ? "---:" : "---")).join("|")}|`, ...written.map(line)].join("\n");
  };
  return {
    columns: titles,
    rows: cells,
    toString: toText,
    toHtml,
    toMarkdown,
    toArrow: () =>
      tableFromJSON(cells.map((row) => Object.fromEntries(row.map((cell, index) => [titles[index]!, cell])))),
    [displaySymbol]: () => ({ "text/html": toHtml(), "text/plain": toText() }),
  };
}
