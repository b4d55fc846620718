// The display protocol: an object that has a method named `Symbol.for("Jupyter.display")` says itself how it is
// shown (the protocol that Deno's users know). The toolkit's objects reach the kernel only through this symbol.
import { type Bundle, type Formatter, normaliseData } from "./bundle.ts";
import { plainText } from "./plain.ts";
import { completeVega, holdsVega } from "./vega.ts";

/** `value[displaySymbol]()` returns (or resolves to) `{ "text/html": … }`, or `{ data, metadata }`. */
export const displaySymbol: unique symbol = Symbol.for("Jupyter.display") as never;

export const symbolFormatter: Formatter = {
  name: "Jupyter.display",
  runsUserCode: true,
  matches(value: object): boolean {
    return typeof (value as Record<symbol, unknown>)[displaySymbol] === "function";
  },
  // Errors of the user's own method are the user's to see: they are not caught here.
  format(value: object): Bundle | null | Promise<Bundle | null> {
    const returned = (value as { [displaySymbol](): unknown })[displaySymbol]();
    return isThenable(returned) ? Promise.resolve(returned).then((later) => read(value, later)) : read(value, returned);
  },
};

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/** What the method gave, checked and completed. */
function read(value: object, returned: unknown): Bundle | null | Promise<Bundle> {
  if (returned === null || returned === undefined) return null;
  if (typeof returned !== "object") {
    throw new TypeError(
      `The method [Symbol.for("Jupyter.display")] returned ${typeof returned}; expected an object of MIME types, such as { "text/html": "<b>hi</b>" }.`,
    );
  }
  const { data, metadata } = splitBundle(returned as Record<string, unknown>);
  // An empty bundle means: show nothing (the value of `display(x)` itself is such a one).
  if (Object.keys(data).length > 0 && !("text/plain" in data)) data["text/plain"] = plainText(value);
  return holdsVega(data) ? completeVega({ data, metadata }) : { data, metadata };
}

/** Accepts both forms, `{ mime: value }` and `{ data: { mime: value }, metadata }`. */
export function splitBundle(bundle: Readonly<Record<string, unknown>>): {
  data: Record<string, unknown>;
  metadata: Record<string, unknown>;
} {
  const { data, metadata } = bundle;
  if (typeof data === "object" && data !== null) {
    return {
      data: normaliseData(data as Record<string, unknown>),
      metadata: typeof metadata === "object" && metadata !== null ? { ...metadata } : {},
    };
  }
  return { data: normaliseData(bundle), metadata: {} };
}
