// Updates of one display: while one is still being drawn, only the newest of those that follow is kept, so that a loop
// that updates faster than plots can be drawn neither falls behind nor shows an old state last. Nothing is shown here.
import { stopCount } from "./guarded.ts";

/** Shows something; a promise where that takes a moment. */
export type Show = () => void | Promise<void>;

interface Waiting {
  readonly show: Show;
  readonly settled: PromiseWithResolvers<void>;
}

/** An id that is being shown. */
interface Slot {
  /** What comes next. */
  next: Waiting | null;
  /** How many interrupts had stopped code when the present one began. */
  stops: number;
}

export interface LatestOnly {
  /** Resolves when `show` has ended, or a newer one has taken its place; rejects where it fails. */
  run(id: string, show: Show): void | Promise<void>;
}

export function createLatestOnly(): LatestOnly {
  /** Ids that are being shown. */
  const busy = new Map<string, Slot>();

  const follow = (id: string, slot: Slot, work: Promise<void>): Promise<void> =>
    work.finally(() => {
      const { next } = slot;
      slot.next = null;
      if (next === null) {
        if (busy.get(id) === slot) busy.delete(id);
        return;
      }
      slot.stops = stopCount();
      // `start` waits for itself; who asked for the next one is told through its own promise.
      void follow(id, slot, start(next)).catch(() => undefined);
    });

  return {
    run: (id, show) => {
      const slot = busy.get(id);
      // What an interrupt stopped while it was drawn does not end; who waits behind it would wait for ever.
      if (slot === undefined || slot.stops !== stopCount()) {
        slot?.next?.settled.resolve();
        if (slot !== undefined) busy.delete(id);
        const stops = stopCount();
        const work = show();
        if (!(work instanceof Promise)) return undefined;
        const made = { next: null, stops };
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
