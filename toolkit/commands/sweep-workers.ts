// The processes of a sweep: one deals out the study's units, the others train them. A unit is a teacher, a source stage, or
// the grid of one method on one target; they share nothing but folders, so any worker may take any of them as soon as
// what it needs has run, and a new one goes on where another ended. What a study consists of is the experiments room's business.
import { join } from "node:path";
import type { StudyUnit } from "#toolkit/experiments/study.ts";
import { eventLine } from "#toolkit/report/index.ts";
import { memoryMappings } from "#toolkit/tensor/index.ts";

/** Set in the processes that do a sweep's work: `backbone` for the one that pretrains, `units` for the others. */
export const workerVariable = "BUNSEN_SWEEP_WORKER";
export type WorkerKind = "backbone" | "units";

/** What the dealing process says: take this unit, or (null) there is none left. */
type Order = { readonly unit: number | null };

/** A run that the study's table takes. */
export interface RunName {
  readonly label: string;
  readonly run: string;
}

type Word =
  | { readonly kind: "ready"; readonly engine: string }
  | { readonly kind: "step" }
  /** A run ended, with `missing` of its steps taken by an earlier process. */
  | { readonly kind: "done"; readonly run: string; readonly missing: number; readonly line: string }
  | { readonly kind: "warning"; readonly line: string }
  /** The unit ended; or, with `again`, this process has no room for more programs and another is to go on with it. */
  | { readonly kind: "unit"; readonly again: boolean; readonly runs: readonly RunName[] };

const environmentOf = (kind: WorkerKind, threads: number | null): Record<string, string | undefined> => ({
  ...process.env,
  [workerVariable]: kind,
  // Before the engine starts: it takes its threads once.
  ...(threads === null || process.env.BUNSEN_THREADS !== undefined ? {} : { BUNSEN_THREADS: String(threads) }),
});

/** Exit code of a process that a signal ended, as shells say it. */
const stopped = 130;

/** Runs `start`ed processes to their end and hands signals on to those that live. */
class Workers implements Disposable {
  readonly #alive = new Set<Bun.Subprocess>();
  isStopping = false;
  // A terminal's Ctrl-C reaches all; a signal to this process alone is handed on.
  readonly #stop = (): void => this.stop();

