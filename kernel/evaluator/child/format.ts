// The value of a cell → MIME bundle, by the display room, loaded when the first value is shown.

import { describeErrorsWith } from "../../display/plain.ts";
import type { MimeBundle } from "../port.ts";
import { reportError } from "./errors.ts";

// Errors that are values, not thrown, are told in the user's own lines too.
describeErrorsWith((error) => reportError(error).traceback.join("\n"));

export interface Formatted {
  readonly data: MimeBundle;
  readonly metadata: Record<string, unknown>;
}

type Format = (value: unknown) => Formatted | Promise<Formatted>;
let format: Format | null = null;

/** Formats with the display room; before that room exists, as plain text. */
export async function formatResult(value: unknown): Promise<Formatted> {
  if (format === null) {
    try {
      const path = "../../display/format.ts";
      format = ((await import(path)) as { formatValue: Format }).formatValue;
    } catch {
      format = (shown) => ({ data: { "text/plain": Bun.inspect(shown, { colors: false }) }, metadata: {} });
    }
  }
  return await format(value);
}
