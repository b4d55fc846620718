// shutdown_request: the reply goes out first, then the process ends (kernel.ts flushes and exits).

import { type Content, flag } from "../../protocol/messages.ts";
import type { Request, Session } from "../session.ts";

export function shutdown(session: Session, request: Request): Content {
  const restart = flag(request.message.content, "restart", false);
  // Other clients of this kernel learn of its end on iopub.
  session.publisher.publish(request.message.header, "shutdown_reply", { status: "ok", restart });
  session.shutDown(restart);
  return { restart };
}
