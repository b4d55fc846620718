// Reading one row of the hub's file: each value is checked before a template uses it, because a file from the network
// may hold anything. Not the templates themselves.
import type { Row } from "./contract.ts";
import { DataError } from "./errors.ts";

/** A short, safe picture of a value for an error message. */
function shown(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "missing";
  if (typeof value === "bigint") return `${value}`;
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function wrong(dataset: string, column: string, expected: string, value: unknown): DataError {
  return new DataError(
    `${dataset}: column "${column}" should be ${expected}, but is ${shown(value)}. ` +
      "The file is not the one this dataset describes, or is damaged: check its source, or load it again.",
  );
}

/** @throws DataError where the column is not a string. */
export function textOf(row: Row, column: string, dataset: string): string {
  const value = row[column];
  if (typeof value !== "string") throw wrong(dataset, column, "a string", value);
  return value;
}

/** A whole number, from a number or a bigint. @throws DataError where it is neither. */
export function integerOf(row: Row, column: string, dataset: string): number {
  const value = row[column];
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number)) {
    throw wrong(dataset, column, "a whole number", value);
  }
  return number;
}

/** A label in 0..count−1. @throws DataError where it is out of range (the hub's unlabelled test rows hold −1). */
export function labelOf(row: Row, column: string, count: number, dataset: string): number {
  const label = integerOf(row, column, dataset);
  if (label < 0 || label >= count) throw wrong(dataset, column, `a label from 0 to ${count - 1}`, row[column]);
  return label;
}

/** @throws DataError where the column is not a finite number. */
export function realOf(row: Row, column: string, dataset: string): number {
  const value = row[column];
  if (typeof value !== "number" || !Number.isFinite(value)) throw wrong(dataset, column, "a finite number", value);
  return value;
}

/** Strings of a list column: an array, an Arrow vector or any other iterable. @throws DataError where it is not one. */
export function textsOf(row: Row, column: string, dataset: string): string[] {
  return itemsOf(row, column, dataset).map((item) => {
    if (typeof item !== "string") throw wrong(dataset, column, "a list of strings", item);
    return item;
  });
}

/** Items of a list column. @throws DataError where it is not iterable. */
export function itemsOf(row: Row, column: string, dataset: string): unknown[] {
  const value = row[column];
  if (typeof value !== "object" || value === null || !(Symbol.iterator in value)) {
    throw wrong(dataset, column, "a list", value);
  }
  return Array.from(value as Iterable<unknown>);
}

/** A struct column (a plain object or an Arrow struct row). @throws DataError where it is not one. */
export function structOf(row: Row, column: string, dataset: string): Row {
  const value = row[column];
  if (typeof value !== "object" || value === null) throw wrong(dataset, column, "a struct", value);
  return value as Row;
}
