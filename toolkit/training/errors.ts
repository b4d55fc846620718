// Errors of a run that started: what stopped it, where its last good state lies, and what to do.

/** A run that cannot go on. Its folder keeps every complete checkpoint. */
export class TrainingError extends Error {
  override readonly name: string = "TrainingError";
}
