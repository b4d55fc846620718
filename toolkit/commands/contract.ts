// What a subcommand of `bunsen` is. Types and the two errors that end a command in one message. main.ts holds the table.

/** How a command reaches the world: replaced by tests. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** True where a person watches: progress on one line is fine. */
  readonly interactive: boolean;
}

export interface Command {
  /** One line for `bunsen help`. */
  readonly summary: string;
  /** The whole of `bunsen help <name>`: usage, flags with defaults, an example. */
  readonly usage: string;
  /** @returns the exit status */
  run(args: readonly string[], terminal: Terminal): Promise<number>;
}

/** The command line itself is wrong; the message says what was expected, what came and what to do. Exit status 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}
