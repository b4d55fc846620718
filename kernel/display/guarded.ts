// Waiting for what the event loop must bring (a module's first import, a file, a server's answer) in the middle of a cell's
// code. In a kernel, code that runs is stopped by an interrupt only inside the evaluator's guard, and what follows such a wait
// would run outside of it: the evaluator leads it back in. Elsewhere it is the promise itself. No guard is here.

type Wait = <T>(work: Promise<T>) => Promise<T>;

let wait: Wait = (work) => work;

/** The evaluator knows whose work it is, and how to go on with it. */
export function waitWith(guardedWait: Wait): void {
  wait = guardedWait;
}

let stops = 0;

/** To be called when an interrupt has stopped code midway: promises that this code was to settle may never settle. */
export function noteStop(): void {
  stops++;
}

/** How often that has been; what has begun before the last may be lost. */
export function stopCount(): number {
  return stops;
}

/** The promise's value; what follows `await guarded(work)` can be interrupted as what came before it. */
export function guarded<T>(work: Promise<T>): Promise<T> {
  return wait(work);
}
