// Tokens and n-gram counts for the generation metrics: the "13a" tokenisation of mteval and sacreBLEU, and ROUGE's own.
// Not a model's tokenizer.

// Python's idea of white space in str.split() and str.rstrip(): JavaScript's lacks U+001C to U+001F and U+0085 and adds
// U+FEFF, and the reference implementations are all in Python.
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const SPACES = new RegExp(SPACE, "u");
const TRAILING_SPACES = new RegExp(`${SPACE}$`, "u");

/** Words between white space, as Python's `str.split()`. */
export function splitWords(text: string): string[] {
  return text.split(SPACES).filter((word) => word !== "");
}

/** mteval-v13a's tokenisation: punctuation set off, except within numbers. */
export function tokenize13a(text: string): string[] {
  let line = text.replace(TRAILING_SPACES, "").replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ");
  if (line.includes("&")) {
    line = line.replaceAll("&quot;", '"').replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  }
  const spaced = ` ${line} `
    .replace(/([{-~[-` -&(-+:-@/])/g, " $1 ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/g, "$1 $2 ");
  return splitWords(spaced);
}

/** ROUGE's tokens: runs of ASCII letters and digits, lower-cased. */
export function tokenizeRouge(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}

/** Counts of the n-grams of one order, keyed by the tokens joined with a space (no token holds one). */
export function ngramCounts(tokens: readonly string[], order: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + order <= tokens.length; i++) {
    const key = tokens.slice(i, i + order).join(" ");
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}
