// The object behind `bunsen/kernel` (its contract: ../runtime.ts): display, input, comms, payloads, packages.

import { readSync } from "node:fs";
import { ANSWER_DESCRIPTOR } from "../frames.ts";
import type { CommMessage } from "../port.ts";
import {
  type CommTarget,
  KERNEL_RUNTIME,
  type KernelRuntime,
  type RuntimeComm,
  type RuntimeCommExtras,
  type RuntimeCommMessage,
} from "../runtime.ts";
import { addPackages } from "./add.ts";
import { type CellState, callingCell, InterruptedError } from "./cells.ts";
import { flush, send, writeStream } from "./channel.ts";

/** Input was asked for where the front end takes none. */
export class InputNotAllowedError extends Error {
  override name = "InputNotAllowedError";
  constructor() {
    super(
      "Input was asked for, but this front end takes none (allow_stdin is false, as in nbconvert, nbclient and papermill). Give the value in the code instead.",
    );
  }
}

function cellId(): string {
  return callingCell()?.request.id ?? "";
}

let inputs = 0;
const waiting = new Map<
  number,
  { resolve: (value: string) => void; reject: (error: Error) => void; cell: CellState }
>();

function askable(): CellState {
  const cell = callingCell();
  if (cell === null || !cell.request.allowStdin || cell.ended) throw new InputNotAllowedError();
  return cell;
}

function ask(cell: CellState, prompt: string, password: boolean): number {
  const inputId = ++inputs;
  send({ type: "input_request", cell: cell.request.id, inputId, prompt, password });
  return inputId;
}

async function input(prompt: string, options?: { readonly password?: boolean }): Promise<string> {
  const cell = askable();
  const inputId = ask(cell, String(prompt), options?.password ?? false);
  return await new Promise<string>((resolve, reject) => waiting.set(inputId, { resolve, reject, cell }));
}

/** The front end's answer to `input`. */
export function answer(inputId: number, value: string): void {
  waiting.get(inputId)?.resolve(value);
  waiting.delete(inputId);
}

/** Gives up every question of these cells. */
export function cancelInputs(cells: ReadonlySet<CellState>): void {
  for (const [inputId, { reject, cell }] of waiting) {
    if (!cells.has(cell)) continue;
    waiting.delete(inputId);
    reject(new InterruptedError());
  }
}

/** Lines on the answer descriptor: `{"inputId": 3, "value": "text"}`; a value of null is an interrupt. */
function readAnswerLine(): { inputId: number; value: string | null } {
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  for (;;) {
    let count = 0;
    try {
      count = readSync(ANSWER_DESCRIPTOR, one, 0, 1, null);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === "EINTR") continue;
      if (code === "EAGAIN") {
        Bun.sleepSync(5);
        continue;
      }
      throw error;
    }
    if (count === 0) throw new Error("The kernel has gone while input was awaited.");
    if (one[0] === 10) return JSON.parse(Buffer.from(bytes).toString("utf8"));
    bytes.push(one[0] as number);
  }
}

function inputSync(prompt: string, options?: { readonly password?: boolean }): string {
  const cell = askable();
  const inputId = ++inputs;
  send({
    type: "input_request",
    cell: cell.request.id,
    inputId: -inputId,
    prompt: String(prompt),
    password: options?.password ?? false,
  });
  for (;;) {
    const line = readAnswerLine();
    if (line.inputId !== -inputId) continue;
    if (line.value === null) throw new InterruptedError();
    return line.value;
  }
}

const comms = new Map<string, Comm>();
const targets = new Map<string, CommTarget>();

type CommHandler = (message: RuntimeCommMessage) => void | Promise<void>;

class Comm implements RuntimeComm {
  readonly id: string;
  readonly targetName: string;
  closed = false;
  readonly messageHandlers: CommHandler[] = [];
  readonly closeHandlers: CommHandler[] = [];

  constructor(id: string, targetName: string) {
    this.id = id;
    this.targetName = targetName;
    comms.set(id, this);
  }

  send(data: Record<string, unknown>, extras?: RuntimeCommExtras): void {
    if (this.closed) throw new Error(`Comm ${this.id} (${this.targetName}) is closed; open a new one to send.`);
    sendComm("comm_msg", this, data, extras);
  }

  close(data: Record<string, unknown> = {}, extras?: RuntimeCommExtras): void {
    if (this.closed) return;
    this.closed = true;
    comms.delete(this.id);
    sendComm("comm_close", this, data, extras);
  }

