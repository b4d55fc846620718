// What the session may ask about a cell's types: completion, inspection, type errors. Types only. Offsets are code
// points, as in the protocol. One implementation: createLanguage in index.ts, over a TypeScript language server.

/** What becomes of a cell's type errors: a warning above its output, an error that stops it, or nothing. */
export type TypeErrors = "warn" | "stop" | "silent";

export interface LanguageOptions {
  /** The notebook's folder: where relative imports, packages and a `tsconfig.json` are looked for. It need not exist. */
  readonly cwd: string;
  /** One line for the kernel's log (a server that died, a tsconfig that cannot be read). */
  readonly onLog?: (line: string) => void;
}

/** One row of `metadata._jupyter_types_experimental`, aligned with `matches`; JupyterLab shows the type as an icon. */
export interface TypedMatch {
  readonly text: string;
  /** `function`, `class`, `interface`, `module`, `property`, `instance`, `keyword` … */
  readonly type: string;
  readonly signature?: string;
  readonly start: number;
  readonly end: number;
}

/** Content of a complete_reply. */
export type CompleteReply = {
  readonly status: "ok";
  readonly matches: readonly string[];
  readonly cursor_start: number;
  readonly cursor_end: number;
  readonly metadata: { readonly _jupyter_types_experimental: readonly TypedMatch[] };
};

/** Content of an inspect_reply. */
export type InspectReply = {
  readonly status: "ok";
  readonly found: boolean;
  /** `text/plain` and `text/markdown`, where found. */
  readonly data: Record<string, string>;
  readonly metadata: Record<string, never>;
};

/** One type error, in the user's own lines. */
export interface TypeProblem {
  /** From 1. */
  readonly line: number;
  /** From 1, in code points. */
  readonly column: number;
  readonly endLine: number;
  readonly endColumn: number;
  /** `TS2322` */
  readonly code: string;
  readonly message: string;
}

export interface Language extends AsyncDisposable {
  /** Starts the server ahead of the first question (after the first idle). Doing it twice does nothing. */
  start(): void;
  complete(code: string, cursor: number): Promise<CompleteReply>;
  /** `detailLevel` 0: signature and documentation; 1: also the declaration's source. */
  inspect(code: string, cursor: number, detailLevel: number): Promise<InspectReply>;
  /**
   * The type errors of a cell that is about to run. Not a promise where they are known already (the same code, with
   * the same cells before it), or where the server has not read its library yet: then there are none, and the cell is
   * not held up. With `wait`, for those whose cells must not run with errors, the server is started and waited for.
   */
  diagnostics(code: string, wait?: boolean): readonly TypeProblem[] | Promise<readonly TypeProblem[]>;
  /** Told after each cell that ran to its end, so that later cells know its declarations. */
  cellEvaluated(code: string): void;
  /** Told when the evaluator lost its state: no earlier cell's declarations exist any more. */
  stateLost(): void;
  /** Process id of the server, for usage_request; null while none runs. */
  readonly pid: number | null;
}
