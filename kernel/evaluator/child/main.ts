// The process that runs cells: started by ../child-process.ts with `<cwd> <nonce>`, commanded on
// descriptor 5, answering on descriptor 3. Not here: anything of Jupyter's protocol.

import vm from "node:vm";
import { COMMAND_DESCRIPTOR, type Command, decodeCommand, endMark, FrameDecoder, type FrameResult } from "../frames.ts";
import type { CellRequest } from "../port.ts";
import { transformCell } from "../transform.ts";
import { installCallbacks } from "./callbacks.ts";
import {
  asCell,
  beginCell,
  type CellState,
  callingCell,
  endCell,
  enterCell,
  forgetCell,
  InterruptedError,
  interruptCell,
  latestCell,
  type Outcome,
  runningCell,
  setStrayStop,
} from "./cells.ts";
import { flush, send, sendWithNext, writeMarks, writeStream } from "./channel.ts";
import { cellOfError, type ErrorReport, reportError, reportInterrupt, reportProblems, scriptName } from "./errors.ts";
import { formatResult } from "./format.ts";
import { noticeSignal, settleSignals } from "./guard.ts";
import { inspectExpression, propertiesOf } from "./introspect.ts";
import { answer, cancelInputs, installKernelRuntime, receiveComm } from "./kernel-runtime.ts";
import { installModules } from "./modules.ts";
import { installScriptRuntime, transformContext } from "./script-runtime.ts";
import { holdSigint } from "./sigint-hold.ts";
import { installStreams } from "./streams.ts";

const later = setTimeout;
const [cwd = process.cwd(), nonce = ""] = process.argv.slice(2);
process.argv.length = 2;
process.argv[1] = `${cwd}/notebook.ts`;

/** Frames of a stack that the engine keeps; its own default of 10 leaves little beside the kernel's. */
const STACK_FRAMES = 40;
Error.stackTraceLimit = STACK_FRAMES;

/** How long an interrupted cell may take for its `finally` blocks before it is given up. */
const GRACE_MS = 1_000;

function newCell(
  sequence: number,
  request: CellRequest,
  onEnd: (state: CellState, outcome: Outcome) => void,
): CellState {
  const state: CellState = {
    sequence,
    request,
    payload: [],
    awaits: new Set(),
    pending: new Set(),
    interrupts: 0,
    ended: false,
    abandoned: false,
    onEnd: (outcome) => onEnd(state, outcome),
  };
  return state;
}

function finish(state: CellState, result: FrameResult): void {
  writeMarks(endMark(nonce, state.sequence));
  forgetCell(state);
  send({ type: "result", sequence: state.sequence, result });
}

function fail(state: CellState, report: ErrorReport, userExpressions: Record<string, unknown> = {}): void {
  const { ename, evalue, traceback } = report;
  if (!state.request.silent) send({ type: "error", cell: state.request.id, ename, evalue, traceback });
  finish(state, { status: "error", ename, evalue, traceback, userExpressions, payload: state.payload });
}

/** Runs code of a cell's and tells how it ended. */
function start(state: CellState, code: string): void {
  const context = transformContext(state.sequence);
  const transformed = transformCell(code, context);
  if (!transformed.ok) {
    fail(state, reportProblems(state, transformed.problems));
    return;
  }
  asCell(state, () =>
    enterCell(state, () => {
      try {
        const script = new vm.Script(transformed.code, { filename: scriptName(state, context) });
        const run = script.runInThisContext() as () => unknown;
        const result = run();
        if (transformed.isAsync) {
          (result as Promise<readonly [unknown] | undefined>).then(
            (box) => endCell(state, { type: "value", box }),
            (error) => endCell(state, { type: "error", error }),
          );
        } else endCell(state, { type: "value", box: result as readonly [unknown] | undefined });
      } catch (error) {
        endCell(state, { type: "error", error });
      }
    }),
  );
}

/** What user code may still do for a cell that has ended: show its value, evaluate its user expressions. */
async function conclude(state: CellState, box: readonly [unknown] | undefined): Promise<FrameResult> {
  const { request } = state;
  while (state.pending.size > 0) await Promise.all(state.pending);
  if (box !== undefined && box[0] !== undefined && !request.silent) {
    if (request.warmUp !== true) (globalThis as { _?: unknown })._ = box[0];
    const { data, metadata } = await formatResult(box[0]);
    // An empty bundle means that the value is not to be shown (what `display` returns, for one).
    if (Object.keys(data).length > 0) {
      const { id, executionCount } = request;
      const output = { type: "execute_result", cell: id, executionCount, data, metadata } as const;
      // Expressions may take long; otherwise the cell's end follows at once.
      if (Object.keys(request.userExpressions).length > 0) send(output);
      else sendWithNext(output);
    }
  }
  return { status: "ok", userExpressions: await userExpressions(state), payload: state.payload };
}

async function userExpressions(state: CellState): Promise<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const [name, code] of Object.entries(state.request.userExpressions)) {
    try {
      const transformed = transformCell(code, transformContext(state.sequence));
      if (!transformed.ok) throw new SyntaxError(transformed.problems[0]?.message ?? "cannot be parsed");
      const run = new vm.Script(transformed.code, {
        filename: "bunsen:expression",
      }).runInThisContext() as () => unknown;
      const box = (await run()) as readonly [unknown] | undefined;
      values[name] = { status: "ok", ...(await formatResult(box?.[0])) };
    } catch (error) {
      values[name] = { status: "error", ...reportError(error) };
    }
  }
  return values;
}