  constructor() {
    process.on("SIGINT", this.#stop);
    process.on("SIGTERM", this.#stop);
  }

  start(
    args: readonly string[],
    kind: WorkerKind,
    threads: number | null,
    heard?: (word: Word) => void,
  ): Bun.Subprocess {
    const worker = Bun.spawn([process.execPath, join(import.meta.dirname, "../main.ts"), "sweep", ...args], {
      env: environmentOf(kind, threads),
      stdio: ["ignore", "inherit", "inherit"],
      ...(heard === undefined ? {} : { ipc: (word: Word) => heard(word) }),
    });
    this.#alive.add(worker);
    worker.exited.finally(() => this.#alive.delete(worker));
    return worker;
  }

  stop(): void {
    this.isStopping = true;
    for (const worker of this.#alive) worker.kill("SIGTERM");
  }

  [Symbol.dispose](): void {
    process.removeListener("SIGINT", this.#stop);
    process.removeListener("SIGTERM", this.#stop);
  }
}

/** Pretrains in a process of its own, on all threads: this one never starts an engine. @returns its exit code. */
export async function pretrainApart(args: readonly string[]): Promise<number> {
  using workers = new Workers();
  return await workers.start(args, "backbone", null).exited;
}

export interface DealOptions {
  /** Workers side by side; on a GPU, which one process fills, there is one all the same unless `asked` for. */
  readonly jobs: number;
  readonly asked: boolean;
  /** Threads of each worker's engine; null leaves it to the engine. */
  readonly threads: number | null;
  readonly onStep: () => void;
  /** A run ended, now (`missing` steps of it were taken before), or there is a warning. */
  readonly onLine: (line: string, missing: number) => void;
}

/**
 * Lets workers train all units.
 * @returns the exit code of the first worker that failed, or the runs of the table in the order of the units
 */
export async function dealOut(
  args: readonly string[],
  units: readonly StudyUnit[],
  options: DealOptions,
): Promise<number | RunName[]> {
  using workers = new Workers();
  const results = new Array<readonly RunName[] | undefined>(units.length).fill(undefined);
  const taken = new Set<number>();
  const told = new Set<string>();
  let failure = 0;
  let changed = Promise.withResolvers<void>();
  const change = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };

  /** The next unit whose needs are met, waited for where they are being trained; undefined when there is none left. */
  const take = async (): Promise<number | undefined> => {
    while (failure === 0 && !workers.isStopping && taken.size < units.length) {
      const next = units.findIndex(
        ({ needs }, index) => !taken.has(index) && needs.every((need) => results[need] !== undefined),
      );
      if (next >= 0) {
        taken.add(next);
        return next;
      }
      await changed.promise;
    }
    return undefined;
  };

  /** One lane of work: a process, and the next one when it is used up. */
  const lane = async (onEngine: (engine: string) => void): Promise<void> => {
    let unit = await take();
    while (unit !== undefined && failure === 0 && !workers.isStopping) {
      let released = false;
      const order = (index: number | null): void => {
        released = index === null;
        // One that ended while it waited for a unit is told nothing.
        if (worker.exitCode === null && worker.signalCode === null) worker.send({ unit: index } satisfies Order);
      };
      const finished = async (runs: readonly RunName[]): Promise<void> => {
        results[unit!] = runs;
        change();
        unit = await take();
        order(unit ?? null);
      };
      const worker: Bun.Subprocess = workers.start(args, "units", options.threads, (word) => {
        if (word.kind === "ready") {
          onEngine(word.engine);
          order(unit!);
        } else if (word.kind === "step") options.onStep();
        else if (word.kind === "warning") options.onLine(word.line, 0);
        else if (word.kind === "done") {
          // A unit that a new process goes on with tells its finished runs again.
          if (!told.has(word.run)) options.onLine(word.line, word.missing);
          told.add(word.run);
        } else if (word.again) order(null);
        else void finished(word.runs);
      });
      const code = await worker.exited;
      if (code !== 0 || workers.isStopping || !released) {
        failure ||= workers.isStopping ? stopped : code || 1;
        workers.stop();
        change();
      }
    }
  };

  // The first lane says on which engine it is before the others begin.
  const engine = Promise.withResolvers<string | undefined>();
  const running = [lane(engine.resolve).finally(() => engine.resolve(undefined))];
  const lanes = (await engine.promise) === "cuda" && !options.asked ? 1 : options.jobs;
  while (running.length < lanes) running.push(lane(() => {}));
  await Promise.all(running);
  return failure === 0 ? results.flatMap((runs) => runs ?? []) : failure;
}

/** Whether a new process should go on: compiled programs have used up most of this one's memory mappings. */
function isUsedUp(): boolean {
  const mappings = memoryMappings();
  return mappings !== null && mappings.held > mappings.most / 2;
}

/** The other side of `dealOut`: trains the units that it is told to. @returns the exit code. */
export async function work(units: readonly StudyUnit[], engine: string, onStop: () => void): Promise<number> {
  const stop = new AbortController();
  const orders: Order[] = [];
  let wake = Promise.withResolvers<void>();
  const interrupt = (): void => {
    if (!stop.signal.aborted) onStop();
    stop.abort();
    wake.resolve();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const say = (word: Word): void => {
    process.send!(word);
  };

  /** Trains a unit, or as much of it as this process has room for. */
  const train = async (unit: StudyUnit): Promise<void> => {
    // Of the run at hand, and of all; a run that was finished before has no events but its end.
    let [taken, worked] = [0, 0];
    const events = unit.run(stop.signal);
    for (let next = await events.next(); ; next = await events.next()) {
      if (next.done) {
        say({ kind: "unit", again: false, runs: next.value.map(({ label, result }) => ({ label, run: result.run })) });
        return;
      }
      const event = next.value;
      if (event.type === "step") {
        taken++;
        worked++;
        say({ kind: "step" });
      } else if (event.type === "warning") say({ kind: "warning", line: eventLine(event) });
      else if (event.type === "done") {
        const missing = Math.max(0, event.steps - taken);
        taken = 0;
        say({ kind: "done", run: event.run, missing, line: `${event.run} ${eventLine(event)}` });
        if (worked > 0 && isUsedUp()) {
          await events.return([]);
          say({ kind: "unit", again: true, runs: [] });
          return;
        }
      }
    }
  };

  process.on("message", (order: Order) => {
    orders.push(order);
    wake.resolve();
  });
  // The dealing process is gone: nobody would hear of the rest.
  process.on("disconnect", interrupt);
  say({ kind: "ready", engine });
  try {
    for (;;) {
      const order = orders.shift();
      if (order === undefined) {
        if (stop.signal.aborted) return stopped;
        await wake.promise;
        wake = Promise.withResolvers();
      } else if (order.unit === null) return 0;
      else await train(units[order.unit]!);
    }
  } catch (error) {
    if (stop.signal.aborted) return stopped;
    throw error;
  }
}
