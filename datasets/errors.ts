// The error of this room: data that is not what its dataset promises, or a name that is not in the catalogue.
// Nothing is thrown here; the message must say what was expected, what came and what to do.

/** Data or a dataset name that cannot be used; `cause` holds the error underneath, if any. */
export class DataError extends Error {
  override readonly name: string = "DataError";
}
