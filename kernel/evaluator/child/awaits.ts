// Where cells were waiting when an error reached them: for errors without a place of their own (a refused connection, a missing
// file, an interrupt), whose stack names no line of the user's. Not here: how the place is told (errors.ts).

/** An await, by the number of its script and its offset there. */
export interface AwaitPlace {
  readonly script: number;
  readonly offset: number;
}

const places: WeakMap<object, AwaitPlace> = new WeakMap();

/** Remembers the innermost await that an error came through. */
export function noteAwait(error: unknown, script: number, offset: number): void {
  if (typeof error === "object" && error !== null && !places.has(error)) places.set(error, { script, offset });
}

export function awaitOf(error: object): AwaitPlace | null {
  return places.get(error) ?? null;
}