  onMessage(handler: CommHandler): void {
    this.messageHandlers.push(handler);
  }

  onClose(handler: CommHandler): void {
    this.closeHandlers.push(handler);
  }
}

function sendComm(
  type: CommMessage["type"],
  comm: Comm,
  data: Record<string, unknown>,
  extras?: RuntimeCommExtras,
): void {
  send({
    type,
    cell: cellId(),
    commId: comm.id,
    ...(type === "comm_open" ? { targetName: comm.targetName } : {}),
    data,
    metadata: extras?.metadata ?? {},
    buffers: extras?.buffers ?? [],
  });
}

/** A comm message of the front end, given to the user's handlers. */
export async function receiveComm(message: CommMessage): Promise<void> {
  const received: RuntimeCommMessage = { data: message.data, metadata: message.metadata, buffers: message.buffers };
  if (message.type === "comm_open") {
    const comm = new Comm(message.commId, message.targetName ?? "");
    const target = targets.get(comm.targetName);
    if (target === undefined) {
      writeStream(cellId(), "stderr", `No comm target "${comm.targetName}" is registered; the comm was closed.\n`);
      comm.close();
    } else await target(comm, received);
    return;
  }
  const comm = comms.get(message.commId);
  if (comm === undefined) return;
  if (message.type === "comm_close") {
    comm.closed = true;
    comms.delete(comm.id);
  }
  for (const handler of message.type === "comm_close" ? comm.closeHandlers : comm.messageHandlers)
    await handler(received);
}

function ignore(): void {}

/** Puts the runtime and the globals `prompt`, `confirm` and `alert` in place. */
export function installKernelRuntime(cwd: string): void {
  const runtime: KernelRuntime = {
    version: 1,
    cwd,
    currentCell() {
      const cell = callingCell();
      if (cell === null) return null;
      const { id, executionCount, subshellId, silent, allowStdin } = cell.request;
      return { id, executionCount, subshellId, silent, allowStdin };
    },
    display({ data, metadata = {}, displayId, buffers }) {
      send({
        type: "display_data",
        cell: cellId(),
        data,
        metadata,
        transient: displayId === undefined ? {} : { display_id: displayId },
        ...(buffers === undefined ? {} : { buffers }),
      });
    },
    updateDisplay({ data, metadata = {}, displayId, buffers }) {
      send({
        type: "update_display_data",
        cell: cellId(),
        data,
        metadata,
        transient: { display_id: displayId },
        ...(buffers === undefined ? {} : { buffers }),
      });
    },
    clearOutput(wait) {
      send({ type: "clear_output", cell: cellId(), wait });
    },
    write(name, text) {
      writeStream(cellId(), name, text);
    },
    input,
    inputSync,
    openComm(targetName, data = {}, extras = {}) {
      const comm = new Comm(extras.commId ?? crypto.randomUUID(), targetName);
      sendComm("comm_open", comm, data, extras);
      return comm;
    },
    registerCommTarget(targetName, target) {
      targets.set(targetName, target);
    },
    unregisterCommTarget(targetName) {
      targets.delete(targetName);
    },
    page(data, start = 0) {
      callingCell()?.payload.push({ source: "page", data, start });
    },
    setNextInput(text, replace = false) {
      callingCell()?.payload.push({ source: "set_next_input", text, replace });
    },
    waitFor(work) {
      const cell = callingCell();
      if (cell === null || cell.ended) return;
      const settled: Promise<unknown> = work.then(ignore, ignore).then(() => cell.pending.delete(settled));
      cell.pending.add(settled);
    },
    add: addPackages,
  };
  Object.defineProperty(globalThis, KERNEL_RUNTIME, { value: Object.freeze(runtime), enumerable: false });
  const globals = {
    /** Bun's shell, as in its own examples: $`ls`. */
    $: Bun.$,
    prompt: (text: unknown = "Prompt", initial?: unknown): string | null => {
      flush();
      const value = inputSync(`${String(text)} `);
      return value === "" && initial !== undefined ? String(initial) : value;
    },
    confirm: (text: unknown = "Confirm"): boolean => /^y(?:es)?$/i.test(inputSync(`${String(text)} [y/N] `).trim()),
    alert: (text: unknown = "Alert"): void => {
      inputSync(`${String(text)} [Enter] `);
    },
  };
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
}
