// The port between the session (the parent, which owns the sockets) and the evaluator (the child, which runs
// cells). It is only types: what crosses the process boundary, and what each side promises. No protocol
// message, socket or signature appears here, and nothing of how cells are transformed or run.

/** Rich representations of one value, by MIME type (Jupyter's `data`). Text as strings, JSON types as values, images as base64. */
export type MimeBundle = Record<string, unknown>;

/** One cell to run. `id` is the msg_id of its execute_request: every output names it. */
export interface CellRequest {
  readonly id: string;
  readonly code: string;
  readonly executionCount: number;
  readonly silent: boolean;
  readonly storeHistory: boolean;
  readonly allowStdin: boolean;
  readonly userExpressions: Readonly<Record<string, string>>;
  /** The subshell whose queue it comes from; null is the main shell. */
  readonly subshellId: string | null;
  /** A cell of nobody's, run so that the next one is fast: it leaves no trace. */
  readonly warmUp?: boolean;
}

/** Everything user code can make visible. `cell` is the id of the request that it belongs to (not always one that still runs). */
export type Output =
  | { readonly type: "stream"; readonly cell: string; readonly name: "stdout" | "stderr"; readonly text: string }
  | {
      readonly type: "display_data" | "update_display_data";
      readonly cell: string;
      readonly data: MimeBundle;
      readonly metadata: Record<string, unknown>;
      readonly transient: { readonly display_id?: string };
      readonly buffers?: readonly Uint8Array[];
    }
  | {
      readonly type: "execute_result";
      readonly cell: string;
      readonly executionCount: number;
      readonly data: MimeBundle;
      readonly metadata: Record<string, unknown>;
    }
  | {
      readonly type: "error";
      readonly cell: string;
      readonly ename: string;
      readonly evalue: string;
      readonly traceback: readonly string[];
    }
  | { readonly type: "clear_output"; readonly cell: string; readonly wait: boolean }
  | ({ readonly cell: string } & CommMessage)
  | {
      readonly type: "input_request";
      readonly cell: string;
      /** Answered through {@link Evaluator.answerInput} with the same id. */
      readonly inputId: number;
      readonly prompt: string;
      readonly password: boolean;
    };

/** A comm message in either direction; `buffers` travel as they are. */
export interface CommMessage {
  readonly type: "comm_open" | "comm_msg" | "comm_close";
  readonly commId: string;
  /** Only for comm_open. */
  readonly targetName?: string;
  readonly data: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
  readonly buffers: readonly Uint8Array[];
}

/** `page` and `set_next_input` payloads of an execute_reply. */
export type Payload =
  | { readonly source: "page"; readonly data: MimeBundle; readonly start: number }
  | { readonly source: "set_next_input"; readonly text: string; readonly replace: boolean };

/** What ends a cell. It is given strictly after the cell's last output, both pipes drained. */
export type CellResult =
  | {
      readonly status: "ok";
      readonly userExpressions: Record<string, unknown>;
      readonly payload: readonly Payload[];
    }
  | {
      readonly status: "error";
      readonly ename: string;
      readonly evalue: string;
      readonly traceback: readonly string[];
      readonly userExpressions?: Record<string, unknown>;
      readonly payload?: readonly Payload[];
    };

/** A property that really exists at run time (columns of a table, keys of an object), for completion where static types say `any`. */
export interface RuntimeProperty {
  readonly name: string;
  readonly type: "property" | "function" | "class" | "instance" | "keyword";
}

/** What the session may ask of the evaluator. One implementation: the child process (`kernel/evaluator/child-process.ts`). */
export interface Evaluator {
  /** Runs a cell. Never rejects because of user code: errors, crashes and interrupts are results. */
  evaluate(cell: CellRequest): Promise<CellResult>;
  /** A comm message from the front end; resolves when the user's handler has returned. `cell` is the msg_id of that comm message. */
  comm(cell: string, message: CommMessage, subshellId: string | null): Promise<void>;
  /** Stops what runs, with state kept (see kernel/README.md for what a second interrupt does). Resolves when the signal has been delivered. */
  interrupt(): Promise<void>;
  /** The answer to an `input_request`. */
  answerInput(inputId: number, value: string): void;
  /** Properties of a side-effect-free expression (`a.b["c"]`); empty where the evaluator is busy or it does not exist. */
  properties(expression: string): Promise<readonly RuntimeProperty[]>;
  /** A text/plain bundle for a side-effect-free expression, or null. */
  inspect(expression: string): Promise<MimeBundle | null>;
  /** Process id of the child, for usage_request; null while it is being started again. */
  readonly pid: number | null;
  /** Stops the child; resolves when it is gone. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface EvaluatorOptions {
  /** The notebook's folder: working directory, `import.meta.dir`, where packages are looked for. */
  readonly cwd: string;
  /** Called for every output, in order. */
  readonly onOutput: (output: Output) => void;
  /** One line for the kernel's log (a crash, a restart). */
  readonly onLog: (line: string) => void;
}

export type CreateEvaluator = (options: EvaluatorOptions) => Evaluator;
