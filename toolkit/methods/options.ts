// Options of methods: each method lists its fields once, with kind, range and default; defaults, the check of a given
// set and the messages follow from the list. Not a general schema library: these five kinds are all that methods need.

export type Field = {
  readonly about: string;
  /** What the rest of the toolkit may read it as. */
  readonly is?: "prompt length";
} & (
  | { readonly kind: "integer"; readonly default: number; readonly min: number; readonly max: number }
  | { readonly kind: "number"; readonly default: number; readonly min: number; readonly max: number }
  | {
      readonly kind: "choice";
      readonly default: string;
      readonly values: readonly string[];
      /** Values that need something of the run: `labels`, the class labels of its first task. */
      readonly needs?: Readonly<Record<string, "labels">>;
    }
  | { readonly kind: "list"; readonly default: readonly string[]; readonly values: readonly string[] }
  | { readonly kind: "boolean"; readonly default: boolean }
);

export type Fields<Options extends object> = { readonly [Name in keyof Options]: Field };

export function defaultsOf<Options extends object>(fields: Fields<Options>): Options {
  const entries = Object.entries<Field>(fields as Record<string, Field>);
  return Object.fromEntries(entries.map(([name, field]) => [name, field.default])) as Options;
}

/** Every problem of the given options, each with what is allowed. */
export function checkFields<Options extends object>(fields: Fields<Options>, options: object): string[] {
  const known = fields as Record<string, Field>;
  const problems: string[] = [];
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(known, name)) continue;
    const near = didYouMean(name, Object.keys(known));
    problems.push(
      `${name}: unknown option${near ? ` (did you mean ${near}?)` : ""}; ${Object.keys(known).length === 0 ? "there are none" : `known: ${Object.keys(known).join(", ")}`}`,
    );
  }
  for (const [name, field] of Object.entries(known)) {
    const value = (options as Record<string, unknown>)[name];
    const wrong = problemOf(field, value);
    if (wrong)
      problems.push(`${name} must be ${wrong}, not ${value === undefined ? "nothing" : JSON.stringify(value)}`);
  }
  return problems;
}

function problemOf(field: Field, value: unknown): string | undefined {
  switch (field.kind) {
    case "integer":
    case "number": {
      const right = field.kind === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
      if (right && (value as number) >= field.min && (value as number) <= field.max) return undefined;
      return `${field.kind === "integer" ? "a whole number" : "a number"} from ${field.min} to ${field.max}`;
    }
    case "choice":
      return field.values.includes(value as string) ? undefined : `one of ${field.values.join(", ")}`;
    case "list":
      return Array.isArray(value) && value.length > 0 && value.every((item) => field.values.includes(item))
        ? undefined
        : `a list of ${field.values.join(", ")}`;
    case "boolean":
      return typeof value === "boolean" ? undefined : "true or false";
  }
}

/** The known word nearest to `word`, if it is near enough to be meant (Levenshtein distance of at most a third). */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of known) {
    const distance = editDistance(word.toLowerCase(), name.toLowerCase());
    if (!best || distance < best.distance) best = { name, distance };
  }
  return best && best.distance <= Math.max(2, Math.ceil(word.length / 3)) ? best.name : undefined;
}

/** Levenshtein distance. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}

/** The field that all methods with a prompt before the input share. */
export const promptLength: Field = {
  kind: "integer",
  is: "prompt length",
  default: 100,
  min: 1,
  max: 4096,
  about: "rows of the prompt, P",
};

/** The same of methods whose virtual tokens are keys and values in each layer: there is no prompt that another's could be compared with. */
export const layerLength: Field = {
  kind: "integer",
  default: 100,
  min: 1,
  max: 4096,
  about: "keys and values added to each layer, P",
};
