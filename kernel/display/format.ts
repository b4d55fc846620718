// From a value to its MIME bundle: the ordered table of formatters, and the one function that walks it. A new kind
// of value is one file, one row here and one row in the test.
import type { Bundle, Formatter, MimeBundle } from "./bundle.ts";
import { elementFormatter } from "./element.ts";
import { blobFormatter, canvasFormatter, domFormatter, imageBytesFormatter } from "./image.ts";
import { plainText } from "./plain.ts";
import { symbolFormatter } from "./symbol.ts";
import { tableFormatter, vectorFormatter } from "./table.ts";
import { tensorFormatter } from "./tensor.ts";
import { completeVega, vegaFormatter } from "./vega.ts";

export type { Bundle, Formatter, MimeBundle };

/** The first that matches and gives a bundle wins; what none takes is text/plain. */
export const formatters: readonly Formatter[] = [
  symbolFormatter,
  vegaFormatter,
  tableFormatter,
  vectorFormatter,
  tensorFormatter,
  elementFormatter,
  imageBytesFormatter,
  blobFormatter,
  canvasFormatter,
  domFormatter,
];

/**
 * The bundle of any value. Primitives and plain objects are answered without a promise. A bundle whose data is empty
 * means that the value is not to be shown at all.
 *
 * @throws what a value's own `Symbol.for("Jupyter.display")`, `toSpec` or component throws (as a rejection).
 */
export function formatValue(value: unknown): Bundle | Promise<Bundle> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return plainBundle(value);
  const candidates = formatters.filter((formatter) => matchesSafely(formatter, value));
  return candidates.length === 0 ? plainBundle(value) : formatWith(candidates, value);
}

async function formatWith(candidates: readonly Formatter[], value: object): Promise<Bundle> {
  for (const formatter of candidates) {
    const bundle = await formatter.format(value);
    if (bundle !== null) return formatter === symbolFormatter ? completeVega(bundle) : bundle;
  }
  return plainBundle(value);
}

function plainBundle(value: unknown): Bundle {
  return { data: { "text/plain": plainText(value) }, metadata: {} };
}

function matchesSafely(formatter: Formatter, value: object): boolean {
  try {
    return formatter.matches(value);
  } catch {
    // A getter or proxy of the user's that throws when looked at: it is not of this kind.
    return false;
  }
}
