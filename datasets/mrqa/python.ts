// How Python prints strings, lists and dicts: only for the faithful rendering of SQuAD, whose published code trains on
// the printed answers field. Not a general serialiser.

/** `repr` of a str: single quotes unless the text has one and no double quote; control characters escaped. */
export function pythonString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let out = "";
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (character === quote || character === "\\") out += `\\${character}`;
    else if (character === "\n") out += "\\n";
    else if (character === "\r") out += "\\r";
    else if (character === "\t") out += "\\t";
    else if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) out += character;
    else if (code <= 0xff) out += `\\x${code.toString(16).padStart(2, "0")}`;
    else if (code <= 0xffff) out += `\\u${code.toString(16).padStart(4, "0")}`;
    else out += `\\U${code.toString(16).padStart(8, "0")}`;
  }
  return `${quote}${out}${quote}`;
}

/** `repr` of a dict whose values are lists of strings or of whole numbers. */
export function pythonDict(entries: Readonly<Record<string, readonly (string | number)[]>>): string {
  const items = Object.entries(entries).map(([key, values]) => {
    const printed = values.map((value) => (typeof value === "number" ? String(value) : pythonString(value)));
    return `${pythonString(key)}: [${printed.join(", ")}]`;
  });
  return `{${items.join(", ")}}`;
}
