// comm_open, comm_msg and comm_close from a front end: the user's handlers run in the evaluator, in the order of the
// shell's queue; what they print belongs to the comm message. There is no reply.

import type { CommMessage } from "../../evaluator/port.ts";
import { type Content, record, text } from "../../protocol/messages.ts";
import type { Request, Session } from "../session.ts";

export async function comm(session: Session, request: Request): Promise<Content> {
  const { header, content, metadata, buffers, identities } = request.message;
  const commId = text(content, "comm_id");
  const type = header.msg_type as CommMessage["type"];
  if (commId === "") throw new Error(`${type}: expected a comm_id, got ${JSON.stringify(content.comm_id)}`);
  const targetName = text(content, "target_name");
  if (type === "comm_open") session.comms.set(commId, targetName);
  else if (!session.comms.has(commId)) return {};
  if (type === "comm_close") session.comms.delete(commId);

  const evaluator = await session.evaluator();
  session.outputs.open({ header, silent: false, identities });
  try {
    await evaluator.comm(
      header.msg_id,
      {
        type,
        commId,
        ...(type === "comm_open" ? { targetName } : {}),
        data: record(content, "data"),
        metadata,
        buffers,
      },
      request.shell.id,
    );
  } finally {
    session.outputs.close(header.msg_id);
  }
  return {};
}
