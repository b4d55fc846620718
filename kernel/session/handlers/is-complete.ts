// is_complete_request: whether a console should run the text or ask for another line.

import { type Content, text } from "../../protocol/messages.ts";
import type { Request, Session } from "../session.ts";

export async function isComplete(_session: Session, request: Request): Promise<Content> {
  const { isComplete: judge } = await import("../../syntax/is-complete.ts");
  const { status, indent } = judge(text(request.message.content, "code"));
  // `indent` only belongs to an incomplete text.
  return status === "incomplete" ? { status, indent: indent ?? "" } : { status };
}
