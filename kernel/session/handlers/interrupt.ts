// interrupt_request: stops what runs, with state kept (the evaluator knows how). The reply says that the signal was
// delivered; the interrupted cell's own reply says that it stopped.

import type { Content } from "../../protocol/messages.ts";
import type { Session } from "../session.ts";

export async function interrupt(session: Session): Promise<Content> {
  await session.interrupt();
  return {};
}
