// What a handler of a request may use, and the shape of a row in the table of handlers. Types only: kernel.ts makes the
// one Session there is, handlers/ has one file for each request.

import type { Evaluator, MimeBundle, RuntimeProperty } from "../evaluator/port.ts";
import type { Language, TypeErrors } from "../language/contract.ts";
import type { ConnectionInfo } from "../protocol/connection-file.ts";
import type { Channel, Content, Message } from "../protocol/messages.ts";
import type { History } from "./history.ts";
import type { Inputs } from "./inputs.ts";
import type { Outputs } from "./outputs.ts";
import type { Publisher } from "./publisher.ts";
import type { Shell, Shells } from "./shells.ts";

/** A request on its way: the message, the channel it came by and the shell (main or subshell) that it is for. */
export interface Request {
  readonly channel: Channel;
  readonly message: Message;
  readonly shell: Shell;
}

export interface Session {
  readonly id: string;
  readonly connection: ConnectionInfo;
  readonly publisher: Publisher;
  readonly outputs: Outputs;
  readonly inputs: Inputs;
  readonly shells: Shells;
  /** Open comms: id → target name, truthful for both sides' opens and closes. */
  readonly comms: Map<string, string>;
  /** Runtime properties of an expression; empty where the evaluator is busy or not there yet. Never waits long. */
  readonly properties: (expression: string) => Promise<readonly RuntimeProperty[]>;
  /** A bundle that shows the value of an expression, or null. Never waits long. */
  readonly inspectValue: (expression: string) => Promise<MimeBundle | null>;
  /** A cell's type errors as text, where there are any and somebody wants to know; not a promise where that is clear at once. */
  readonly typeProblems: (code: string) => string | null | Promise<string | null>;
  readonly typeErrors: TypeErrors;
  readonly interrupt: () => Promise<void>;
  /** Adds a cell to the history, soon after its reply. */
  readonly remember: (shell: Shell, line: number, code: string, result: string | null) => void;
  /** A cell ran to its end: the language server may know its declarations. */
  readonly codeRan: (code: string) => void;
  /** The heavy parts are loaded when first asked for, never before the first kernel_info_reply. */
  readonly evaluator: () => Promise<Evaluator>;
  readonly language: () => Promise<Language>;
  readonly history: () => Promise<History>;
  readonly log: (line: string) => void;
  /** Ends the process after the reply to the current request has been written. */
  readonly shutDown: (restart: boolean) => void;
}

export interface HandlerRow {
  readonly channels: readonly Channel[];
  /** Type of the reply; null for messages that have none (comm_*). */
  readonly reply: string | null;
  /**
   * `queued` requests run user code: one at a time for each shell, in order. `at once` requests never wait for user
   * code, so a front end can complete, inspect and reconnect while a cell computes.
   */
  readonly order: "queued" | "at once";
  /** The content of the reply; `status: "ok"` is added where it has no status. A rejection becomes an error reply. */
  readonly handle: (session: Session, request: Request) => Content | Promise<Content>;
}
