// Apache Arrow's tables and vectors, recognised by their shape without importing the library, and their cells and
// one-line summaries as text. The HTML is in table.ts.

export interface ArrowField {
  readonly name: string;
  readonly nullable: boolean;
  readonly type: unknown;
}

export interface ArrowVectorLike {
  readonly type: unknown;
  readonly length: number;
  readonly nullCount: number;
  get(index: number): unknown;
}

export interface ArrowTableLike {
  readonly schema: { readonly fields: readonly ArrowField[]; readonly metadata?: Map<string, string> };
  readonly numRows: number;
  readonly numCols: number;
  getChildAt(index: number): ArrowVectorLike | null;
}

/** A Table or a RecordBatch. */
export function isArrowTable(value: object): value is ArrowTableLike {
  const candidate = value as Partial<ArrowTableLike>;
  return (
    typeof candidate.numRows === "number" &&
    typeof candidate.numCols === "number" &&
    typeof candidate.getChildAt === "function" &&
    Array.isArray(candidate.schema?.fields) &&
    candidate.schema.fields.every((field: unknown) => typeof (field as ArrowField | null)?.name === "string")
  );
}

/** A Vector: what `table.getChild("x")` gives. */
export function isArrowVector(value: object): value is ArrowVectorLike {
  const candidate = value as Partial<ArrowVectorLike> & { stride?: unknown; numChildren?: unknown; data?: unknown };
  return (
    typeof candidate.get === "function" &&
    typeof candidate.length === "number" &&
    typeof candidate.nullCount === "number" &&
    typeof candidate.numChildren === "number" &&
    Array.isArray(candidate.data)
  );
}

/** `1,234 rows × 3 columns`. */
export function tableSize(table: ArrowTableLike): string {
  const rows = `${table.numRows.toLocaleString("en")} row${table.numRows === 1 ? "" : "s"}`;
  return `${rows} × ${table.numCols.toLocaleString("en")} column${table.numCols === 1 ? "" : "s"}`;
}

export function tableSummary(table: ArrowTableLike): string {
  const fields = table.schema.fields.slice(0, 8).map((field) => `${field.name}: ${typeName(field.type)}`);
  if (table.schema.fields.length > 8) fields.push("…");
  return `Table(${tableSize(table)}) { ${fields.join(", ")} }`;
}

export function vectorSummary(vector: ArrowVectorLike): string {
  const items: string[] = [];
  for (let index = 0; index < Math.min(vector.length, 20); index++) {
    items.push(cellText(vector.get(index), vector.type));
  }
  if (vector.length > 20) items.push("…");
  return `Vector<${typeName(vector.type)}>(${vector.length.toLocaleString("en")}) [${items.join(", ")}]`;
}

/** `Utf8`, `List<Float64>`, `Timestamp<MILLISECOND>`; a dictionary is named by what it holds, not by its index type. */
export function typeName(type: unknown): string {
  const dictionary = (type as { dictionary?: unknown } | null)?.dictionary;
  return dictionary !== undefined ? `Dictionary<${typeName(dictionary)}>` : String(type);
}

/** True where numbers are lined up to the right. */
export function isNumeric(type: unknown): boolean {
  return /^(u?int|float|decimal)/i.test(String(type));
}

const longest = 120;

/** One cell as a short line of text. Dates and timestamps (numbers in Arrow's JavaScript) as ISO text. */
export function cellText(value: unknown, type: unknown, depth: number = 0): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return truncate(value.replaceAll("\n", "⏎"));
  if (typeof value === "number") {
    if (/^(timestamp|date)/i.test(String(type))) return isoText(value, /^date/i.test(String(type)));
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  }
  if (typeof value !== "object") return String(value);
  if (value instanceof Date) return isoText(value.getTime(), false);
  if (value instanceof Uint8Array) return `<${value.length.toLocaleString("en")} bytes>`;
  if (depth > 2) return "…";
  if (isArrowVector(value) || Array.isArray(value) || ArrayBuffer.isView(value))
    return listText(value as Listed, depth);
  const json: unknown = typeof (value as { toJSON?: unknown }).toJSON === "function" ? (value as Date).toJSON() : value;
  if (typeof json !== "object" || json === null) return truncate(String(json));
  const entries = Object.entries(json).slice(0, 8);
  return truncate(`{${entries.map(([name, item]) => `${name}: ${cellText(item, undefined, depth + 1)}`).join(", ")}}`);
}

type Listed = (ArrowVectorLike | ArrayLike<unknown>) & { readonly length: number };

function listText(list: Listed, depth: number): string {
  const items: string[] = [];
  for (let index = 0; index < Math.min(list.length, 8); index++) {
    const item =
      "get" in list && typeof list.get === "function" ? list.get(index) : (list as ArrayLike<unknown>)[index];
    items.push(typeof item === "string" ? JSON.stringify(truncate(item)) : cellText(item, undefined, depth + 1));
  }
  if (list.length > 8) items.push("…");
  return truncate(`[${items.join(", ")}]`);
}

function isoText(milliseconds: number, dayOnly: boolean): string {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return String(milliseconds);
  const text = date.toISOString();
  return dayOnly && text.endsWith("T00:00:00.000Z") ? text.slice(0, 10) : text.replace(/\.000Z$/, "Z");
}

function truncate(text: string): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
