// history_request: tail, range and search over the cells of this and former kernels.

import { type Content, flag, integer, text } from "../../protocol/messages.ts";
import type { HistoryEntry } from "../history.ts";
import type { Request, Session } from "../session.ts";

export async function history(session: Session, request: Request): Promise<Content> {
  const { content } = request.message;
  const output = flag(content, "output", false);
  const store = await session.history();
  let entries: HistoryEntry[];
  switch (text(content, "hist_access_type", "tail")) {
    case "tail":
      entries = store.tail(integer(content, "n", 100), output);
      break;
    case "range": {
      const stop = typeof content.stop === "number" ? integer(content, "stop", 0) : null;
      const start = integer(content, "start", 0);
      entries = store.range(request.shell.id ?? "", integer(content, "session", 0), start, stop, output);
      break;
    }
    case "search": {
      const count = typeof content.n === "number" ? integer(content, "n", 0) : null;
      entries = store.search(text(content, "pattern", "*"), count, flag(content, "unique", false), output);
      break;
    }
    default:
      throw new Error(
        `hist_access_type: expected "tail", "range" or "search", got ${JSON.stringify(content.hist_access_type)}`,
      );
  }
  return { history: entries };
}
