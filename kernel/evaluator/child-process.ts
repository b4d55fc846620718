// The evaluator that the session talks to: gives cells to the child process, collects what comes back, stops what runs, and
// starts the process again when it ends. Not here: transforming or running code (child/), nor Jupyter's protocol.

import type { Command, Frame } from "./frames.ts";
import { Interrupts } from "./interrupts.ts";
import { Life, type LifeListener, type StreamName } from "./life.ts";
import type {
  CellRequest,
  CellResult,
  CommMessage,
  CreateEvaluator,
  Evaluator,
  EvaluatorOptions,
  MimeBundle,
  RuntimeProperty,
} from "./port.ts";
import { descendants, signalProcess } from "./process-tree.ts";

/** Native text is held back this long to be joined with what follows. */
const NATIVE_HOLD_MS = 10;
const NATIVE_HOLD_LENGTH = 64 * 1024;
/** How long a question about live values may take; a busy child answers none. */
const QUESTION_MS = 60;

/** A cell, or a comm message, that the child has been given. */
export interface Task {
  readonly sequence: number;
  /** msg_id of its request. */
  readonly cell: string;
  /** Null for a comm message. */
  readonly request: CellRequest | null;
  readonly isMain: boolean;
  /** When it was given, on the clock of `performance.now()`. */
  readonly begin: number;
  /** Its end, while what both native streams still hold is awaited. */
  frame: Extract<Frame, { type: "result" | "comm_done" }> | null;
  /** The native streams that may still hold something of it. */
  readonly undelivered: Set<StreamName>;
  readonly settle: (result: CellResult) => void;
}

/** What cells have started may take this long to end by itself. */
const TERM_MS = 50;

const LOST = "variables, imports and open resources of earlier cells are lost";

class ChildEvaluator implements Evaluator, LifeListener {
  readonly #options: EvaluatorOptions;
  readonly #tasks: Map<number, Task> = new Map();
  readonly #questions: Map<number, (frame: Frame | null) => void> = new Map();
  readonly #interrupts: Interrupts;
  readonly #blockingInputs: Set<number> = new Set();
  #waiting: (() => void)[] = [];
  #life: Life | null = null;
  #sequence = 0;
  #isDisposed = false;
  /** Said before the output of the next cell. */
  #notice: string | null = null;
  #isRestarting = false;
  #latestCell = "";
  /** Native text that is held back. */
  readonly #native: Record<StreamName, string> = { stdout: "", stderr: "" };

