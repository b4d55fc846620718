// Arrow tables as an HTML table (schema, first rows, row count) with the same as plain text beside it. Only the rows
// shown are read. Recognition and cell text are in arrow-shape.ts.
import {
  type ArrowTableLike,
  cellText,
  isArrowTable,
  isArrowVector,
  isNumeric,
  tableSize,
  typeName,
} from "./arrow-shape.ts";
import type { Bundle, Formatter } from "./bundle.ts";
import { escapeHtml } from "./escape.ts";
import { plainText } from "./plain.ts";

const maxRows = 10;
const maxColumns = 20;

export const tableFormatter: Formatter = {
  name: "arrow table",
  runsUserCode: false,
  matches: isArrowTable,
  format(value: object): Bundle {
    const shown = readHead(value as ArrowTableLike);
    return { data: { "text/html": tableHtml(shown), "text/plain": tableText(shown) }, metadata: {} };
  },
};

export const vectorFormatter: Formatter = {
  name: "arrow vector",
  runsUserCode: false,
  matches: isArrowVector,
  format(value: object): Bundle {
    return { data: { "text/plain": plainText(value) }, metadata: {} };
  },
};

interface Column {
  readonly name: string;
  readonly type: string;
  readonly numeric: boolean;
  readonly cells: readonly { readonly text: string; readonly isNull: boolean }[];
}

interface Head {
  readonly size: string;
  readonly rows: number;
  readonly moreRows: boolean;
  readonly moreColumns: number;
  readonly columns: readonly Column[];
}

function readHead(table: ArrowTableLike): Head {
  const rows = Math.min(table.numRows, maxRows);
  const columns = table.schema.fields.slice(0, maxColumns).map((field, index): Column => {
    const vector = table.getChildAt(index);
    const cells = Array.from({ length: rows }, (_, row) => {
      const value = vector?.get(row) ?? null;
      return { text: cellText(value, field.type), isNull: value === null };
    });
    return {
      name: field.name,
      type: typeName(field.type),
      numeric: isNumeric(field.type),
      cells,
    };
  });
  return {
    size: tableSize(table),
    rows,
    moreRows: table.numRows > rows,
    moreColumns: table.schema.fields.length - columns.length,
    columns,
  };
}

const grey = "color:var(--jp-ui-font-color2,#666)";

function tableHtml(head: Head): string {
  const align = (column: Column): string => `text-align:${column.numeric ? "right" : "left"}`;
  const more = head.moreColumns > 0;
  const headings = head.columns.map(
    (column) =>
      `<th style="${align(column)}">${escapeHtml(column.name)}<br><span style="font-weight:normal;${grey}">${escapeHtml(column.type)}</span></th>`,
  );
  const rows = Array.from({ length: head.rows }, (_, row) => {
    const cells = head.columns.map((column) => {
      const cell = column.cells[row] as Column["cells"][number];
      return `<td style="${align(column)}${cell.isNull ? `;${grey}` : ""}">${escapeHtml(cell.text)}</td>`;
    });
    return `<tr>${cells.join("")}${more ? "<td>…</td>" : ""}</tr>`;
  });
  if (head.moreRows) {
    const dots = head.columns.map((column) => `<td style="${align(column)}">⋮</td>`);
    rows.push(`<tr>${dots.join("")}${more ? "<td>⋮</td>" : ""}</tr>`);
  }
  return [
    '<table class="dataframe">',
    `<thead><tr>${headings.join("")}${more ? `<th>… ${head.moreColumns} more</th>` : ""}</tr></thead>`,
    `<tbody>${rows.join("\n")}</tbody>`,
    "</table>",
    `<p style="${grey}">${head.size}</p>`,
  ].join("\n");
}

function tableText(head: Head): string {
  const columns = head.columns.map((column) => {
    const lines = [column.name, column.type, ...column.cells.map((cell) => cell.text)].map((line) => clip(line, 32));
    const width = lines.reduce((longest, line) => Math.max(longest, Bun.stringWidth(line)), 0);
    return { ...column, lines, width };
  });
  const lines: string[] = [];
  for (let row = 0; row < head.rows + 2; row++) {
    const cells = columns.map((column) => pad(column.lines[row] as string, column.width, column.numeric));
    lines.push(`${cells.join("  ")}${head.moreColumns > 0 ? "  …" : ""}`.trimEnd());
    if (row === 1) lines.push(columns.map((column) => "─".repeat(column.width)).join("  "));
  }
  if (head.moreRows) lines.push("⋮");
  lines.push(head.size);
  return lines.join("\n");
}

function clip(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
  return right ? space + text : text + space;
}
