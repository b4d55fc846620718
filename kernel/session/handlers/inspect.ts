// inspect_request (Shift-Tab): signature, types and documentation; for what has no static type, the value itself.

import { type Content, integer, text } from "../../protocol/messages.ts";
import { expressionAt } from "../runtime-properties.ts";
import type { Request, Session } from "../session.ts";

export async function inspect(session: Session, request: Request): Promise<Content> {
  const { content } = request.message;
  const code = text(content, "code");
  const cursor = integer(content, "cursor_pos", [...code].length);
  const detail = integer(content, "detail_level", 0) === 1 ? 1 : 0;
  const fromTypes = await (await session.language()).inspect(code, cursor, detail);
  if (fromTypes.found) return fromTypes;
  const expression = expressionAt(code, cursor);
  const data = expression === null ? null : await session.inspectValue(expression);
  return data === null ? { found: false, data: {}, metadata: {} } : { found: true, data, metadata: {} };
}
