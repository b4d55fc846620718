// What the child process that runs cells offers to `bunsen/kernel` (kernel/index.ts) and to the display room: the
// object at `globalThis[Symbol.for("bunsen.kernel")]`. Types and one accessor only, so that a module that a cell
// imports can be loaded outside a kernel too (a plain `bun script.ts`), where the object is absent.
// Not here: how anything is sent (child/), and what a value looks like (../display).

import type { MimeBundle } from "./port.ts";

/** One rich output. `displayId` names it for later updates. */
export interface DisplayOptions {
  readonly data: MimeBundle;
  readonly metadata?: Record<string, unknown>;
  readonly displayId?: string;
  readonly buffers?: readonly Uint8Array[];
}

/** The cell on whose behalf the calling code runs, also in a timer or a promise that outlived the cell. */
export interface RuntimeCell {
  /** msg_id of its execute_request. */
  readonly id: string;
  readonly executionCount: number;
  readonly subshellId: string | null;
  readonly silent: boolean;
  readonly allowStdin: boolean;
}

/** What a comm message brings; `buffers` are copies that the receiver owns. */
export interface RuntimeCommMessage {
  readonly data: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
  readonly buffers: readonly Uint8Array[];
}

/** What may be sent with a comm message beside its data. */
export interface RuntimeCommExtras {
  readonly metadata?: Record<string, unknown>;
  readonly buffers?: readonly Uint8Array[];
}

/** One open comm. */
export interface RuntimeComm {
  readonly id: string;
  readonly targetName: string;
  readonly closed: boolean;
  /** @throws Error after `close`. */
  send(data: Record<string, unknown>, extras?: RuntimeCommExtras): void;
  /** Closing twice does nothing. */
  close(data?: Record<string, unknown>, extras?: RuntimeCommExtras): void;
  /** Handlers run in order of registration; the front end's message counts as handled when all have settled. */
  onMessage(handler: (message: RuntimeCommMessage) => void | Promise<void>): void;
  onClose(handler: (message: RuntimeCommMessage) => void | Promise<void>): void;
}

/** Called when the front end opens a comm of a registered target. */
export type CommTarget = (comm: RuntimeComm, message: RuntimeCommMessage) => void | Promise<void>;

/** The runtime of one kernel child process. All functions may be called at any time, from any cell, timer or promise. */
export interface KernelRuntime {
  /** Grows by one with each incompatible change. */
  readonly version: 1;
  /** The notebook's folder. */
  readonly cwd: string;
  /** The calling cell; the latest one where the engine lost the caller; null before the first cell. */
  currentCell(): RuntimeCell | null;
  /** Publishes display_data in the calling cell. */
  display(output: DisplayOptions): void;
  /** Publishes update_display_data: every place that shows `displayId` changes. */
  updateDisplay(output: DisplayOptions & { readonly displayId: string }): void;
  /** Clears the calling cell's output; with `wait`, only when its next output comes. */
  clearOutput(wait: boolean): void;
  /** Adds to a stream of the calling cell, in order with everything else that it publishes. */
  write(name: "stdout" | "stderr", text: string): void;
  /** Asks the person at the front end. @throws InputNotAllowedError where the front end takes no input; InterruptedError on an interrupt. */
  input(prompt: string, options?: { readonly password?: boolean }): Promise<string>;
  /** The same, blocking the thread (what the globals `prompt` and `confirm` do). @throws as `input`. */
  inputSync(prompt: string, options?: { readonly password?: boolean }): string;
  /** Opens a comm on the front end's side. */
  openComm(
    targetName: string,
    data?: Record<string, unknown>,
    extras?: RuntimeCommExtras & { readonly commId?: string },
  ): RuntimeComm;
  /** Receives comms that the front end opens under this name; registering again replaces. Without a target, such a comm is closed at once. */
  registerCommTarget(targetName: string, target: CommTarget): void;
  unregisterCommTarget(targetName: string): void;
  /** Shows a bundle in the front end's pager when the calling cell ends (payload `page`). */
  page(data: MimeBundle, start?: number): void;
  /** Puts text in the next (or, with `replace`, this) input when the calling cell ends (payload `set_next_input`). */
  setNextInput(text: string, replace?: boolean): void;
  /**
   * The calling cell ends (its reply, its idle) only when this has settled too: a plot that is still being drawn when
   * the cell's own code is done. A rejection is the caller's to report, not this function's.
   */
  waitFor?(work: Promise<unknown>): void;
  /**
   * Installs npm packages (`zod`, `zod@^4`, `@scope/name@1.2.3`) for this notebook; importable at once.
   * @throws AddError with the installer's own words.
   */
  add(...packages: readonly string[]): Promise<void>;
}

/** Where the runtime lives on `globalThis`. */
export const KERNEL_RUNTIME: unique symbol = Symbol.for("bunsen.kernel") as never;

/** The runtime of the kernel that runs this code, or null outside a kernel. */
export function kernelRuntime(): KernelRuntime | null {
  const holder = globalThis as { [KERNEL_RUNTIME]?: KernelRuntime };
  return holder[KERNEL_RUNTIME] ?? null;
}