function onCellEnd(state: CellState, outcome: Outcome): void {
  if (outcome.type === "interrupted" || (outcome.type === "error" && outcome.error instanceof InterruptedError)) {
    fail(state, outcome.type === "error" ? reportError(outcome.error) : reportInterrupt());
    return;
  }
  if (outcome.type === "error") {
    fail(state, reportError(outcome.error));
    return;
  }
  // Formatting runs user code too (getters, display methods), so it is a second thing that an interrupt can end.
  state.ended = false;
  let concluded = false;
  state.onEnd = (second): void => {
    if (concluded) return;
    concluded = true;
    if (second.type === "value") finish(state, second.box?.[0] as FrameResult);
    else fail(state, second.type === "error" ? reportError(second.error) : reportInterrupt());
  };
  const { box } = outcome;
  asCell(state, () =>
    enterCell(state, () => {
      conclude(state, box).then(
        (result) => endCell(state, { type: "value", box: [result] }),
        (error) => endCell(state, { type: "error", error }),
      );
    }),
  );
}

function run(sequence: number, request: CellRequest): void {
  const state = newCell(sequence, request, onCellEnd);
  beginCell(state);
  try {
    start(state, request.code);
  } catch (error) {
    // A fault of the kernel's own must not leave the cell without an end.
    endCell(state, { type: "error", error });
  }
}

function comm(command: Extract<Command, { type: "comm" }>): void {
  const request: CellRequest = {
    id: command.cell,
    code: "",
    executionCount: 0,
    silent: false,
    storeHistory: false,
    allowStdin: false,
    userExpressions: {},
    subshellId: command.subshellId,
  };
  const state = newCell(command.sequence, request, (ended, outcome) => {
    if (outcome.type === "error")
      writeStream(ended.request.id, "stderr", `${reportError(outcome.error).traceback.join("\n")}\n`);
    flush();
    writeMarks(endMark(nonce, ended.sequence));
    forgetCell(ended);
    send({ type: "comm_done", sequence: ended.sequence });
  });
  beginCell(state);
  asCell(state, () =>
    enterCell(state, () => {
      receiveComm(command.message).then(
        () => endCell(state, { type: "value", box: undefined }),
        (error) => endCell(state, { type: "error", error }),
      );
    }),
  );
}

function interrupt(sequence: number, ids: readonly string[]): void {
  const cells = ids.map((id) => runningCell(id)).filter((state) => state !== undefined);
  send({ type: "interrupt_seen", sequence });
  cancelInputs(new Set(cells));
  for (const state of cells) interruptCell(state);
  const left = cells.filter((state) => !state.ended);
  if (left.length === 0) return;
  later(() => {
    for (const state of left) {
      if (state.ended) continue;
      state.abandoned = true;
      endCell(state, { type: "interrupted" });
    }
  }, GRACE_MS);
}

function obey(command: Command): void {
  switch (command.type) {
    case "run":
      run(command.sequence, command.cell);
      return;
    case "comm":
      comm(command);
      return;
    case "interrupt":
      interrupt(command.sequence, command.cells);
      return;
    case "settle_signals":
      settleSignals(command.signals);
      return;
    case "answer":
      answer(command.inputId, command.value);
      return;
    case "properties":
      send({ type: "properties", sequence: command.sequence, properties: propertiesOf(command.expression) });
      return;
    case "inspect":
      send({ type: "inspected", sequence: command.sequence, data: inspectExpression(command.expression) });
      return;
  }
}

const commands = new FrameDecoder(decodeCommand);
void Bun.connect({
  fd: COMMAND_DESCRIPTOR,
  socket: {
    data(_socket: unknown, chunk: Uint8Array): void {
      for (const command of commands.push(chunk)) {
        try {
          obey(command);
        } catch (error) {
          // A fault of the kernel's own must not take the commands behind it along.
          stray("Internal error", error);
        }
      }
    },
    // The kernel has gone: nobody reads on, nobody can stop us.
    close: () => process.exit(0),
    error: () => process.exit(0),
  },
  // Bun's own types do not know that `connect` takes an open descriptor.
} as never);

// An interrupt that arrives between two guards is told by the command that follows it.
holdSigint(noticeSignal);
process.on("exit", flush);

function stray(title: string, error: unknown): void {
  if (error instanceof InterruptedError) return;
  const state = cellOfError(error) ?? callingCell() ?? latestCell();
  const { traceback } = reportError(error);
  writeStream(state?.request.id ?? "", "stderr", `${title}:\n${traceback.join("\n")}\n`);
}
process.on("uncaughtException", (error) => stray("Uncaught error", error));
process.on("unhandledRejection", (error) => stray("Unhandled promise rejection", error));
setStrayStop((state) => {
  const cell = state ?? latestCell();
  writeStream(cell?.request.id ?? "", "stderr", "A callback of this cell was interrupted.\n");
});

installStreams();
installCallbacks();
installModules(cwd);
installKernelRuntime(cwd);
installScriptRuntime(cwd);
send({ type: "ready" });
