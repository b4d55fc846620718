// Updates of one display: while one is still being drawn, only the newest of those that follow is kept, so that a loop
// that updates faster than plots can be drawn neither falls behind nor shows an old state last. Nothing is shown here.

/** Shows something; a promise where that takes a moment. */
export type Show = () => void | Promise<void>;

interface Waiting {
  readonly show: Show;
  readonly settled: PromiseWithResolvers<void>;
}

export interface LatestOnly {
  /** Resolves when `show` has ended, or a newer one has taken its place; rejects where it fails. */
  run(id: string, show: Show): void | Promise<void>;
}

export function createLatestOnly(): LatestOnly {
  /** Ids that are being shown, with what comes next. */
  const busy = new Map<string, { next: Waiting | null }>();

  const follow = (id: string, slot: { next: Waiting | null }, work: Promise<void>): Promise<void> =>
    work.finally(() => {
      const { next } = slot;
      slot.next = null;
      if (next === null) {
        busy.delete(id);
        return;
      }
      // `start` waits for itself; who asked for the next one is told through its own promise.
      void follow(id, slot, start(next)).catch(() => undefined);
    });

  return {
    run: (id, show) => {
      const slot = busy.get(id);
      if (slot === undefined) {
        const work = show();
        if (!(work instanceof Promise)) return undefined;
        const made = { next: null };
        busy.set(id, made);
        return follow(id, made, work);
      }
      slot.next?.settled.resolve();
      slot.next = { show, settled: Promise.withResolvers<void>() };
      return slot.next.settled.promise;
    },
  };
}

async function start({ show, settled }: Waiting): Promise<void> {
  try {
    await show();
    settled.resolve();
  } catch (error) {
    settled.reject(error);
  }
}
