// is_complete_request: whether a console should run the text or ask for another line.

import { type Content, text } from "../../protocol/messages.ts";
import type { Request, Session } from "../session.ts";

export async function isComplete(session: Session, request: Request): Promise<Content> {
  const { status, indent } = await session.isComplete(text(request.message.content, "code"));
  // `indent` only belongs to an incomplete text.
  return status === "incomplete" ? { status, indent: indent ?? "" } : { status };
}
