// What a running training looks like: a plot that grows and one line of status. It knows events, not how they reach a
// screen: a notebook passes the kernel's `display`, the command line a function that prints.
import type { TrainEvent } from "#toolkit/training/contract.ts";
import { type Figure, type LossPoint, lossFigure } from "./figures.ts";

/** The kernel's `display`, or anything like it. */
export type Show = (value: unknown, options: { readonly displayId: string; readonly update: boolean }) => unknown;

export interface WatchOptions {
  /** Shows the loss plot; absent: no plot. */
  readonly show?: Show;
  /** Gets `done`, `total` and a line of text with each step: a progress bar. */
  readonly onProgress?: (done: number, total: number, text: string) => void;
  readonly displayId?: string;
  readonly title?: string;
  /** Milliseconds between two drawings of the plot. */
  readonly every?: number;
}

let plots = 0;

/** One line about an event, or an empty string where it is not worth one. */
export function eventLine(event: TrainEvent): string {
  if (event.type === "start") {
    const steps =
      event.fromStep === 0
        ? `${event.totalSteps} steps`
        : `going on after step ${event.fromStep} of ${event.totalSteps}, its last checkpoint`;
    return `${event.run}: ${steps}, ${event.trainableParameters.toLocaleString("en")} trainable parameters, about ${Math.ceil(event.estimate.seconds)} s and ${Math.ceil(event.estimate.memoryMiB)} MiB`;
  }
  if (event.type === "step") {
    return `${event.stage} ${event.step}/${event.totalSteps} · loss ${event.loss.toFixed(4)} · ${event.stepMs.toFixed(0)} ms`;
  }
  if (event.type === "evaluation") {
    const numbers = Object.entries(event.metrics).map(([name, value]) => `${name} ${value.toFixed(2)}`);
    return `${event.stage} ${event.step} · ${event.task} ${event.split}: ${numbers.join(", ")}`;
  }
  if (event.type === "checkpoint")
    return `checkpoint at step ${event.step}${event.best ? " (best so far)" : ""}: ${event.path}`;
  if (event.type === "warning") return `warning: ${event.message}`;
  return `done: ${event.steps} steps in ${event.seconds.toFixed(1)} s`;
}

/**
 * Passes a run's events on while it draws them: `for await (const event of watch(train(config), { show: display }))`.
 * The last drawing always happens, also when the run fails.
 */
export async function* watch(
  events: AsyncIterable<TrainEvent>,
  options: WatchOptions = {},
): AsyncGenerator<TrainEvent> {
  const { show, onProgress, every = 1000, displayId = `bunsen-loss-${++plots}`, title } = options;
  const points: LossPoint[] = [];
  let shown = false;
  let last = 0;
  const draw = async (): Promise<void> => {
    if (show === undefined || points.length === 0) return;
    const figure: Figure = lossFigure(points, title === undefined ? {} : { title });
    const update = shown;
    shown = true;
    last = performance.now();
    await show(figure, { displayId, update });
  };
  try {
    for await (const event of events) {
      if (event.type === "step") {
        points.push({ stage: event.stage, step: event.step, loss: event.loss });
        onProgress?.(event.step, event.totalSteps, eventLine(event));
        if (performance.now() - last > every) await draw();
      }
      yield event;
    }
  } finally {
    await draw();
  }
}

/** Runs to the end and returns the `done` event. */
export async function finish(events: AsyncIterable<TrainEvent>): Promise<Extract<TrainEvent, { type: "done" }>> {
  for await (const event of events) if (event.type === "done") return event;
  throw new Error("The run ended without its last event.");
}
