// The language room's door: createLanguage makes the one Language of a kernel. It joins the parts (workspace, server,
// cells) and holds to the promise that a question is always answered, an empty answer where the server cannot.
import { type Cells, createCells } from "./cells.ts";
import { complete, emptyCompletion } from "./completion.ts";
import type { Language, LanguageOptions, TypeProblem } from "./contract.ts";
import { readDiagnostics } from "./diagnostics.ts";
import { inspect, notFound } from "./inspection.ts";
import { createServer, type LanguageServer } from "./server.ts";
import { createSourceWatch, type SourceWatch } from "./source-watch.ts";
import { createWorkspace, type Workspace } from "./workspace.ts";

export type {
  CompleteReply,
  InspectReply,
  Language,
  LanguageOptions,
  TypedMatch,
  TypeErrors,
  TypeProblem,
} from "./contract.ts";
export { describeProblems, typeErrorsSetting } from "./diagnostics.ts";

/** A question that takes longer is answered empty: an editor has moved on by then. */
const patienceMs = 10_000;
const cachedDiagnostics = 200;
/** After the last of several cells that run in a row. */
const warmUpDelayMs = 50;

interface Parts {
  readonly workspace: Workspace;
  readonly server: LanguageServer;
  readonly cells: Cells;
  readonly sources: SourceWatch;
}

/** Starts no process yet: `start()` or the first question does. */
export function createLanguage(options: LanguageOptions): Language {
  const log = options.onLog ?? (() => undefined);
  let parts: Parts | null = null;
  let started = false;
  /** Cells that ran before the parts were made. */
  let earlier: string[] = [];
  const known = new Map<string, readonly TypeProblem[]>();
  let queue: Promise<unknown> = Promise.resolve();
  let disposed = false;
  /** The server that has answered once: it has read the library's types, and answers soon from now on. */
  let readyPid: number | null = null;
  let warmUpTimer: ReturnType<typeof setTimeout> | undefined;

  const use = (): Parts => {
    if (parts !== null) return parts;
    const workspace = createWorkspace(options.cwd);
    const server = createServer({ root: workspace.root, onLog: log });
    const cells = createCells(server, workspace);
    const sources = createSourceWatch(workspace.cwd, (changes) => {
      server.filesChanged(changes);
      known.clear();
    });
    parts = { workspace, server, cells, sources };
    for (const code of earlier) cells.add(code);
    earlier = [];
    return parts;
  };

  /** Runs a question; a server that is gone, or too slow, gives `fallback`. */
  const ask = async <T>(fallback: T, question: (parts: Parts) => Promise<T>): Promise<T> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<T>((resolve) => {
      timer = setTimeout(() => resolve(fallback), patienceMs);
    });
    try {
      started = true;
      const current = use();
      current.sources.check();
      // One after the other: a question's text must stay in the scratch document until all its parts are answered.
      const answer = queue.then(async () => {
        const result = await question(current);
        readyPid = current.server.pid;
        return result;
      });
      queue = answer.catch(() => undefined);
      return await Promise.race([answer, late]);
    } catch (error) {
      if (!disposed) log(`language: ${error instanceof Error ? error.message : String(error)}`);
      return fallback;
    } finally {
      clearTimeout(timer);
    }
  };

  /** A question nobody waits for: it loads the types of what a cell imported, so that the next one finds them there. */
  const warmUp = (): void => {
    clearTimeout(warmUpTimer);
    warmUpTimer = setTimeout(() => {
      void ask(emptyCompletion(0), ({ server, cells }) => complete(server, cells.edit("").path, "", 0));
    }, warmUpDelayMs);
  };

  return {
    start: () => {
      if (started) return;
      started = true;
      warmUp();
    },
    complete: (code, cursor) =>
      ask(emptyCompletion(cursor), ({ server, cells }) => complete(server, cells.edit(code).path, code, cursor)),
    inspect: (code, cursor, detailLevel) =>
      ask(notFound, ({ server, cells, workspace }) => {
        const context = {
          server,
          path: cells.edit(code).path,
          documentText: (path: string) => cells.documentText(path),
          shownPath: (path: string) => (path.startsWith(workspace.root) ? "" : path),
        };
        return inspect(context, code, cursor, detailLevel);
      }),
    diagnostics: (code, wait = false) => {
      if (!wait && (readyPid === null || parts?.server.pid !== readyPid)) return [];
      const { server, cells, workspace } = use();
      const key = `${cells.version}\n${code}`;
      const cached = known.get(key);
      if (cached !== undefined) return cached;
      if (!cells.canRun(code)) return [];
      return ask<readonly TypeProblem[]>([], async () => {
        const problems = await readDiagnostics(server, cells.edit(code).path, code, workspace.noImplicitAny);
        if (known.size >= cachedDiagnostics) known.delete(known.keys().next().value as string);
        known.set(key, problems);
        return problems;
      });
    },
    cellEvaluated: (code) => {
      if (parts === null) earlier.push(code);
      else if (parts.cells.add(code) && started) warmUp();
    },
    stateLost: () => {
      earlier = [];
      parts?.cells.clear();
    },
    get pid() {
      return parts?.server.pid ?? null;
    },
    [Symbol.asyncDispose]: async () => {
      disposed = true;
      clearTimeout(warmUpTimer);
      const last = parts;
      parts = null;
      if (last === null) return;
      last.sources.stop();
      await last.server.dispose();
      last.workspace.remove();
    },
  };
}
