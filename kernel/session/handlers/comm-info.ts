// comm_info_request: the open comms, of one target or of all.

import { type Content, text } from "../../protocol/messages.ts";
import type { Request, Session } from "../session.ts";

export function commInfo(session: Session, request: Request): Content {
  const target = text(request.message.content, "target_name");
  const comms: Record<string, { target_name: string }> = {};
  for (const [id, targetName] of session.comms) {
    if (target === "" || target === targetName) comms[id] = { target_name: targetName };
  }
  return { comms };
}
