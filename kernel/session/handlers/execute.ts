// execute_request: one cell, from execute_input to the content of its reply. The queue and busy/idle are around it.

import type { CellResult } from "../../evaluator/port.ts";
import { type Content, flag, record, text } from "../../protocol/messages.ts";
import type { Request, Session } from "../session.ts";

export async function execute(session: Session, request: Request): Promise<Content> {
  const { message, shell } = request;
  const { content, header } = message;
  const code = text(content, "code");
  const silent = flag(content, "silent", false);
  const storeHistory = !silent && flag(content, "store_history", true);
  const executionCount = shell.executionCount + 1;
  const blank = code.trim() === "";
  if (storeHistory && !blank) shell.executionCount = executionCount;

  if (!silent) session.publisher.publish(header, "execute_input", { code, execution_count: executionCount });
  const userExpressions = Object.fromEntries(
    Object.entries(record(content, "user_expressions")).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
  if (blank && Object.keys(userExpressions).length === 0) {
    return { status: "ok", execution_count: shell.executionCount, user_expressions: {}, payload: [] };
  }

  const evaluator = await session.evaluator();
  session.outputs.open({ header, silent, identities: message.identities });
  let result: CellResult;
  let plain: string | null = null;
  let warned: Promise<void> | null = null;
  try {
    // Nobody reads the warnings of hundreds of cells that were sent at once; a program that sends them wants speed.
    const checked = !silent && shell.queue.length < maxCheckedQueue;
    if (checked && session.typeErrors === "stop") {
      const problems = await session.typeProblems(code);
      if (problems !== null) {
        const stopped = {
          ename: "TypeCheckError",
          evalue: problems,
          traceback: [`\x1b[31mTypeCheckError\x1b[39m ${problems}`],
        };
        session.outputs.receive({ type: "error", cell: header.msg_id, ...stopped });
        return { status: "error", execution_count: executionCount, ...stopped, user_expressions: {}, payload: [] };
      }
    } else if (checked) warned = warnOfTypes(session, header.msg_id, code);
    result = await evaluator.evaluate({
      id: header.msg_id,
      code,
      executionCount,
      silent,
      storeHistory,
      allowStdin: flag(content, "allow_stdin", false),
      userExpressions,
      subshellId: shell.id,
    });
    await warned;
  } finally {
    plain = session.outputs.close(header.msg_id);
    session.inputs.forget(header.msg_id);
  }
  if (storeHistory && !blank) session.remember(shell, executionCount, code, plain);

  // What threw half-way still declared its names; what did not parse declared nothing.
  if (result.status === "ok" || result.ename !== "SyntaxError") session.codeRan(code);
  if (result.status === "ok") {
    const { userExpressions: values, payload } = result;
    return { status: "ok", execution_count: executionCount, user_expressions: values, payload };
  }
  const { ename, evalue, traceback, userExpressions: values = {}, payload = [] } = result;
  return {
    status: "error",
    execution_count: executionCount,
    ename,
    evalue,
    traceback,
    user_expressions: values,
    payload,
  };
}

/** What a cell's outputs wait for its type errors; later ones are shown when they come. */
const typeCheckMs = 60;
const maxCheckedQueue = 100;

/**
 * Shows a cell's type errors above its output, as a compact warning. The cell runs meanwhile; only its outputs (and its end) wait for
 * the check, and not for long. Null where it is known at once.
 */
function warnOfTypes(session: Session, cell: string, code: string): Promise<void> | null {
  const show = (problems: string | null): void => {
    if (problems === null) return;
    session.outputs.warn(cell, `${problems}\n`);
  };
  const answer = session.typeProblems(code);
  if (!(answer instanceof Promise)) {
    show(answer);
    return null;
  }
  session.outputs.hold(cell);
  const shown = answer.then(show, (error: unknown) => session.log(`type check: ${String(error)}`));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, typeCheckMs);
  });
  return Promise.race([shown, late]).then(() => {
    clearTimeout(timer);
    session.outputs.release(cell);
  });
}
