// The history of inputs and outputs, kept across kernels in one SQLite file. Storage and its three questions (tail,
// range, search); the protocol's request is handlers/history.ts.

import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";

/** Session number, line in it (the execution count), and the code, with its result where outputs are asked for. */
export type HistoryEntry = [number, number, string | [string, string | null]];

export interface StoredCell {
  readonly key: string;
  readonly line: number;
  readonly source: string;
  readonly result: string | null;
}

export interface History {
  /** Stores cells, all of them or none, by one write to disk. `key` names the shell: each shell of a kernel is a session of its own, opened by its first cell. */
  add(cells: readonly StoredCell[]): void;
  /** The last `count` cells of all sessions, oldest first. */
  tail(count: number, output: boolean): HistoryEntry[];
  /** Lines start … stop − 1 of a session: 0 the current one of `key`, negative ones back from it. A null stop is the end. */
  range(key: string, session: number, start: number, stop: number | null, output: boolean): HistoryEntry[];
  /** The last `count` cells whose code matches a glob (`*`, `?`, `[…]`), oldest first; `unique` keeps the last of equal ones. */
  search(pattern: string, count: number | null, unique: boolean, output: boolean): HistoryEntry[];
  close(): void;
}

/** Long results are kept as their beginning: the history is for finding inputs again. */
const maxResultChars = 10_000;

/**
 * Opens (and makes) the file. Several kernels may use one file at once.
 * @throws Error where the folder or the file cannot be written.
 */
export function openHistory(path: string): History {
  if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const db = new Database(path, { create: true, strict: true });
  db.run("PRAGMA busy_timeout = 2000");
  // Write-ahead logging lets kernels read while another writes; NORMAL never corrupts, it may lose the last cells of a power cut.
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = NORMAL");
  db.run("CREATE TABLE IF NOT EXISTS sessions (session INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL)");
  db.run(
    "CREATE TABLE IF NOT EXISTS history (session INTEGER NOT NULL, line INTEGER NOT NULL, source TEXT NOT NULL, result TEXT, PRIMARY KEY (session, line)) WITHOUT ROWID",
  );
  const newSession = db.query<{ session: number }, [string]>(
    "INSERT INTO sessions (started) VALUES (?) RETURNING session",
  );
  const insert = db.query<null, [number, number, string, string | null]>(
    "INSERT OR REPLACE INTO history (session, line, source, result) VALUES (?, ?, ?, ?)",
  );
  const insertAll = db.transaction((cells: readonly StoredCell[], numbers: readonly number[]): void => {
    for (const [i, { line, source, result }] of cells.entries()) {
      insert.run(numbers[i]!, line, source, result === null ? null : result.slice(0, maxResultChars));
    }
  });
  const lastSession = db.query<{ session: number | null }, []>("SELECT MAX(session) AS session FROM sessions");
  const sessions = new Map<string, number>();
  type Row = { session: number; line: number; source: string; result: string | null };
  const entries = (rows: readonly Row[], output: boolean): HistoryEntry[] =>
    rows.map((row) => [row.session, row.line, output ? [row.source, row.result] : row.source]);

  return {
    add(cells) {
      // A session number that no cell uses does no harm; one that was taken back with the cells would.
      const numbers = cells.map(({ key }) => {
        let session = sessions.get(key);
        if (session === undefined) {
          session = newSession.get(new Date().toISOString())!.session;
          sessions.set(key, session);
        }
        return session;
      });
      insertAll.immediate(cells, numbers);
    },

    tail(count, output) {
      const rows = db
        .query<Row, [number]>("SELECT * FROM history ORDER BY session DESC, line DESC LIMIT ?")
        .all(Math.max(0, count));
      return entries(rows.reverse(), output);
    },

    range(key, session, start, stop, output) {
      // Before its first cell a shell has no number yet: it counts as the one after the last.
      const current = sessions.get(key) ?? (lastSession.get()!.session ?? 0) + 1;
      const wanted = session <= 0 ? current + session : session;
      const rows = db
        .query<Row, [number, number, number]>(
          "SELECT * FROM history WHERE session = ? AND line >= ? AND line < ? ORDER BY line",
        )
        .all(wanted, start, stop ?? Number.MAX_SAFE_INTEGER);
      return entries(rows, output);
    },

    search(pattern, count, unique, output) {
      const limit = count === null || count < 0 ? -1 : count;
      const rows = unique
        ? db
            .query<Row, [string, number]>(
              "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY source ORDER BY session DESC, line DESC) AS place FROM history WHERE source GLOB ?) WHERE place = 1 ORDER BY session DESC, line DESC LIMIT ?",
            )
            .all(pattern, limit)
        : db
            .query<Row, [string, number]>(
              "SELECT * FROM history WHERE source GLOB ? ORDER BY session DESC, line DESC LIMIT ?",
            )
            .all(pattern, limit);
      return entries(rows.reverse(), output);
    },

    close() {
      db.close();
    },
  };
}

/**
 * The user's history file: BUNSEN_HISTORY names another (`:memory:` keeps nothing), else it is in the data folder of the
 * user ($XDG_DATA_HOME or ~/.local/share).
 */
export function historyPath(env: Readonly<Record<string, string | undefined>>): string {
  const named = env.BUNSEN_HISTORY;
  if (named !== undefined && named !== "") return named;
  const home = env.HOME ?? env.USERPROFILE;
  const data = env.XDG_DATA_HOME ?? (home === undefined ? undefined : join(home, ".local", "share"));
  return data === undefined ? ":memory:" : join(data, "bunsen", "history.sqlite");
}
