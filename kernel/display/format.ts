// From a value to its MIME bundle: the ordered table of formatters, and the one function that walks it. A new kind
// of value is one file, one row here and one row in the test.
import type { Bundle, Formatter, MimeBundle } from "./bundle.ts";
import { elementFormatter } from "./element.ts";
import { guarded } from "./guarded.ts";
import { blobFormatter, canvasFormatter, domFormatter, imageBytesFormatter } from "./image.ts";
import { plainText } from "./plain.ts";
import { symbolFormatter } from "./symbol.ts";
import { tableFormatter, vectorFormatter } from "./table.ts";
import { tensorFormatter } from "./tensor.ts";
import { vegaFormatter } from "./vega.ts";

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
 * The bundle of any value. Most are answered without a promise, so that what a cell shows and what it prints keep their
 * order; plots, JSX, images that must be read, and display methods that are asynchronous take one. A bundle whose data is
 * empty means that the value is not to be shown at all.
 *
 * @throws what a value's own `Symbol.for("Jupyter.display")`, `toSpec` or component throws.
 */
export function formatValue(value: unknown): Bundle | Promise<Bundle> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return plainBundle(value);
  for (const [index, formatter] of formatters.entries()) {
    if (!matchesSafely(formatter, value)) continue;
    const bundle = formatWith(formatter, value);
    // Whatever a formatter has waited for: its caller goes on as it was.
    if (bundle instanceof Promise) return guarded(formatLater(bundle, index, value));
    if (bundle !== null) return bundle;
  }
  return plainBundle(value);
}

/** Goes on where a formatter's answer must be waited for. */
async function formatLater(first: Promise<Bundle | null>, index: number, value: object): Promise<Bundle> {
  const bundle = await first;
  if (bundle !== null) return bundle;
  for (const formatter of formatters.slice(index + 1)) {
    const next = matchesSafely(formatter, value) ? await formatWith(formatter, value) : null;
    if (next !== null) return next;
  }
  return plainBundle(value);
}

function formatWith(formatter: Formatter, value: object): Bundle | null | Promise<Bundle | null> {
  if (formatter.runsUserCode) return formatter.format(value);
  try {
    const bundle = formatter.format(value);
    return bundle instanceof Promise ? bundle.catch(() => null) : bundle;
  } catch {
    return null;
  }
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
