// The evaluator that the session talks to: owns the child process that runs cells, reads its frames and its native output,
// stops it, and starts it again when it dies. Not here: transforming or running code (child/), nor Jupyter's protocol.

import { randomBytes } from "node:crypto";
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Command, type Frame, FrameDecoder, markPrefix } from "./frames.ts";
import type {
  CellRequest,
  CellResult,
  CommMessage,
  CreateEvaluator,
  Evaluator,
  EvaluatorOptions,
  MimeBundle,
  Output,
  RuntimeProperty,
} from "./port.ts";

const CHILD: string = join(import.meta.dir, "child/main.ts");

/** After the first interrupt, how long until it is said that the work cannot be stopped. */
const STUBBORN_MS = 2_000;
/** A signal that came between two guards did nothing: it is sent again while the child has not answered. */
const RESEND_MS: readonly number[] = [15, 40, 90, 200, 500, 1_000];
const NATIVE_HOLD_MS = 10;
const QUESTION_MS = 100;

type StreamName = "stdout" | "stderr";

/** A cell or comm handler that the child has been given. */
interface Task {
  readonly sequence: number;
  readonly request: CellRequest | null;
  readonly cell: string;
  readonly main: boolean;
  /** Its result, while the marks of both streams are awaited. */
  frame: Extract<Frame, { type: "result" | "comm_done" }> | null;
  readonly settle: (result: CellResult) => void;
}

/** One life of the child. */
interface Life {
  readonly process: Subprocess;
  readonly nonce: string;
  readonly answers: number;
  readonly tasks: Map<number, Task>;
  readonly questions: Map<number, (frame: Frame | null) => void>;
  readonly native: Record<StreamName, NativeStream>;
  over: boolean;
}

interface NativeStream {
  /** Bytes that may be the beginning of a mark. */
  rest: string;
  text: string;
  mark: number;
  readonly decoder: TextDecoder;
}

/** Why a process ended, in words. */
function describeEnd(process: Subprocess): string {
  if (process.signalCode !== null) {
    const words: Record<string, string> = {
      SIGABRT: "it aborted",
      SIGSEGV: "a segmentation fault",
      SIGBUS: "a bus error",
      SIGILL: "an illegal instruction, which Bun also raises when it runs out of memory or panics",
      SIGTRAP: "a trap, which Bun also raises when it runs out of memory or panics",
      SIGKILL: "it was killed, as by the system when memory runs out",
      SIGFPE: "an arithmetic fault in native code",
      SIGTERM: "it was told to end",
    };
    const why = words[process.signalCode];
    return `signal ${process.signalCode}${why === undefined ? "" : ` (${why})`}`;
  }
  return `exit code ${process.exitCode ?? "unknown"}`;
}

class ChildEvaluator implements Evaluator {
  readonly #options: EvaluatorOptions;
  #life: Life;
  #sequence = 0;
  #disposed = false;
  /** Said before the output of the next cell. */
  #notice: string | null = null;
  #latestCell = "";
  #interrupts: { told: boolean; tasks: Set<Task>; timers: Set<ReturnType<typeof setTimeout>> } | null = null;

  constructor(options: EvaluatorOptions) {
    this.#options = options;
    this.#life = this.#spawn();
  }

  get pid(): number | null {
    return this.#life.over ? null : this.#life.process.pid;
  }

