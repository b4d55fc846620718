// Answers that are no handler's: to requests that nobody handles, that name no subshell, that failed or were not run.

import type { Channel, Content } from "../protocol/messages.ts";
import type { HandlerRow, Request, Session } from "./session.ts";

/** The content of a reply whose handler threw. */
export function failure(error: unknown): Content {
  const known = error instanceof Error;
  return {
    status: "error",
    ename: known ? error.name : "Error",
    evalue: known ? error.message : String(error),
    traceback: [],
  };
}

export function unknownRequest(type: string, channel: Channel): HandlerRow {
  return {
    channels: [channel],
    reply: type.endsWith("_request") ? type.replace(/_request$/, "_reply") : null,
    order: "at once",
    handle: () => ({ status: "error", ename: "UnknownRequest", evalue: `no ${type} on ${channel}`, traceback: [] }),
  };
}

export function noSubshell(session: Session, id: unknown): Content {
  const evalue = `subshell_id: expected one of ${JSON.stringify(session.shells.list())}, got ${JSON.stringify(id)}`;
  return { status: "error", ename: "UnknownSubshell", evalue, traceback: [], execution_count: 0 };
}

/** The reply to a cell that was queued behind one that failed. `aborted` as a status is deprecated: clients look for `error`. */
export function aborted(request: Request): Content {
  return {
    status: "error",
    execution_count: request.shell.executionCount,
    ename: "Aborted",
    evalue: "not run, because a cell before it failed",
    traceback: [],
    user_expressions: {},
    payload: [],
  };
}