  constructor(options: EvaluatorOptions) {
    this.#options = options;
    this.#interrupts = new Interrupts({
      say: (cell, text) => options.onOutput({ type: "stream", cell, name: "stderr", text }),
      isPending: (task) => this.#tasks.has(task.sequence),
      settle: (life, signals) => life.send({ type: "settle_signals", signals }),
      restart: () => this.#restart(),
    });
    this.#start();
  }

  get pid(): number | null {
    return this.#life === null || this.#life.over ? null : this.#life.pid;
  }

  /** Starts the child; where that fails, the next cell says why and tries again. */
  #start(): string | null {
    try {
      this.#life = new Life(this.#options.cwd, this);
      return null;
    } catch (error) {
      this.#life = null;
      const why = `The process that runs cells cannot be started in ${this.#options.cwd}: ${error instanceof Error ? error.message : String(error)}`;
      this.#options.onLog(why);
      return why;
    }
  }

  onFrame(life: Life, frame: Frame): void {
    if (life !== this.#life) return;
    switch (frame.type) {
      case "ready":
        return;
      case "result":
      case "comm_done": {
        const task = this.#tasks.get(frame.sequence);
        if (task === undefined) return;
        task.frame = frame;
        this.#settleIfDelivered(task);
        return;
      }
      case "properties":
      case "inspected":
      case "interrupt_seen":
        this.#questions.get(frame.sequence)?.(frame);
        this.#questions.delete(frame.sequence);
        return;
      case "input_request":
        if (frame.inputId < 0) this.#blockingInputs.add(frame.inputId);
        this.#options.onOutput(frame);
        return;
      default:
        this.#options.onOutput(frame);
    }
  }

  onNative(life: Life, name: StreamName, text: string): void {
    if (life !== this.#life) return;
    if (this.#native[name] === "") setTimeout(() => this.#flushNative(), NATIVE_HOLD_MS);
    this.#native[name] += text;
    if (this.#native[name].length >= NATIVE_HOLD_LENGTH) this.#flushNative();
  }

  onMark(life: Life, name: StreamName, sequence: number): void {
    if (life !== this.#life) return;
    this.#flushNative();
    const task = this.#tasks.get(sequence);
    if (task === undefined) return;
    task.undelivered.delete(name);
    this.#settleIfDelivered(task);
  }

  /** Native output goes to the cell that runs when it arrives (the main shell's, if there are several), else to the latest. */
  #flushNative(): void {
    for (const name of ["stdout", "stderr"] as const) {
      const text = this.#native[name];
      if (text === "") continue;
      this.#native[name] = "";
      let cell = this.#latestCell;
      for (const task of this.#tasks.values()) if (task.isMain) cell = task.cell;
      this.#options.onOutput({ type: "stream", cell, name, text });
    }
  }

  /** Ends a task whose result has come and everything that was written before it. */
  #settleIfDelivered(task: Task): void {
    if (task.frame === null || task.undelivered.size > 0) return;
    this.#tasks.delete(task.sequence);
    this.#interrupts.progress();
    task.settle(resultOf(task.frame));
  }

  #give(task: Omit<Task, "frame" | "undelivered">, command: Command): void {
    if (this.#life?.over === true && !this.#isDisposed) {
      // It has just ended and is about to be started again.
      this.#waiting.push(() => this.#give(task, command));
      return;
    }
    const problem = this.#life === null ? this.#start() : null;
    if (this.#life === null || this.#isDisposed) {
      task.settle(failure(problem ?? "The evaluator has been stopped."));
      return;
    }
    this.#tasks.set(task.sequence, { ...task, frame: null, undelivered: new Set(["stdout", "stderr"]) });
    this.#life.send(command);
  }

  evaluate(cell: CellRequest): Promise<CellResult> {
    if (cell.warmUp !== true) this.#latestCell = cell.id;
    const sequence = ++this.#sequence;
    const isMain = cell.subshellId === null;
    return new Promise((settle) => {
      const task = { sequence, cell: cell.id, request: cell, isMain, begin: performance.now(), settle };
      this.#give(task, { type: "run", sequence, cell });
      if (this.#notice !== null)
        this.#options.onOutput({ type: "stream", cell: cell.id, name: "stderr", text: this.#notice });
      this.#notice = null;
    });
  }

  comm(cell: string, message: CommMessage, subshellId: string | null): Promise<void> {
    const sequence = ++this.#sequence;
    return new Promise((resolve) => {
      this.#give(
        { sequence, cell, request: null, isMain: false, begin: performance.now(), settle: () => resolve() },
        { type: "comm", sequence, cell, message, subshellId },
      );
    });
  }

  async interrupt(): Promise<void> {
    const life = this.#life;
    if (life === null || life.over) return;
    const tasks = [...this.#tasks.values()];
    const answered = this.#interrupts.begin(life, tasks, this.#latestCell);
    if (answered === null) return;
    const sequence = ++this.#sequence;
    this.#questions.set(sequence, (frame) => {
      if (frame !== null) answered();
    });
    life.send({ type: "interrupt", sequence, cells: tasks.map((task) => task.cell) });
    for (const inputId of this.#blockingInputs) life.answer(inputId, null);
    this.#blockingInputs.clear();
    await Promise.resolve();
  }

  #restart(): void {
    const life = this.#life;
    if (life === null || life.over) return;
    this.#isRestarting = true;
    for (const pid of descendants(life.pid)) signalProcess(pid, "SIGKILL");
    void life.kill();
  }

  answerInput(inputId: number, value: string): void {
    if (inputId >= 0) this.#life?.send({ type: "answer", inputId, value });
    else if (this.#blockingInputs.delete(inputId)) this.#life?.answer(inputId, value);
  }

  async #ask(make: (sequence: number) => Command): Promise<Frame | null> {
    const life = this.#life;
    if (life === null || life.over) return null;
    const sequence = ++this.#sequence;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#questions.delete(sequence);
        resolve(null);
      }, QUESTION_MS);
      this.#questions.set(sequence, (frame) => {
        clearTimeout(timer);
        resolve(frame);
      });
      life.send(make(sequence));
    });
  }

  async properties(expression: string): Promise<readonly RuntimeProperty[]> {
    const frame = await this.#ask((sequence) => ({ type: "properties", sequence, expression }));
    return frame?.type === "properties" ? frame.properties : [];
  }

  async inspect(expression: string): Promise<MimeBundle | null> {
    const frame = await this.#ask((sequence) => ({ type: "inspect", sequence, expression }));
    return frame?.type === "inspected" ? frame.data : null;
  }

  onEnd(life: Life): void {
    if (life !== this.#life) return;
    this.#flushNative();
    this.#interrupts.clear();
    this.#blockingInputs.clear();
    for (const answer of this.#questions.values()) answer(null);
    this.#questions.clear();
    const tasks = [...this.#tasks.values()];
    this.#tasks.clear();
    this.#life = null;
    if (this.#isDisposed) {
      for (const task of tasks) task.settle(failure("The evaluator has been stopped."));
      this.#giveWaiting();
      return;
    }
    const how = this.#isRestarting ? "was restarted by a second interrupt" : `ended with ${life.end}`;
    const message = `The process that runs cells ${how}: ${LOST}.`;
    this.#options.onLog(message);
    // Where no cell could say it, and after a restart, the next one does.
    if (this.#isRestarting || tasks.length === 0) this.#notice = `${message}\n`;
    this.#isRestarting = false;
    // One that never got as far as taking commands would end again: it is tried with the next cell.
    if (life.ready) this.#start();
    for (const task of tasks) {
      const result = failure(message);
      if (task.request?.silent === false) this.#options.onOutput({ type: "error", cell: task.cell, ...told(result) });
      task.settle(result);
    }
    this.#giveWaiting();
  }

  #giveWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const give of waiting) give();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#interrupts.clear();
    const life = this.#life;
    if (life === null) return;
    // What cells have started is asked to end, as a closing terminal would ask; the child itself has nothing to save.
    const started = descendants(life.pid);
    for (const pid of started) signalProcess(pid, "SIGTERM");
    await life.kill();
    if (started.length === 0) return;
    await Bun.sleep(TERM_MS);
    for (const pid of started) signalProcess(pid, "SIGKILL");
  }
}

type Failure = Extract<CellResult, { status: "error" }>;

function failure(evalue: string): Failure {
  const ename = "EvaluatorEnded";
  return { status: "error", ename, evalue, traceback: [`\u001b[31m\u001b[1m${ename}\u001b[0m: ${evalue}`] };
}

function told({ ename, evalue, traceback }: Failure): Pick<Failure, "ename" | "evalue" | "traceback"> {
  return { ename, evalue, traceback };
}

function resultOf(frame: Extract<Frame, { type: "result" | "comm_done" }>): CellResult {
  if (frame.type === "comm_done") return { status: "ok", userExpressions: {}, payload: [] };
  const { status, ename = "", evalue = "", traceback = [], userExpressions, payload } = frame.result;
  return status === "ok"
    ? { status, userExpressions, payload }
    : { status, ename, evalue, traceback, userExpressions, payload };
}

export const createEvaluator: CreateEvaluator = (options) => new ChildEvaluator(options);
