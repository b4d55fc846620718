// A running evaluator for tests: runs cells, keeps what they put out. Not a test.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEvaluator } from "#kernel/evaluator/child-process.ts";
import type { CellRequest, CellResult, Evaluator, Output } from "#kernel/evaluator/port.ts";

export interface Ran {
  readonly id: string;
  readonly result: CellResult;
  /** Outputs of this cell until it ended. */
  readonly outputs: readonly Output[];
  readonly stdout: string;
  readonly stderr: string;
  /** text/plain of the result, if it has one. */
  readonly value: string | undefined;
  /** The traceback without colours, if it failed. */
  readonly traceback: string;
}

export interface Harness extends AsyncDisposable {
  readonly evaluator: Evaluator;
  readonly cwd: string;
  /** All outputs so far, also those after a cell's end. */
  readonly outputs: Output[];
  readonly log: string[];
  run(code: string, options?: Partial<CellRequest>): Promise<Ran>;
  /** Resolves with the first output, past or coming, that fits. */
  until(fits: (output: Output) => boolean): Promise<Output>;
  /** Text of a cell's stream so far. */
  text(cell: string, name?: "stdout" | "stderr"): string;
}

const COLOURS = /\u001b\[[0-9;]*m/g;

export function plain(lines: readonly string[]): string {
  return lines.join("\n").replace(COLOURS, "");
}

/** Starts an evaluator in a folder of its own (removed at the end) or in `cwd`. */
export function start(cwd?: string): Harness {
  const folder = cwd ?? mkdtempSync(join(tmpdir(), "bunsen-evaluator-"));
  const outputs: Output[] = [];
  const log: string[] = [];
  const waiting = new Set<() => void>();
  const evaluator = createEvaluator({
    cwd: folder,
    onOutput: (output) => {
      outputs.push(output);
      for (const check of waiting) check();
    },
    onLog: (line) => log.push(line),
  });
  let count = 0;
  const text = (cell: string, name: "stdout" | "stderr" = "stdout"): string =>
    outputs
      .filter((output) => output.type === "stream" && output.cell === cell && output.name === name)
      .map((output) => (output.type === "stream" ? output.text : ""))
      .join("");
  return {
    evaluator,
    cwd: folder,
    outputs,
    log,
    text,
    async run(code, options = {}) {
      count++;
      const id = options.id ?? `cell-${count}`;
      const result = await evaluator.evaluate({
        id,
        code,
        executionCount: count,
        silent: false,
        storeHistory: true,
        allowStdin: false,
        userExpressions: {},
        subshellId: null,
        ...options,
      });
      const own = outputs.filter((output) => output.cell === id);
      const shown = own.find((output) => output.type === "execute_result");
      return {
        id,
        result,
        outputs: own,
        stdout: text(id),
        stderr: text(id, "stderr"),
        value: shown?.type === "execute_result" ? (shown.data["text/plain"] as string) : undefined,
        traceback: result.status === "error" ? plain(result.traceback) : "",
      };
    },
    until(fits) {
      return new Promise((resolve) => {
        const check = (): void => {
          const found = outputs.find(fits);
          if (found === undefined) return;
          waiting.delete(check);
          resolve(found);
        };
        waiting.add(check);
        check();
      });
    },
    async [Symbol.asyncDispose]() {
      await evaluator[Symbol.asyncDispose]();
      if (cwd === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
