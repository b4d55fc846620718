// The session's end of the language room: when it is loaded, what it is told of the cells that ran, and that it forgets
// them when the evaluator lost its state. It decides nothing about types; kernel/language answers.

import type { Language, TypeErrors, TypeProblem } from "../language/contract.ts";

/** The language room, loaded. */
export interface LanguageParts {
  readonly language: Language;
  readonly describeProblems: (problems: readonly TypeProblem[]) => string;
}

export interface LanguageLink {
  /** Loads it if it is not there. @throws what loading throws */
  get(): Promise<Language>;
  /** The same, with what goes with it. */
  parts(): Promise<LanguageParts>;
  /** Loads it and starts its server after a moment. Doing it again does nothing. */
  startSoon(): void;
  /** A cell ran: its declarations are known from now on. */
  codeRan(code: string): void;
  /** Type errors as text; not a promise where it is clear at once that there are none, or which. */
  typeProblems(code: string): string | null | Promise<string | null>;
  dispose(): Promise<void>;
}

export interface LanguageLinkOptions {
  readonly load: () => Promise<LanguageParts>;
  readonly typeErrors: TypeErrors;
  /** Process id of the evaluator: another one means that earlier cells' values are gone. */
  readonly evaluatorPid: () => number | null;
  readonly log: (line: string) => void;
}

/** So long after the first idle: the evaluator, which the first cell waits for, starts before. */
const startDelayMs = 50;
/** Cells remembered for a language room that is not there (yet). */
const maxUntold = 2000;

export function createLanguageLink(options: LanguageLinkOptions): LanguageLink {
  let loading: Promise<Language> | null = null;
  let parts: LanguageParts | null = null;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let disposed = false;
  let untold: string[] = [];
  let knownPid: number | null = null;

  const tell = (): void => {
    if (parts === null) return;
    const cells = untold;
    untold = [];
    for (const code of cells) parts.language.cellEvaluated(code);
  };

  const noticeLostState = (): void => {
    const pid = options.evaluatorPid();
    if (pid === null || pid === knownPid) return;
    if (knownPid !== null) {
      untold = [];
      parts?.language.stateLost();
    }
    knownPid = pid;
  };

  const get = (): Promise<Language> => {
    if (timer !== null) clearTimeout(timer);
    tell();
    loading ??= options.load().then(
      (loaded) => {
        parts = loaded;
        tell();
        return loaded.language;
      },
      (error: unknown) => {
        // Asked again, it is tried again; by itself it is not.
        loading = null;
        throw error;
      },
    );
    return loading;
  };

  const typeProblems = (code: string): string | null | Promise<string | null> => {
    if (options.typeErrors === "silent") return null;
    const stops = options.typeErrors === "stop";
    if (parts === null) {
      // Where errors stop a cell, the first cell waits for the server too; a server that cannot start stops nothing.
      return stops
        ? get().then(
            () => typeProblems(code),
            () => null,
          )
        : null;
    }
    noticeLostState();
    tell();
    const { language, describeProblems } = parts;
    const described = (problems: readonly TypeProblem[]): string | null =>
      problems.length === 0 ? null : describeProblems(problems);
    const problems = language.diagnostics(code, stops);
    return problems instanceof Promise ? problems.then(described) : described(problems);
  };

  return {
    get,
    async parts() {
      await get();
      return parts!;
    },
    startSoon() {
      if (timer !== null || loading !== null || disposed) return;
      timer = setTimeout(() => {
        get().then(
          (language) => language.start(),
          (error: unknown) => options.log(`language: ${String(error)}`),
        );
      }, startDelayMs);
    },
    codeRan(code) {
      noticeLostState();
      untold.push(code);
      if (untold.length > maxUntold) untold.shift();
      // Told after the reply and the idle have left, which the same turn sends: the language room parses it.
      if (untold.length === 1) setTimeout(tell, 0);
    },
    typeProblems,
    async dispose() {
      disposed = true;
      if (timer !== null) clearTimeout(timer);
      await parts?.language[Symbol.asyncDispose]();
    },
  };
}
