// Batches made ahead on a worker thread. The consumer takes them out of shared memory, and never waits: a batch that is
// not there it makes itself. What it sees is bit for bit what `at` gives, either way. What a step holds is mixture.ts.
import type { WorkerReply, WorkerRequest, WorkerStart } from "./batch-worker.ts";
import type { StepBatch } from "./contract.ts";
import type { EncodedColumns } from "./encoded-file.ts";
import { DataError } from "./errors.ts";
import { openRing, places, type RingMemory, ringMemory } from "./ring.ts";

/** What a mixture needs of an encoded split. */
export type MixtureData = Omit<EncodedColumns, "truncated" | "tableRows"> & {
  readonly name: string;
  readonly padId: number;
};

/** A task as it travels to the worker: its ids lie in a file that both threads map, or in shared memory. */
export interface SharedTask {
  readonly weight?: number;
  readonly maxLengths?: number;
  readonly file: string | null;
  /** The ids are empty where there is a file. */
  readonly encoded: MixtureData;
}

const files = new WeakMap<object, string>();

/** Remembers that this very object's ids are those of the file, so that they need not be copied. */
export function rememberFile(encoded: object, file: string): void {
  files.set(encoded, file);
}

const nothing = new Int32Array(0);

export function sharedTask(task: {
  readonly encoded: MixtureData;
  readonly weight?: number;
  readonly maxLengths?: number;
}): SharedTask {
  const { encoded, ...rest } = task;
  const { name, padId, length } = encoded;
  const file = files.get(encoded) ?? null;
  const ids = (values: Int32Array): Int32Array => (file === null ? shared(values) : nothing);
  return {
    ...rest,
    file,
    encoded: {
      name,
      padId,
      length,
      inputTokens: ids(encoded.inputTokens),
      inputOffsets: ids(encoded.inputOffsets),
      targetTokens: ids(encoded.targetTokens),
      targetOffsets: ids(encoded.targetOffsets),
    },
  };
}

function shared(values: Int32Array): Int32Array {
  const copy = new Int32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

export interface Prefetched extends Pick<WorkerStart, "fromStep" | "toStep" | "options"> {
  /** Called when the worker starts: it copies what has no file. */
  readonly tasks: () => readonly SharedTask[];
  /** Words of the largest batch. */
  readonly words: number;
  readonly onWorker: boolean;
  /** Makes a step's batches here. */
  readonly at: (step: number) => StepBatch;
  readonly signal?: AbortSignal | undefined;
  /** Starts the worker; undefined where the machine has none. */
  readonly start?: (() => Worker) | undefined;
}

const startWorker =
  typeof Worker === "undefined"
    ? undefined
    : (): Worker => new Worker(new URL("./batch-worker.ts", import.meta.url).href);

/** A range shorter than this is over before a worker has started. */
const shortest = 16;
/** Steps between two messages to the worker: a message costs as much as a batch, and half the ring is left meanwhile. */
const stride = places / 2;

/**
 * The batches of a range of steps.
 * @throws what the worker met, by its name; the signal's reason.
 */
export async function* prefetched(range: Prefetched): AsyncGenerator<StepBatch, void, undefined> {
  const { fromStep, toStep, at, signal, onWorker } = range;
  const helper = onWorker && toStep - fromStep >= shortest ? startHelper(range) : null;
  try {
    for (let step = fromStep; step < toStep; step++) {
      signal?.throwIfAborted();
      const began = performance.now();
      const parts = helper?.take(step - fromStep) ?? null;
      if (parts === null) yield { ...at(step), waitMs: performance.now() - began };
      else yield { step, parts, examples: countOf(parts), waitMs: performance.now() - began, prefetched: true };
    }
  } finally {
    helper?.stop();
  }
}

const countOf = (parts: StepBatch["parts"]): number => parts.reduce((sum, part) => sum + part.batchSize, 0);

interface Helper {
  /** The parts of a step; null where they are not there. */
  take(step: number): StepBatch["parts"] | null;
  stop(): void;
}

function startHelper(range: Prefetched): Helper | null {
  const { tasks, options, words, fromStep, toStep, start = startWorker } = range;
  if (start === undefined) return null;
  const memory: RingMemory = ringMemory(words);
  const ring = openRing(memory);
  const worker = start();
  let failed: Error | null = null;
  const ended = (message: string): void => {
    // A worker that never began cannot be started here: this thread makes all batches.
    if (ring.begun())
      failed ??= new DataError(`The thread that makes batches ended: ${message}. Start again; the run goes on.`);
  };
  worker.onmessage = ({ data }: MessageEvent<WorkerReply>) => {
    failed ??= named(data.error);
  };
  worker.onerror = (event) => {
    event.preventDefault?.();
    ended(event.message);
  };
  worker.addEventListener("close", () => ended("it was closed"));
  const send = (request: WorkerRequest): void => worker.postMessage(request);
  send({ start: { tasks: tasks(), options, memory, fromStep, toStep } });
  // A range that is dropped half read must not keep the process alive.
  worker.unref();
  return {
    take(step) {
      const parts = ring.take(step);
      // Only now: what was made before the failure is good.
      if (parts === null && failed !== null) throw failed;
      ring.ask(step);
      if (step % stride === 0) send("on");
      return parts;
    },
    stop() {
      worker.onmessage = null;
      worker.onerror = null;
      worker.terminate();
    },
  };
}

/** The worker's error under its own name: a DataError is one again. */
function named({ name, message }: { readonly name: string; readonly message: string }): Error {
  if (name === "DataError") return new DataError(message);
  const error = new Error(message);
  error.name = name;
  return error;
}
