// Errors of a run that started: what stopped it, where its last good state lies, and what to do.
import { WriteError } from "#toolkit/weights/index.ts";

/** A run that cannot go on. Its folder keeps every complete checkpoint. */
export class TrainingError extends Error {
  override readonly name: string = "TrainingError";
}

/**
 * What a run could not write, and how to go on.
 * @param what begins the sentence: `the run log`, `the adapter`
 */
export function writeRefused(what: string, cause: WriteError): TrainingError {
  return new TrainingError(
    `${what}: ${cause.problem}. ${cause.advice}, then start the same command again: it goes on from the last complete checkpoint.`,
    { cause },
  );
}

/** Does the writing of one thing; a refusal of the disk says which thing it was. @throws TrainingError */
export function writing<T>(what: string, write: () => T): T {
  try {
    return write();
  } catch (cause) {
    throw cause instanceof WriteError ? writeRefused(what, cause) : cause;
  }
}

/** As `writing`, of a promise. @throws TrainingError */
export async function writingLater<T>(what: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    throw cause instanceof WriteError ? writeRefused(what, cause) : cause;
  }
}
