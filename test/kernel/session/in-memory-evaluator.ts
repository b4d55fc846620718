// An evaluator without a process, for tests of the session alone: a cell is a list of commands, one a line, whose outputs
// and timing the test decides. It runs no TypeScript; kernel/evaluator's own tests do that.
//
//   out TEXT · err TEXT · result TEXT · display ID TEXT · update ID TEXT · clear · fail NAME · wait NAME · ask PROMPT ·
//   later NAME TEXT (after the cell, when NAME is released) · comm ID TARGET

import type { CellRequest, CellResult, CommMessage, Evaluator, EvaluatorOptions } from "#kernel/evaluator/port.ts";

export interface InMemoryEvaluator extends Evaluator {
  /** Lets the cells that `wait` for this name go on. */
  release(name: string): void;
  readonly cells: CellRequest[];
  readonly comms: { readonly cell: string; readonly message: CommMessage; readonly subshellId: string | null }[];
  interrupts: number;
}

export function createInMemoryEvaluator({ onOutput }: EvaluatorOptions): InMemoryEvaluator {
  const waiting = new Map<string, ((interrupted: boolean) => void)[]>();
  const questions = new Map<number, (value: string) => void>();
  const wait = (name: string): Promise<boolean> =>
    new Promise((resolve) => waiting.set(name, [...(waiting.get(name) ?? []), resolve]));
  const settle = (name: string, interrupted: boolean): void => {
    const resolvers = waiting.get(name) ?? [];
    waiting.delete(name);
    for (const resolve of resolvers) resolve(interrupted);
  };
  const plain = (text: string): { data: Record<string, unknown>; metadata: Record<string, unknown> } => ({
    data: { "text/plain": text },
    metadata: {},
  });

  const run = async (cell: CellRequest): Promise<CellResult> => {
    const { id } = cell;
    const error = (ename: string): CellResult => {
      const fields = { ename, evalue: "as asked", traceback: [`${ename}: as asked`] };
      onOutput({ type: "error", cell: id, ...fields });
      return { status: "error", ...fields };
    };
    for (const line of cell.code.split("\n")) {
      const [command, ...words] = line.split(" ");
      const rest = words.join(" ");
      const [first = "", ...others] = words;
      switch (command) {
        case "out":
        case "err":
          onOutput({ type: "stream", cell: id, name: command === "out" ? "stdout" : "stderr", text: `${rest}\n` });
          break;
        case "result":
          onOutput({ type: "execute_result", cell: id, executionCount: cell.executionCount, ...plain(rest) });
          break;
        case "display":
        case "update":
          onOutput({
            type: command === "display" ? "display_data" : "update_display_data",
            cell: id,
            ...plain(others.join(" ")),
            transient: { display_id: first },
          });
          break;
        case "clear":
          onOutput({ type: "clear_output", cell: id, wait: rest === "wait" });
          break;
        case "fail":
          return error(first);
        case "wait":
          if (await wait(first)) return error("InterruptedError");
          break;
        case "later":
          void wait(first).then(() =>
            onOutput({ type: "stream", cell: id, name: "stdout", text: `${others.join(" ")}\n` }),
          );
          break;
        case "ask": {
          const value = await new Promise<string>((resolve) => {
            questions.set(questions.size + 1, resolve);
            onOutput({ type: "input_request", cell: id, inputId: questions.size, prompt: rest, password: false });
          });
          onOutput({ type: "execute_result", cell: id, executionCount: cell.executionCount, ...plain(value) });
          break;
        }
        case "comm":
          onOutput({
            type: "comm_open",
            cell: id,
            commId: first,
            targetName: others[0] ?? "",
            data: { hello: 1 },
            metadata: {},
            buffers: [Uint8Array.of(1, 2, 3)],
          });
          break;
      }
    }
    return { status: "ok", userExpressions: {}, payload: [] };
  };

  const evaluator: InMemoryEvaluator = {
    pid: null,
    cells: [],
    comms: [],
    interrupts: 0,
    evaluate(cell) {
      evaluator.cells.push(cell);
      return run(cell);
    },
    async comm(cell, message, subshellId) {
      evaluator.comms.push({ cell, message, subshellId });
      onOutput({ type: "stream", cell, name: "stdout", text: `comm ${message.type}\n` });
    },
    async interrupt() {
      evaluator.interrupts++;
      for (const name of [...waiting.keys()]) settle(name, true);
    },
    answerInput: (inputId, value) => questions.get(inputId)?.(value),
    properties: async (expression) => (expression === "table" ? [{ name: "loss", type: "property" }] : []),
    inspect: async (expression) => (expression === "table" ? { "text/plain": "a table" } : null),
    release: (name) => settle(name, false),
    async [Symbol.asyncDispose]() {},
  };
  return evaluator;
}
