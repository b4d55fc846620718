// The value of a cell → MIME bundle, by the display room, loaded when the first value is shown.

import { waitWith } from "../../display/guarded.ts";
import { describeErrorsWith } from "../../display/plain.ts";
import type { MimeBundle } from "../port.ts";
import { waitGuarded } from "./cells.ts";
import { reportError } from "./errors.ts";

// Errors that are values, not thrown, are told in the user's own lines too.
describeErrorsWith((error) => reportError(error).traceback.join("\n"));
waitWith(waitGuarded);

export interface Formatted {
  readonly data: MimeBundle;
  readonly metadata: Record<string, unknown>;
}

type Format = (value: unknown) => Formatted | Promise<Formatted>;
let format: Format | null = null;

/** Formats with the display room; before that room exists, as plain text. */
export async function formatResult(value: unknown): Promise<Formatted> {
  // An interrupt meanwhile comes through, and the next value tries anew.
  format ??= await waitGuarded(loadFormat());
  return await format(value);
}

async function loadFormat(): Promise<Format> {
  try {
    const path = "../../display/format.ts";
    return ((await import(path)) as { formatValue: Format }).formatValue;
  } catch {
    return (shown) => ({ data: { "text/plain": Bun.inspect(shown, { colors: false }) }, metadata: {} });
  }
}
