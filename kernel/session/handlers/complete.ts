// complete_request: what the language server knows, joined with what really exists at run time. Positions are code
// points, as in the protocol.

import { type Content, integer, text } from "../../protocol/messages.ts";
import { memberExpression, withRuntimeProperties } from "../runtime-properties.ts";
import type { Request, Session } from "../session.ts";

export async function complete(session: Session, request: Request): Promise<Content> {
  const { content } = request.message;
  const code = text(content, "code");
  const cursor = integer(content, "cursor_pos", [...code].length);
  const member = memberExpression(code, cursor);
  const [fromTypes, properties] = await Promise.all([
    session.language().then((language) => language.complete(code, cursor)),
    member === null ? [] : session.properties(member.expression),
  ]);
  return member === null ? fromTypes : withRuntimeProperties(fromTypes, member, properties, cursor);
}
