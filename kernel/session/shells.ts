// The shells: the main one and its subshells (JEP 91). Each has its own queue and execution count, and runs one request
// at a time, in order. What a request does is for the handlers.

import type { Request } from "./session.ts";

export interface Shell {
  /** Null for the main shell. */
  readonly id: string | null;
  /** Number of the last cell that was stored. */
  executionCount: number;
  readonly queue: Request[];
  /** The request that runs now. */
  running: Request | null;
}

export interface Shells {
  readonly main: Shell;
  create(): Shell;
  /** False where there is none of that id. What is queued there is not run. */
  delete(id: string): boolean;
  list(): string[];
  /** Null where there is no such subshell. */
  find(id: string | null | undefined): Shell | null;
  /** Queues a request; runs it at once where its shell is free. */
  push(request: Request): void;
  /** Takes out the requests that wait and fulfil `which`. */
  remove(shell: Shell, which: (request: Request) => boolean): Request[];
  /** The requests that run user code now, the main shell's first. */
  running(): Request[];
}

/** `run` never rejects. */
export function createShells(run: (request: Request) => Promise<void>): Shells {
  const newShell = (id: string | null): Shell => ({ id, executionCount: 0, queue: [], running: null });
  const main = newShell(null);
  const subshells = new Map<string, Shell>();

  const advance = async (shell: Shell): Promise<void> => {
    while (shell.running === null) {
      const request = shell.queue.shift();
      if (request === undefined) return;
      shell.running = request;
      await run(request);
      shell.running = null;
    }
  };

  return {
    main,
    create() {
      const shell = newShell(crypto.randomUUID());
      subshells.set(shell.id!, shell);
      return shell;
    },
    delete(id) {
      const shell = subshells.get(id);
      if (shell === undefined) return false;
      shell.queue.length = 0;
      return subshells.delete(id);
    },
    list: () => [...subshells.keys()],
    find: (id) => (id === null || id === undefined || id === "" ? main : (subshells.get(id) ?? null)),
    push(request) {
      request.shell.queue.push(request);
      void advance(request.shell);
    },
    remove(shell, which) {
      const removed = shell.queue.filter(which);
      if (removed.length > 0) {
        const kept = shell.queue.filter((request) => !which(request));
        shell.queue.splice(0, shell.queue.length, ...kept);
      }
      return removed;
    },
    running: () => [main, ...subshells.values()].map((shell) => shell.running).filter((request) => request !== null),
  };
}
