// The parent's half of an interrupt: SIGINT to the child and to what it has started, again while the child has not answered;
// after two seconds, a word that the work cannot be stopped; after that, a restart. The child's half: child/guard.ts, child/cells.ts.

import type { Task } from "./child-process.ts";
import type { Life } from "./life.ts";
import { commandLine, descendants, interruptTree } from "./process-tree.ts";

/** A signal that comes between two guarded calls does nothing, so it is sent again while the child has not answered. */
const RESEND_MS: readonly number[] = [15, 40, 80, 150, 300, 600, 1_000, 1_500];
const STUBBORN_MS = 2_000;

export interface InterruptOptions {
  /** Adds to stderr of a cell. */
  readonly say: (cell: string, text: string) => void;
  readonly isPending: (task: Task) => boolean;
  readonly restart: () => void;
}

interface Round {
  readonly tasks: readonly Task[];
  readonly timers: Set<ReturnType<typeof setTimeout>>;
  seen: boolean;
  told: boolean;
}

/** The interrupts of one evaluator: at most one round at a time is under way. */
export class Interrupts {
  readonly #options: InterruptOptions;
  #round: Round | null = null;

  constructor(options: InterruptOptions) {
    this.#options = options;
  }

  #isPending(round: Round): boolean {
    return !round.seen || round.tasks.some((task) => this.#options.isPending(task));
  }

  /**
   * Sends the signals. Gives what to call when the child has answered; null when this interrupt restarts the child instead.
   * `latest` is the cell that is told where nothing runs but a callback of an older cell.
   */
  begin(life: Life, tasks: readonly Task[], latest: string): (() => void) | null {
    const last = this.#round;
    if (last?.told === true && this.#isPending(last)) {
      this.clear();
      this.#options.restart();
      return null;
    }
    this.clear();
    const round: Round = { tasks, timers: new Set(), seen: false, told: false };
    this.#round = round;
    interruptTree(life.pid);
    for (const delay of RESEND_MS) {
      round.timers.add(
        setTimeout(() => {
          if (!round.seen && !life.over) interruptTree(life.pid);
        }, delay),
      );
    }
    round.timers.add(
      setTimeout(() => {
        if (life.over || !this.#isPending(round)) return;
        round.told = true;
        this.#tell(life, round, latest);
      }, STUBBORN_MS),
    );
    return () => {
      round.seen = true;
    };
  }

  #tell(life: Life, round: Round, latest: string): void {
    const pending = round.tasks.filter((task) => this.#options.isPending(task));
    const programs = descendants(life.pid)
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
      this.#options.say(
        latest,
        `The interrupt has not stopped it within 2 s. A callback of an earlier cell is ${where}. ${rest}`,
      );
    }
  }

  /** Forgets the round under way. */
  clear(): void {
    for (const timer of this.#round?.timers ?? []) clearTimeout(timer);
    this.#round = null;
  }
}