  #spawn(): Life {
    const nonce = randomBytes(12).toString("hex");
    const life: { current: Life | null } = { current: null };
    const process_ = Bun.spawn([process.execPath, "--no-install", CHILD, this.#options.cwd, nonce], {
      cwd: this.#options.cwd,
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
      serialization: "advanced",
      ipc: () => {},
      onExit: () => {
        if (life.current !== null) this.#onExit(life.current);
      },
    });
    const stream = (): NativeStream => ({ rest: "", text: "", mark: 0, decoder: new TextDecoder() });
    const stdio = process_.stdio as unknown as (number | null)[];
    const made: Life = {
      process: process_,
      nonce,
      answers: stdio[4] as number,
      tasks: new Map(),
      questions: new Map(),
      native: { stdout: stream(), stderr: stream() },
      over: false,
    };
    life.current = made;
    const frames = new FrameDecoder();
    void Bun.connect({
      fd: stdio[3] as number,
      socket: {
        data: (_socket: unknown, chunk: Uint8Array): void => {
          for (const frame of frames.push(chunk)) this.#onFrame(made, frame);
        },
      },
    } as never);
    void this.#readNative(made, "stdout", process_.stdout as ReadableStream<Uint8Array>);
    void this.#readNative(made, "stderr", process_.stderr as ReadableStream<Uint8Array>);
    return made;
  }

  #send(life: Life, command: Command): void {
    if (!life.over) life.process.send(command);
  }

  #onFrame(life: Life, frame: Frame): void {
    switch (frame.type) {
      case "ready":
        return;
      case "result":
      case "comm_done": {
        const task = life.tasks.get(frame.sequence);
        if (task !== undefined) task.frame = frame;
        this.#settleReady(life);
        return;
      }
      case "properties":
      case "inspected":
      case "interrupt_seen":
        life.questions.get(frame.sequence)?.(frame);
        life.questions.delete(frame.sequence);
        return;
      default:
        this.#options.onOutput(frame);
    }
  }

  async #readNative(life: Life, name: StreamName, readable: ReadableStream<Uint8Array>): Promise<void> {
    const stream = life.native[name];
    const prefix = markPrefix(life.nonce);
    for await (const chunk of readable) {
      stream.rest += stream.decoder.decode(chunk, { stream: true });
      for (;;) {
        const at = stream.rest.indexOf(prefix);
        if (at < 0) break;
        const end = stream.rest.indexOf("\u0007", at);
        if (end < 0) break;
        this.#addNative(life, name, stream.rest.slice(0, at));
        stream.mark = Math.max(stream.mark, Number(stream.rest.slice(at + prefix.length, end)));
        stream.rest = stream.rest.slice(end + 1);
        this.#flushNative(life);
        this.#settleReady(life);
      }
      // A mark may be cut in two by the pipe: what could begin one waits.
      const begin = stream.rest.lastIndexOf("\u001b");
      const keep =
        begin >= 0 && (stream.rest.slice(begin).startsWith(prefix) || prefix.startsWith(stream.rest.slice(begin)));
      const whole = keep ? begin : stream.rest.length;
      this.#addNative(life, name, stream.rest.slice(0, whole));
      stream.rest = stream.rest.slice(whole);
    }
  }

  #addNative(life: Life, name: StreamName, text: string): void {
    if (text === "") return;
    const stream = life.native[name];
    if (stream.text === "") setTimeout(() => this.#flushNative(life), NATIVE_HOLD_MS);
    stream.text += text;
    if (stream.text.length > 64 * 1024) this.#flushNative(life);
  }

  /** Native output goes to the cell that runs when it arrives, else to the latest. */
  #flushNative(life: Life): void {
    for (const name of ["stdout", "stderr"] as const) {
      const stream = life.native[name];
      if (stream.text === "") continue;
      const { text } = stream;
      stream.text = "";
      let cell = this.#latestCell;
      for (const task of life.tasks.values()) if (task.main) cell = task.cell;
      this.#options.onOutput({ type: "stream", cell, name, text });
    }
  }

  /** Tasks whose result and marks have all come. */
  #settleReady(life: Life): void {
    const { stdout, stderr } = life.native;
    for (const [sequence, task] of life.tasks) {
      if (task.frame === null || stdout.mark < sequence || stderr.mark < sequence) continue;
      life.tasks.delete(sequence);
      task.settle(resultOf(task.frame));
    }
  }

  evaluate(cell: CellRequest): Promise<CellResult> {
    if (this.#disposed) return Promise.resolve(crash("The evaluator has been stopped."));
    this.#latestCell = cell.id;
    if (this.#notice !== null) {
      this.#options.onOutput({ type: "stream", cell: cell.id, name: "stderr", text: this.#notice });
      this.#notice = null;
    }
    const sequence = ++this.#sequence;
    const life = this.#life;
    return new Promise((resolve) => {
      life.tasks.set(sequence, {
        sequence,
        request: cell,
        cell: cell.id,
        main: cell.subshellId === null,
        frame: null,
        settle: resolve,
      });
      this.#send(life, { type: "run", sequence, cell });
    });
  }

  comm(cell: string, message: CommMessage, subshellId: string | null): Promise<void> {
    const sequence = ++this.#sequence;
    const life = this.#life;
    return new Promise((resolve) => {
      life.tasks.set(sequence, { sequence, request: null, cell, main: false, frame: null, settle: () => resolve() });
      this.#send(life, { type: "comm", sequence, cell, message, subshellId });
    });
  }

  async interrupt(): Promise<void> {
    const life = this.#life;
    if (this.#interrupts?.told) {
      this.#restart(life);
      return;
    }
    const tasks = new Set(life.tasks.values());
    if (tasks.size === 0) return;
    const sequence = ++this.#sequence;
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const round = { told: false, tasks, timers };
    for (const timer of this.#interrupts?.timers ?? []) clearTimeout(timer);
    this.#interrupts = round;
    const pending = (): boolean => [...tasks].some((task) => life.tasks.has(task.sequence));
    let seen = false;
    life.questions.set(sequence, () => {
      seen = true;
    });
    signalTree(life.process.pid);
    this.#send(life, { type: "interrupt", sequence, cells: [...tasks].map((task) => task.cell) });
    for (const task of tasks) this.#writeAnswer(life, -1, null, task);
    for (const delay of RESEND_MS) {
      timers.add(
        setTimeout(() => {
          if (!seen && !life.over && pending()) signalTree(life.process.pid);
        }, delay),
      );
    }
    timers.add(
      setTimeout(() => {
        if (life.over || !pending()) {
          if (this.#interrupts === round) this.#interrupts = null;
          return;
        }
        round.told = true;
        this.#tellStubborn(life, tasks);
      }, STUBBORN_MS),
    );
    await Promise.resolve();
  }

  #tellStubborn(life: Life, tasks: ReadonlySet<Task>): void {
    for (const task of tasks) {
      if (!life.tasks.has(task.sequence)) continue;
      const first = task.request?.code.trim().split("\n")[0]?.slice(0, 80) ?? "a comm handler";
      const what = task.request === null ? "a comm handler" : `cell [${task.request.executionCount}] (${first})`;
      this.#options.onOutput({
        type: "stream",
        cell: task.cell,
        name: "stderr",
        text: `The interrupt has not stopped ${what}: it is in native code, or in a loop of a library's after an await. Interrupt once more to restart the evaluator; all variables will be lost.\n`,
      });
    }
  }

  #restart(life: Life): void {
    this.#interrupts = null;
    this.#options.onLog("The evaluator was restarted by a second interrupt; its state is lost.");
    this.#notice =
      "The evaluator was restarted by an interrupt: variables, imports and open resources of earlier cells are lost.\n";
    for (const pid of descendants(life.process.pid)) kill(pid, "SIGKILL");
    life.process.kill("SIGKILL");
  }

  answerInput(inputId: number, value: string): void {
    if (inputId < 0) this.#writeAnswer(this.#life, inputId, value, null);
    else this.#send(this.#life, { type: "answer", inputId, value });
  }

  #writeAnswer(life: Life, inputId: number, value: string | null, _task: Task | null): void {
    if (life.over || (value === null && inputId === -1)) return;
    writeSync(life.answers, `${JSON.stringify({ inputId, value })}\n`);
  }

  async #question(make: (sequence: number) => Command): Promise<Frame | null> {
    const life = this.#life;
    const sequence = ++this.#sequence;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => {
        life.questions.delete(sequence);
        resolve(null);
      }, QUESTION_MS);
      life.questions.set(sequence, (frame) => {
        clearTimeout(timer);
        resolve(frame);
      });
      this.#send(life, make(sequence));
    });
  }

  async properties(expression: string): Promise<readonly RuntimeProperty[]> {
    const frame = await this.#question((sequence) => ({ type: "properties", sequence, expression }));
    return frame?.type === "properties" ? frame.properties : [];
  }

  async inspect(expression: string): Promise<MimeBundle | null> {
    const frame = await this.#question((sequence) => ({ type: "inspect", sequence, expression }));
    return frame?.type === "inspected" ? frame.data : null;
  }

  #onExit(life: Life): void {
    if (life.over) return;
    life.over = true;
    this.#flushNative(life);
    for (const answer of life.questions.values()) answer(null);
    const why = describeEnd(life.process);
    if (this.#disposed) {
      for (const task of life.tasks.values()) task.settle(crash("The evaluator has been stopped."));
      return;
    }
    this.#options.onLog(`The evaluator ended with ${why}; it is started again.`);
    const wasRestart = this.#notice !== null;
    const message = wasRestart
      ? "The evaluator was restarted by an interrupt; variables are lost."
      : `The process that runs cells ended with ${why}. It has been started again; variables are lost.`;
    if (life.tasks.size === 0) this.#notice ??= `${message}\n`;
    this.#life = this.#spawn();
    for (const task of life.tasks.values()) {
      const result = crash(message);
      if (result.status === "error" && !task.request?.silent) {
        const { ename, evalue, traceback } = result;
        this.#options.onOutput({ type: "error", cell: task.cell, ename, evalue, traceback } satisfies Output);
      }
      task.settle(result);
    }
    life.tasks.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const timer of this.#interrupts?.timers ?? []) clearTimeout(timer);
    this.#life.process.kill("SIGKILL");
    await this.#life.process.exited;
  }
}

function crash(evalue: string): CellResult {
  return {
    status: "error",
    ename: "EvaluatorExited",
    evalue,
    traceback: [`\u001b[31m\u001b[1mEvaluatorExited\u001b[0m: ${evalue}`],
  };
}

function resultOf(frame: Extract<Frame, { type: "result" | "comm_done" }>): CellResult {
  if (frame.type === "comm_done") return { status: "ok", userExpressions: {}, payload: [] };
  const { status, ename = "", evalue = "", traceback = [], userExpressions, payload } = frame.result;
  return status === "ok"
    ? { status, userExpressions, payload }
    : { status, ename, evalue, traceback, userExpressions, payload };
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

/** Processes started by `pid` and theirs, from /proc; none where there is no /proc. */
function descendants(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map(Number);
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    return [];
  }
}

/** SIGINT to a process and all that it has started, as a terminal's Ctrl-C would. */
function signalTree(pid: number): void {
  for (const child of descendants(pid)) kill(child, "SIGINT");
  kill(pid, "SIGINT");
}

export const createEvaluator: CreateEvaluator = (options) => new ChildEvaluator(options);
