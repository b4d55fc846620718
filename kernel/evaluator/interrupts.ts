// The parent's half of an interrupt. The child is asked first: while its event loop turns, it ends the awaits of its cells by
// itself. Only where it does not answer does SIGINT follow, which stops a running script; after two seconds, a word that the
// work cannot be stopped; on a further interrupt, a restart. The child's half: child/guard.ts, child/cells.ts.
//
// Why not the signal at once: one that comes while a guarded call is about to end is remembered by the engine and stops some
// later call (seen on Bun 1.4.5). So signals are rare, counted, and after each round the child is told to use up what is left.

import type { Task } from "./child-process.ts";
import type { Life } from "./life.ts";
import { commandLine, descendants, processorTime, signalProcess, youngDescendants } from "./process-tree.ts";

/** How long an idle child may take to answer; then when to signal again, should the signal have come between two guarded calls. */
const SIGNAL_MS: readonly number[] = [3, 30, 70, 150, 300, 600, 1_000, 1_500];
const STUBBORN_MS = 2_000;
/** A child that has computed for this long since it was asked, and not answered, is busy; on a machine that gives it no time it may yet answer. */
const BUSY_MS = 1.5;
/** So long the first signal may wait for that. */
const STARVED_MS = 25;
/** Start times of processes are known to a hundredth of a second. */
const AGE_SLACK_MS = 20;

export interface InterruptOptions {
  /** Adds to stderr of a cell. */
  readonly say: (cell: string, text: string) => void;
  readonly isPending: (task: Task) => boolean;
  /** Tells the child how many signals were sent to it, so that it uses up what it has not noticed. */
  readonly settle: (life: Life, signals: number) => void;
  readonly restart: () => void;
}

interface Round {
  readonly life: Life;
  readonly tasks: readonly Task[];
  /** The cell that is told where nothing runs but a callback of an older one. */
  readonly latest: string;
  readonly timers: Set<ReturnType<typeof setTimeout>>;
  readonly begin: number;
  /** Processor time of the child when it was asked; null where that is not known. */
  readonly processor: number | null;
  /** Whether the child has answered. */
  seen: boolean;
  told: boolean;
}

/** The interrupts of one evaluator: at most one round at a time is under way. */
export class Interrupts {
  readonly #options: InterruptOptions;
  #round: Round | null = null;
  readonly #signals: WeakMap<Life, number> = new WeakMap();

  constructor(options: InterruptOptions) {
    this.#options = options;
  }

  #isOver(round: Round): boolean {
    if (round.life.over) return true;
    if (round.tasks.length === 0) return round.seen;
    return !round.tasks.some((task) => this.#options.isPending(task));
  }

  /** Begins a round; gives what to call when the child has answered it, or null when this interrupt restarts the child instead. */
  begin(life: Life, tasks: readonly Task[], latest: string): (() => void) | null {
    const last = this.#round;
    if (last?.told === true && !this.#isOver(last)) {
      this.clear();
      this.#options.restart();
      return null;
    }
    this.#end();
    const [begin, processor] = [performance.now(), processorTime(life.pid)];
    const round: Round = { life, tasks, latest, timers: new Set(), begin, processor, seen: false, told: false };
    this.#round = round;
    for (const delay of SIGNAL_MS) round.timers.add(setTimeout(() => this.#signal(round), delay));
    round.timers.add(
      setTimeout(() => {
        if (this.#isOver(round)) return;
        round.told = true;
        this.#tell(round);
      }, STUBBORN_MS),
    );
    return () => this.#answered(round);
  }

  /** The child has answered: its event loop turns, so no signal is needed but for the programs that the cells wait for. */
  #answered(round: Round): void {
    round.seen = true;
    if (round !== this.#round) return;
    if (!this.#isOver(round)) for (const pid of this.#programs(round)) signalProcess(pid, "SIGINT");
    this.progress();
  }

  /** To be called when a task has ended. */
  progress(): void {
    if (this.#round !== null && this.#isOver(this.#round)) this.#end();
  }

  #programs(round: Round): number[] {
    const age = Math.max(-1, ...round.tasks.map(({ begin }) => performance.now() - begin + AGE_SLACK_MS));
    return youngDescendants(round.life.pid, age);
  }

  #signal(round: Round): void {
    if (round.seen || this.#isOver(round)) return;
    const programs = this.#programs(round);
    if (programs.length === 0 && this.#isStarved(round)) {
      round.timers.add(setTimeout(() => this.#signal(round), SIGNAL_MS[0]));
      return;
    }
    this.#signals.set(round.life, (this.#signals.get(round.life) ?? 0) + 1);
    signalProcess(round.life.pid, "SIGINT");
    for (const pid of programs) signalProcess(pid, "SIGINT");
  }

  #isStarved(round: Round): boolean {
    if (performance.now() - round.begin > STARVED_MS) return false;
    const now = round.processor === null ? null : processorTime(round.life.pid);
    return now !== null && round.processor !== null && now - round.processor < BUSY_MS;
  }

  #tell(round: Round): void {
    const pending = round.tasks.filter((task) => this.#options.isPending(task));
    const programs = descendants(round.life.pid)
      .map((pid) => commandLine(pid))
      .filter((text) => text !== null);
    const where =
      programs.length > 0
        ? `waiting for ${programs.slice(0, 3).join("; ")}`
        : "in native code, or in a loop of library code that follows an await";
    const rest = "Interrupt once more to restart the evaluator: all variables will be lost.\n";
    for (const task of pending) {
      const first = task.request?.code.trim().split("\n")[0]?.slice(0, 80) ?? "";
      const what = task.request === null ? "A comm handler" : `Cell [${task.request.executionCount}] (${first})`;
      this.#options.say(task.cell, `The interrupt has not stopped it within 2 s. ${what} is ${where}. ${rest}`);
    }
    if (pending.length === 0) {
      const what = "A callback of an earlier cell";
      this.#options.say(round.latest, `The interrupt has not stopped it within 2 s. ${what} is ${where}. ${rest}`);
    }
  }

  /** Ends the round under way. */
  #end(): void {
    const round = this.#round;
    this.clear();
    const signals = round === null ? 0 : (this.#signals.get(round.life) ?? 0);
    if (round !== null && signals > 0 && !round.life.over) this.#options.settle(round.life, signals);
  }

  /** Forgets the round under way. */
  clear(): void {
    for (const timer of this.#round?.timers ?? []) clearTimeout(timer);
    this.#round = null;
  }
}
