// The worker thread of prefetch.ts: builds the same mixture over the same token ids and keeps the ring full. It sleeps in
// its event loop, never in a lock, so that ending it is ending a sleeping thread.
import { encodedFile } from "./encoded-file.ts";
import { createMixture, type Mixture, type MixtureOptions } from "./mixture.ts";
import type { SharedTask } from "./prefetch.ts";
import { openRing, places, type Ring, type RingMemory } from "./ring.ts";

export interface WorkerStart {
  readonly tasks: readonly SharedTask[];
  readonly options: MixtureOptions;
  readonly memory: RingMemory;
  readonly fromStep: number;
  /** Not included; infinite for an endless range. */
  readonly toStep: number;
}

/** `start` comes once; `on` says that places have become free. */
export type WorkerRequest = { readonly start: WorkerStart } | "on";
export interface WorkerReply {
  readonly error: { readonly name: string; readonly message: string };
}

declare const self: Worker;

let go: (() => void) | null = null;

self.onmessage = ({ data }: MessageEvent<WorkerRequest>): void => {
  try {
    if (data !== "on") go = started(data.start);
    go?.();
  } catch (error) {
    go = null;
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    self.postMessage({ error: { name, message } } satisfies WorkerReply);
  }
};

function started({ tasks, options, memory, fromStep, toStep }: WorkerStart): () => void {
  const mixture: Mixture = createMixture(
    tasks.map(({ file, encoded, ...rest }) => ({
      ...rest,
      encoded: file === null ? encoded : { ...encoded, ...encodedFile(file) },
    })),
    options,
  );
  const ring: Ring = openRing(memory);
  ring.begin();
  let next = 0;
  return () => {
    for (;;) {
      // What the reader asked for last it has, or makes itself at this moment.
      const asked = ring.asked();
      next = Math.max(next, asked + 1);
      if (next > asked + places || fromStep + next >= toStep) return;
      ring.put(next, mixture.at(fromStep + next).parts);
      next++;
    }
  };
}
