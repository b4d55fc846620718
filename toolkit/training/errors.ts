// Errors of a run that started: what stopped it, where its last good state lies, and what to do.

/** A run that cannot go on. Its folder keeps every complete checkpoint. */
export class TrainingError extends Error {
  override readonly name: string = "TrainingError";
}

/** A file of a run that the disk refuses. */
export function writeRefused(path: string, cause: unknown): TrainingError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TrainingError(
    `${path} could not be written: ${reason}. Make room or mend the folder, then start the same command again: it goes on from the last complete checkpoint.`,
    { cause },
  );
}
