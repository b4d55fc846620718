// create_subshell, delete_subshell and list_subshell requests (JEP 91).

import { type Content, text } from "../../protocol/messages.ts";
import type { Request, Session } from "../session.ts";

export function createSubshell(session: Session): Content {
  return { subshell_id: session.shells.create().id };
}

export function deleteSubshell(session: Session, request: Request): Content {
  const id = text(request.message.content, "subshell_id");
  if (!session.shells.delete(id)) {
    throw new Error(`subshell_id: expected one of ${JSON.stringify(session.shells.list())}, got ${JSON.stringify(id)}`);
  }
  return {};
}

export function listSubshells(session: Session): Content {
  return { subshell_id: session.shells.list() };
}
